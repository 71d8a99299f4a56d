// Builds dist/, which is committed: the demo binary embeds it.
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { bundle, root } from "./bundle.mjs";

const dist = join(root, "dist");
await bundle(dist);
for (const name of readdirSync(dist).sort()) {
  const bytes = readFileSync(join(dist, name));
  console.log(`dist/${name}: ${bytes.length} B, ${gzipSync(bytes).length} B compressed`);
}
