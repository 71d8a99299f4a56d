// Builds the package: `dist/tiercast-peer.js` for pages, `emit.js` for backends and `testing.js` for tests in Node, each of which
// needs no other file, but for a page that asks for a Web Worker: `tiercast-worker.js`; their types beside them; and the licences
// of the libraries in them.
// The same sources give the same bytes. An argument names another folder than `dist`.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { bundleDeclarations } from "./declarations.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const ENTRIES = { "tiercast-peer": "index", emit: "emit/index", testing: "embedded/index" };
const WORKER = { "tiercast-worker": "worker" };
const outdir = resolve(root, process.argv[2] ?? "dist");

rmSync(outdir, { recursive: true, force: true });
const common = {
  absWorkingDir: root,
  outdir,
  bundle: true,
  // What Node brings along, and only `testing.js` wants.
  external: ["node:*"],
  target: "es2022",
  minify: true,
  // Node prints the line of an error that nobody caught.
  lineLimit: 200,
  legalComments: "inline",
  charset: "utf8",
  logLevel: "warning",
  metafile: true,
};
const built = await Promise.all([
  build({ ...common, entryPoints: sources(ENTRIES), format: "esm" }),
  // No module: so it runs as a worker of either kind.
  build({ ...common, entryPoints: sources(WORKER), format: "iife" }),
]);
const files = (part) => built.flatMap(({ metafile }) => Object.entries(metafile[part]));
for (const [file, { bytes }] of files("outputs")) console.log(`${file} ${bytes}`);
writeFileSync(join(outdir, "THIRD-PARTY-LICENSES"), licences(files("inputs").map(([file]) => file)));

const modules = mkdtempSync(join(tmpdir(), "tiercast-types-"));
try {
  const tsc = join(root, "node_modules", "typescript", "bin", "tsc");
  const { status } = spawnSync(process.execPath, [tsc, "-p", "tsconfig.build.json", "--outDir", modules], {
    cwd: root,
    stdio: "inherit",
  });
  for (const [name, module] of status === 0 ? Object.entries(ENTRIES) : []) {
    writeFileSync(join(outdir, `${name}.d.ts`), bundleDeclarations(join(modules, `${module}.d.ts`)));
  }
  process.exitCode = status ?? 1;
} finally {
  rmSync(modules, { recursive: true, force: true });
}

function sources(entries) {
  return Object.fromEntries(Object.entries(entries).map(([name, module]) => [name, `src/${module}.ts`]));
}

/** What the libraries ask to be told of, those among `files`. */
function licences(files) {
  const packages = files.map((file) => /^node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(file)?.[1]);
  const names = [...new Set(packages.filter((name) => name !== undefined))].sort();
  const text = (name) => readFileSync(join(root, "node_modules", name, "LICENSE"), "utf8").trim();
  return names.map((name) => `${name}\n\n${text(name)}\n`).join(`\n${"-".repeat(80)}\n\n`);
}
