// Opens a page in headless Chromium and waits for what it reports: the page posts JSON to `/report`.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";

const FLAGS = [
  "--headless=new",
  "--no-sandbox",
  "--disable-gpu",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  // On a host that has only loopback, links need both; elsewhere they change nothing that matters here.
  "--allow-loopback-in-peer-connection",
  "--disable-features=WebRtcHideLocalIpsWithMdns",
];

/** Serves a page that runs `script` and resolves with its report. CHROMIUM names another browser. */
export async function runInChromium(script, timeoutMs) {
  const page = `<!doctype html><meta charset="utf-8"><title>tiercast-peer</title><script type="module">${""}
window.report = (value) => fetch("/report", { method: "POST", body: JSON.stringify(value) });
addEventListener("error", (event) => report({ error: event.message }));
addEventListener("unhandledrejection", (event) => report({ error: String(event.reason?.stack ?? event.reason) }));
</script><script type="module" src="/script.js"></script>`;
  let resolve, reject;
  const result = new Promise((onResolve, onReject) => ([resolve, reject] = [onResolve, onReject]));
  const server = createServer(async (request, response) => {
    if (request.url === "/") return response.setHeader("content-type", "text/html").end(page);
    if (request.url === "/script.js") return response.setHeader("content-type", "text/javascript").end(script);
    if (request.url !== "/report") return response.writeHead(404).end();
    let body = "";
    for await (const part of request) body += part;
    response.end();
    resolve(JSON.parse(body));
  });
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  const profile = mkdtempSync(join(tmpdir(), "tiercast-chromium-"));
  const url = `http://localhost:${server.address().port}/`;
  const browser = spawn(process.env.CHROMIUM ?? "chromium", [...FLAGS, `--user-data-dir=${profile}`, url], {
    stdio: "ignore",
    detached: true,
  });
  browser.on("error", reject);
  const timer = setTimeout(() => reject(new Error(`no report within ${timeoutMs} ms`)), timeoutMs);
  try {
    return await result;
  } finally {
    clearTimeout(timer);
    const exited = new Promise((done) => (browser.exitCode === null ? browser.on("exit", done) : done()));
    // The browser's whole process group: the shell wrapper, the browser and its helpers.
    if (browser.pid !== undefined) process.kill(-browser.pid, "SIGKILL");
    await exited;
    server.closeAllConnections();
    server.close();
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
  }
}
