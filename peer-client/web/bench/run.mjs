// Measures the candidates in Chromium and prints tables for README.md: `npm run bench`.
// Before the first run: `npm ci --prefix bench`.
import { gzipSync } from "node:zlib";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { runInChromium } from "../scripts/chromium.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const common = { absWorkingDir: root, bundle: true, format: "esm", minify: true, write: false, target: "es2022" };

const sizes = {
  "inflate: pako, as used": `export { inflate } from "../src/codec/inflate.ts"`,
  "inflate: fflate": `export { unzlibSync } from "fflate"`,
  "msgpack: @msgpack/msgpack, as used": `export { readMsgpack, writeMsgpack } from "../src/codec/msgpack.ts"`,
  "msgpack: msgpackr (no eval)": `export { Unpackr, Packr } from "msgpackr/index-no-eval"`,
  "verify: noble": `export { verifyAsync, hashes } from "@noble/ed25519"; export { sha512 } from "@noble/hashes/sha2.js"`,
};
console.log("| library | minified | gzipped |\n|---|---:|---:|");
for (const [name, contents] of Object.entries(sizes)) {
  const stdin = { contents, resolveDir: `${root}/bench`, loader: "ts" };
  const { outputFiles } = await build({ ...common, stdin });
  const code = outputFiles[0].contents;
  console.log(`| ${name} | ${code.length} | ${gzipSync(code).length} |`);
}

const { outputFiles } = await build({ ...common, entryPoints: ["bench/page.ts"] });
const report = await runInChromium(outputFiles[0].text, 300_000);
if (report.error) throw new Error(report.error);
console.log(`\n${report.agent}\n\n| operation | candidate | first, us | then, us |\n|---|---|---:|---:|`);
for (const { operation, candidate, first, then } of report.rows) {
  console.log(`| ${operation} | ${candidate} | ${first.toFixed(0)} | ${then.toFixed(1)} |`);
}
