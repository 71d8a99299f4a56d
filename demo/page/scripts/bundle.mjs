// How the page is put together: one script, one style sheet, one document. The same input gives the same bytes.
import { cpSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

export const root = fileURLToPath(new URL("..", import.meta.url));
/** The browser peer as its package ships it: building the page needs nothing installed there. */
const peer = join(root, "..", "..", "peer-client", "web", "dist", "tiercast-peer.js");

/** `plugins` may replace modules of the page by others (the mock does that). */
export async function bundle(outdir, { plugins = [], minify = true } = {}) {
  rmSync(outdir, { recursive: true, force: true });
  mkdirSync(outdir, { recursive: true });
  await build({
    absWorkingDir: root,
    entryPoints: { page: "src/main.ts", style: "src/page.css" },
    entryNames: "[name]",
    outdir,
    bundle: true,
    minify,
    format: "esm",
    platform: "browser",
    target: ["chrome111", "firefox113", "safari16.4"],
    alias: { "tiercast-peer": peer },
    plugins,
    charset: "utf8",
    legalComments: "none",
    logLevel: "warning",
    write: true,
  });
  cpSync(join(outdir, "style.css"), join(outdir, "page.css"));
  rmSync(join(outdir, "style.css"));
  cpSync(join(root, "src", "index.html"), join(outdir, "index.html"));
}
