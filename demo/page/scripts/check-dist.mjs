// Builds anew and compares: fails if dist/ is not what the sources give.
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bundle, root } from "./bundle.mjs";

const fresh = mkdtempSync(join(tmpdir(), "tiercast-page-"));
try {
  await bundle(fresh);
  const committed = join(root, "dist");
  const names = [...new Set([...readdirSync(fresh), ...readdirSync(committed)])].sort();
  const differing = names.filter((name) => !read(fresh, name)?.equals(read(committed, name) ?? Buffer.alloc(0)));
  if (differing.length > 0) {
    console.error(`dist/ is stale: ${differing.join(", ")}. Run \`npm run build\` in demo/page and commit the result.`);
    process.exitCode = 1;
  } else {
    console.log(`dist/ is what the sources give: ${names.join(", ")}`);
  }
} finally {
  rmSync(fresh, { recursive: true, force: true });
}

function read(directory, name) {
  try {
    return readFileSync(join(directory, name));
  } catch {
    return undefined;
  }
}
