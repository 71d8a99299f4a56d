/** The pages that the READMEs show work as they are, with the one file that they name beside them. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { type IncomingMessage, createServer } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { ask } from "../harness/changing.js";
import { Chromium } from "../harness/chromium.js";
import { ROOT } from "../harness/program.js";
import { type Stage, scenario } from "../harness/scenario.js";
import type { Server } from "../harness/server.js";

const SCRIPT = readFileSync(join(ROOT, "peer-client", "web", "dist", "tiercast-peer.js"));

/** The page that a README shows. */
function pageOf(readme: string): string {
  const [, html] = /```html\n([^]*?)```/.exec(readFileSync(join(ROOT, readme), "utf8")) ?? [];
  assert.ok(html !== undefined, `${readme} shows a page`);
  return html;
}

/** A host without HTTPS, which is here as well. A page of it has no WebCrypto. */
const INSECURE = "page.test";

/** Serves the page, the script beside it, and the signaling server behind the same port; gives the port. */
async function serve(stage: Stage, html: string): Promise<number> {
  const server = createServer((request, response) => {
    if (request.url === "/") response.setHeader("content-type", "text/html").end(html);
    else if (request.url === "/tiercast-peer.js") response.setHeader("content-type", "text/javascript").end(SCRIPT);
    else response.writeHead(404).end();
  });
  server.on("upgrade", (request: IncomingMessage, socket: Duplex) => {
    passOn(request, socket, stage.server);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  stage.atEnd(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return (server.address() as AddressInfo).port;
}

/** What a reverse proxy does with a WebSocket. */
function passOn(request: IncomingMessage, socket: Duplex, server: Server): void {
  const [host, port] = server.address.split(":");
  const upstream = connect(Number(port), host);
  const headers = request.rawHeaders.flatMap((name, at, all) => (at % 2 === 0 ? [`${name}: ${all[at + 1] ?? ""}`] : []));
  upstream.write(`${request.method ?? "GET"} ${request.url ?? "/"} HTTP/1.1\r\n${headers.join("\r\n")}\r\n\r\n`);
  upstream.pipe(socket).pipe(upstream);
  upstream.on("error", () => socket.destroy());
  socket.on("error", () => upstream.destroy());
}

/** Opens the page at `host`, publishes once it has subscribed, and waits until it shows the event in `place`. */
async function shows(stage: Stage, html: string, host: string, place: string): Promise<void> {
  const chromium = await Chromium.start("page of a README", [`--host-resolver-rules=MAP ${INSECURE} 127.0.0.1`]);
  stage.atEnd(() => chromium.stop());
  const page = await chromium.context.newPage();
  const errors: string[] = [];
  page.on("pageerror", (error) => errors.push(error.message));
  await page.goto(`http://${host}:${await serve(stage, html)}/`);
  assert.equal(await page.evaluate(() => isSecureContext), host !== INSECURE);
  await stage.server.untilTree("the page has subscribed", (peers) => peers.length === 1);
  for (const routingKey of ["build.linux.passed", "build.linux.failed"]) {
    await stage.server.publish({ routingKey, body: Buffer.from("with a body") });
  }
  let shown = "";
  await ask(
    "the page shows the event",
    async () => {
      shown = (await page.textContent(place)) ?? "";
      return shown.includes("build.linux.failed with a body");
    },
    () => `but ${JSON.stringify(shown)} ${errors.join()}`,
  );
  assert.deepEqual(errors, []);
}

scenario("regression: the page of the README works with one file beside it, without HTTPS", {}, async (stage) => {
  const html = pageOf("README.md");
  const address = "ws://127.0.0.1:8780/v1/ws";
  assert.ok(html.includes(address) && html.includes('"./tiercast-peer.js"'));
  await shows(stage, html.replace(address, stage.server.ws), INSECURE, "#log");
});

scenario("the page of the package's README works behind its own server", {}, async (stage) => {
  await shows(stage, pageOf("peer-client/web/README.md"), "127.0.0.1", "#events");
});
