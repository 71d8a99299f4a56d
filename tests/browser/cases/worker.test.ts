/** A page that has a Web Worker decode: what it gets and relays, and what becomes of it where there is no worker. */
import assert from "node:assert/strict";
import type { ClientStatus } from "tiercast-peer";
import { Browser } from "../harness/browser.js";
import { ask } from "../harness/changing.js";
import { scenario } from "../harness/scenario.js";

scenario("a page with a worker gets every event from its parent, and relays it", {}, async (stage) => {
  const root = await stage.native({ name: "root", maxChildren: 1 });
  const relay = await stage.browser({ name: "browser relay", maxChildren: 1, worker: true });
  await relay.fedBy(root);
  const leaf = await stage.native({ name: "leaf", maxChildren: 1 });
  await leaf.fedBy(relay);
  await ask("the worker runs", () => Promise.resolve(relay.page.workers().length === 1));
  await stage.stream.run(500);
  await stage.stream.expectAt(root, relay, leaf);
  await relay.page.evaluate(() => {
    globalThis.tiercastPage.client().close();
  });
  await ask("the worker is gone", () => Promise.resolve(relay.page.workers().length === 0));
});

/** What the page has got. */
declare global {
  var decoded: { readonly bodies: string[]; readonly statuses: ClientStatus[] };
}

const PAGES = [
  ["the policy allows scripts of the page's own server as workers", "worker-src 'self'", true, undefined],
  ["the policy allows no workers", "worker-src 'none'", true, /Security|cannot be loaded/],
  ["there is no script of this name", "", "/peer/nothing.js", /cannot be loaded/],
] as const;

for (const [circumstance, policy, worker, reason] of PAGES) {
  scenario(`a page with a worker gets its events where ${circumstance}`, {}, async (stage) => {
    const browser = await Browser.start("chromium", "chromium");
    stage.atEnd(() => browser.stop());
    const page = await browser.newPage();
    await page.goto(`${stage.pageUrl}?policy=${encodeURIComponent(policy)}`);
    await page.evaluate(open, stage.server.ws, stage.server.channel, worker);
    await ask("the worker runs, or there is none", async () => {
      const statuses = await page.evaluate(() => globalThis.decoded.statuses);
      return page.workers().length === 1 || statuses.some(({ kind }) => kind === "no_worker");
    });
    for (let number = 0; number < 20; number++) await stage.server.publish({ body: Buffer.from(String(number)) });
    await ask("all events", async () => (await page.evaluate(() => globalThis.decoded.bodies.length)) >= 20);
    const { bodies, statuses } = await page.evaluate(() => globalThis.decoded);
    assert.deepEqual(bodies, Array.from({ length: 20 }, (_, number) => String(number)));
    const said = statuses.find((status) => status.kind === "no_worker")?.reason;
    if (reason === undefined) assert.equal(said, undefined);
    else assert.match(said ?? "", reason);
  });
}

/** Runs in the page. */
async function open(url: string, channel: string, worker: string | boolean): Promise<void> {
  const { connect } = await import("tiercast-peer");
  globalThis.decoded = { bodies: [], statuses: [] };
  const client = connect(url, { worker });
  client.on("status", (status) => globalThis.decoded.statuses.push(status));
  const subscription = client.subscribe(channel, { since: "earliest" });
  subscription.on("event", (event) => globalThis.decoded.bodies.push(event.text()));
}
