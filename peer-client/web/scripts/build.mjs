// Builds the package: `dist/tiercast-peer.js`, what it loads only where the browser lacks Ed25519, and the types.
// The same sources give the same bytes. An argument names another folder than `dist`.
import { spawnSync } from "node:child_process";
import { readFileSync, readdirSync, rmSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = fileURLToPath(new URL("..", import.meta.url));
const outdir = resolve(root, process.argv[2] ?? "dist");

rmSync(outdir, { recursive: true, force: true });
const { metafile } = await build({
  absWorkingDir: root,
  entryPoints: { "tiercast-peer": "src/index.ts" },
  outdir,
  bundle: true,
  splitting: true,
  chunkNames: "[name]",
  format: "esm",
  target: "es2022",
  minify: true,
  legalComments: "inline",
  charset: "utf8",
  logLevel: "warning",
  metafile: true,
});
const tsc = join(root, "node_modules", "typescript", "bin", "tsc");
const types = spawnSync(process.execPath, [tsc, "-p", "tsconfig.build.json", "--outDir", outdir], {
  cwd: root,
  stdio: "inherit",
});
if (types.status !== 0) process.exit(1);
keepReachable("index.d.ts");
for (const [file, { bytes }] of Object.entries(metafile.outputs)) console.log(`${file} ${bytes}`);

/** Deletes the declarations that the public ones do not refer to. */
function keepReachable(entry) {
  const reachable = new Set();
  const visit = (path) => {
    if (reachable.has(path)) return;
    reachable.add(path);
    const text = readFileSync(path, "utf8");
    for (const [, target] of text.matchAll(/(?:from |import\()"(\.[^"]+)\.js"/g)) {
      visit(join(dirname(path), `${target}.d.ts`));
    }
  };
  visit(join(outdir, entry));
  for (const path of readdirSync(outdir, { recursive: true, encoding: "utf8" })) {
    const full = join(outdir, path);
    if (path.endsWith(".d.ts") && !reachable.has(full)) rmSync(full);
  }
  for (const entry of readdirSync(outdir, { withFileTypes: true })) {
    const full = join(outdir, entry.name);
    if (entry.isDirectory() && readdirSync(full).length === 0) rmSync(full, { recursive: true });
  }
}
