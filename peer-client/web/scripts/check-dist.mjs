// Builds anew and compares with the committed `dist`.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const fresh = mkdtempSync(join(tmpdir(), "tiercast-dist-"));
try {
  const script = join(root, "scripts", "build.mjs");
  const { status } = spawnSync(process.execPath, [script, fresh], { cwd: root, stdio: ["ignore", "ignore", "inherit"] });
  if (status !== 0) process.exit(1);
  const expected = contents(fresh);
  const committed = contents(join(root, "dist"));
  const names = [...new Set([...expected.keys(), ...committed.keys()])].sort();
  const stale = names.filter((name) => expected.get(name) !== committed.get(name));
  for (const name of stale) console.error(`dist/${name} is not what the sources give: npm run build`);
  process.exitCode = stale.length > 0 ? 1 : 0;
} finally {
  rmSync(fresh, { recursive: true, force: true });
}

function contents(folder) {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return new Map(
    files.map((entry) => {
      const path = join(entry.parentPath ?? entry.path, entry.name);
      return [path.slice(folder.length + 1), readFileSync(path, "utf8")];
    }),
  );
}
