// Bundles the test page for the browser and every `*.test.ts` for Node, and runs them, one after the other.
// Arguments choose files by a part of their path: `npm test -- relay`. TIERCAST_BIN names the folder with the
// binaries, CHROMIUM the browser.
import { spawnSync } from "node:child_process";
import { cpSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = fileURLToPath(new URL("..", import.meta.url));
const outdir = join(root, "node_modules", ".cache", `tests-${process.pid}`);
const flags = process.argv.slice(2).filter((argument) => argument.startsWith("--"));
const wanted = process.argv.slice(2).filter((argument) => !argument.startsWith("--"));
const sources = readdirSync(join(root, "cases"))
  .filter((path) => path.endsWith(".test.ts"))
  .filter((path) => wanted.length === 0 || wanted.some((part) => path.includes(part)))
  .sort();
if (sources.length === 0) throw new Error(`no test file matches ${wanted.join(" ")}`);

// What is built anew meanwhile is for the next run.
cpSync(join(root, "..", "..", "peer-client", "web", "dist"), join(outdir, "peer"), { recursive: true });
const common = { absWorkingDir: root, bundle: true, format: "esm", logLevel: "warning", sourcemap: "inline" };
await build({
  ...common,
  entryPoints: ["page/peer-page.ts"],
  outfile: join(outdir, "page.js"),
  target: "es2022",
  // The page takes the peer as it is shipped.
  external: ["tiercast-peer"],
});
await build({
  ...common,
  entryPoints: sources.map((path) => join("cases", path)),
  outdir,
  platform: "node",
  target: "node20",
  packages: "external",
  outExtension: { ".js": ".mjs" },
});
const files = sources.map((path) => join(outdir, path.replace(/\.ts$/, ".mjs")));
const options = ["--enable-source-maps", "--test", "--test-concurrency=1", "--test-reporter=spec", ...flags];
const { status } = spawnSync(process.execPath, [...options, ...files], {
  cwd: root,
  stdio: "inherit",
  env: { ...process.env, TIERCAST_ROOT: join(root, "..", ".."), TIERCAST_TEST_PAGES: outdir },
});
rmSync(outdir, { recursive: true, force: true });
process.exitCode = status ?? 1;
