// Bundles every `*.test.ts` below a folder's `src` for Node and runs them with Node's own test runner. Arguments choose
// files by a part of their path: `npm test -- codec/frame`. There are no packages here: the folder hands in its esbuild.
import { spawnSync } from "node:child_process";
import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";

export async function runTests(build, folder) {
  const outdir = join(folder, "node_modules", ".cache", "tests");
  const wanted = process.argv.slice(2);
  const sources = readdirSync(join(folder, "src"), { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".test.ts"))
    .filter((path) => wanted.length === 0 || wanted.some((part) => path.includes(part)))
    .sort();
  if (sources.length === 0) throw new Error(`no test file matches ${wanted.join(" ")}`);

  rmSync(outdir, { recursive: true, force: true });
  await build({
    absWorkingDir: folder,
    entryPoints: sources.map((path) => join("src", path)),
    outbase: "src",
    outdir,
    bundle: true,
    format: "esm",
    platform: "node",
    target: "node20",
    sourcemap: "inline",
    outExtension: { ".js": ".mjs" },
    logLevel: "warning",
  });
  const files = sources.map((path) => join(outdir, path.replace(/\.ts$/, ".mjs")));
  const { status } = spawnSync(process.execPath, ["--enable-source-maps", "--test", ...files], {
    cwd: folder,
    stdio: "inherit",
  });
  process.exitCode = status ?? 1;
}
