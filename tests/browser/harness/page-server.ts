/** Serves the test page with the built peer. `?policy=` is sent with it as its content security policy. */
import { type Server as HttpServer, createServer } from "node:http";
import { readFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { join } from "node:path";

const PAGE = `<!doctype html><html lang="en"><meta charset="utf-8"><title>peer</title><link rel="icon" href="data:,">
<script type="importmap">{"imports":{"tiercast-peer":"/peer/tiercast-peer.js"}}</script>
<script type="module" src="/page.js"></script>`;

/** Where `scripts/test.mjs` has put the bundled page, and the built peer as `peer/`. */
const FOLDER = process.env["TIERCAST_TEST_PAGES"] ?? "";

export class PageServer {
  readonly url: string;
  readonly #server: HttpServer;

  private constructor(server: HttpServer) {
    this.#server = server;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  }

  static async start(): Promise<PageServer> {
    const server = createServer((request, response) => {
      const file = fileOf(request.url ?? "/");
      if (file === undefined) {
        const policy = new URL(request.url ?? "/", "http://localhost").searchParams.get("policy") ?? "";
        response.setHeader("content-security-policy", policy);
        response.setHeader("content-type", "text/html; charset=utf-8").end(PAGE);
        return;
      }
      readFile(file).then(
        (content) => response.setHeader("content-type", "text/javascript; charset=utf-8").end(content),
        () => response.writeHead(404).end(),
      );
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return new PageServer(server);
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

/** Undefined: the page itself. */
function fileOf(url: string): string | undefined {
  if (url === "/page.js") return join(FOLDER, "page.js");
  const [, name] = /^\/peer\/([\w.-]+\.js)$/.exec(url) ?? [];
  if (name !== undefined) return join(FOLDER, "peer", name);
  return undefined;
}
