// Runs `page.ts` in headless Chromium: `npm run smoke`.
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { runInChromium } from "../scripts/chromium.mjs";

const { outputFiles } = await build({
  absWorkingDir: fileURLToPath(new URL("..", import.meta.url)),
  entryPoints: ["smoke/page.ts"],
  bundle: true,
  format: "esm",
  target: "es2022",
  write: false,
});
const report = await runInChromium(outputFiles[0].text, 60_000);
if (report.error) throw new Error(report.error);
console.log(report);
