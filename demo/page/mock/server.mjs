// Serves the page with a make-believe mesh behind it: `npm run mock -- --port 8780 --peers 24 --rate 20`.
// The page's own peer is replaced by mock/fake-peer.ts. `--real` serves dist/ as it is: its peer then finds no
// /v1/ws here, and one sees the page reconnecting.
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join } from "node:path";
import { parseArgs } from "node:util";
import { bundle, root } from "../scripts/bundle.mjs";
import { NATIVE_MAX, RATE_MAX, World, seeded } from "./world.mjs";

const TICK_MS = 40;
const TYPES = { ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css" };

const { values } = parseArgs({
  options: {
    port: { type: "string", default: "8780" },
    peers: { type: "string", default: "24" },
    browsers: { type: "string", default: "0" },
    rate: { type: "string", default: "20" },
    seed: { type: "string", default: "7" },
    real: { type: "boolean", default: false },
  },
});

const site = values.real ? join(root, "dist") : join(root, "node_modules", ".cache", "mock");
if (!values.real) {
  const fakePeer = {
    name: "fake-peer",
    setup: (build) => {
      build.onResolve({ filter: /^\.\/start\.js$/ }, () => ({ path: join(root, "mock", "fake-peer.ts") }));
    },
  };
  await bundle(site, { plugins: [fakePeer], minify: false });
}

const world = new World({ random: seeded(Number(values.seed)), rate: Number(values.rate) });
const browsers = Number(values.browsers);
const everyNth = Math.max(1, Math.floor(Number(values.peers) / Math.max(1, browsers)));
for (let index = 0, left = browsers; index < Number(values.peers); index++) {
  if (index % everyNth === 1 && left-- > 0) world.join("browser");
  world.join("native");
}
for (let step = 0; step < 100; step++) world.settle(Date.now() + step * 100);

/** Pages that listen, and the peers that they are. */
const pages = new Map();
let last = Date.now();
setInterval(() => {
  const now = Date.now();
  world.settle(now);
  const events = world.publish(now - last);
  last = now;
  for (const [response, { peer, relayed }] of pages) {
    const info = world.peers.get(peer);
    for (const child of world.childrenOf(peer)) relayed.set(child.peer, (relayed.get(child.peer) ?? 0) + events.length * 210);
    const children = world.childrenOf(peer).map((child) => ({ peer: child.peer, bytes: relayed.get(child.peer) ?? 0 }));
    const own = { peer, tier: info?.tier ?? 0, parent: info?.parent ?? null, children };
    response.write(`data: ${JSON.stringify({ own, epoch: world.epoch, events })}\n\n`);
  }
}, TICK_MS);

const server = createServer(async (request, response) => {
  const url = new URL(request.url ?? "/", "http://localhost");
  const route = `${request.method} ${url.pathname}`;
  if (route === "GET /demo/state") return json(response, 200, world.state());
  if (route === "GET /v1/topology/builds") return json(response, 200, world.topology());
  if (route === "GET /mock/events") return listen(request, response, url.searchParams);
  if (request.method === "POST") return json(response, ...post(url.pathname, await readJson(request)));
  return file(response, url.pathname === "/" ? "/index.html" : url.pathname);
});
server.listen(Number(values.port), "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}/`));

function post(path, body) {
  if (body === undefined) return refuse(400, "the body is not JSON", "send an object");
  switch (path) {
    case "/demo/peers": {
      const { add = 0, remove = 0 } = body;
      const room = NATIVE_MAX - world.natives().length;
      if (add > 0 && room === 0) return refuse(409, `the demo runs at most ${NATIVE_MAX} native peers`, "remove some first");
      const added = Math.min(add, room);
      world.addNatives(added);
      const removed = Math.min(remove, world.natives().length);
      world.removeNatives(removed);
      return [200, { added, removed, native_peers: world.natives().length }];
    }
    case "/demo/fault": {
      const struck = world.strike(body.fault, body.who);
      return struck === undefined ? refuse(409, "there is nobody to strike", "add native peers first") : [200, struck];
    }
    case "/demo/mesh":
      return [200, world.switchMesh(body.on)];
    case "/demo/rate":
      if (!(body.rate_per_s >= 1 && body.rate_per_s <= RATE_MAX)) return refuse(400, "the rate is out of range", `choose 1 to ${RATE_MAX} events a second`);
      world.rate = body.rate_per_s;
      return [200, { rate_per_s: world.rate }];
    default:
      return refuse(404, `there is no ${path}`, "see mock/server.mjs");
  }
}

function refuse(status, error, fix) {
  return [status, { error, fix }];
}

function listen(request, response, query) {
  const since = Number(query.get("since") ?? world.seq);
  response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
  const peer = world.join("browser", { relay: query.get("relay") === "true" });
  pages.set(response, { peer, relayed: new Map() });
  const missed = world.log.filter(({ offset }) => offset > since);
  const own = { peer, tier: 0, parent: null, children: [] };
  response.write(`data: ${JSON.stringify({ own, epoch: world.epoch, events: missed })}\n\n`);
  request.on("close", () => {
    pages.delete(response);
    world.leave(peer);
  });
}

function file(response, path) {
  try {
    // Only names of files that lie in the folder itself.
    const name = /^\/([a-z]+\.(?:html|js|css))$/.exec(path)?.[1];
    const bytes = readFileSync(join(site, name ?? "\0"));
    response.writeHead(200, { "content-type": TYPES[extname(path)], "cache-control": "no-store" }).end(bytes);
  } catch {
    json(response, ...refuse(404, `there is no ${path}`, "see mock/server.mjs"));
  }
}

function json(response, status, value) {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
}

async function readJson(request) {
  let text = "";
  for await (const part of request) text += part;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
