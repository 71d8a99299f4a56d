/** Pages and native peers with several channels in common: one connection between any two. */
import assert from "node:assert/strict";
import type { BrowserPeer } from "../harness/browser-peer.js";
import { ask } from "../harness/changing.js";
import { type Stage, scenario } from "../harness/scenario.js";

const MORE = ["second", "third", "fourth", "fifth"];

/** A connection that is closed is made again at once: there is nobody else. */
const SERVER = { more: MORE, set: { "hub.parent_refused_ms": 100 } };

/** Keeps every connection that the page makes, and what other channels bring. */
const KEEP = `
  globalThis.kept = [];
  globalThis.heard = {};
  globalThis.RTCPeerConnection = class extends RTCPeerConnection {
    constructor(...settings) {
      super(...settings);
      kept.push(this);
    }
  };`;

/** The page subscribes to the other channels as well. */
async function subscribeToMore(page: BrowserPeer): Promise<void> {
  await page.page.evaluate(`
    for (const name of ${JSON.stringify(MORE)}) {
      heard[name] = [];
      const subscription = tiercastPage.client().subscribe(name, { since: "earliest" });
      subscription.on("event", ({ body }) => heard[name].push(new TextDecoder().decode(body)));
    }`);
}

/** So many links, and so many connections that are not closed. */
async function counts(page: BrowserPeer): Promise<[number, number]> {
  const open = await page.page.evaluate("kept.filter(({ connectionState }) => connectionState !== 'closed').length");
  return [(await page.stats()).links, open as number];
}

async function until(page: BrowserPeer, links: number, connections: number): Promise<void> {
  let last: unknown;
  await ask(
    `${page.name} has ${links} links on ${connections} connections`,
    async () => {
      last = await counts(page);
      return JSON.stringify(last) === JSON.stringify([links, connections]);
    },
    () => JSON.stringify(last),
  );
}

/** What is published in each channel comes, once. */
async function crosses(stage: Stage, page: BrowserPeer, round: number): Promise<void> {
  const bodies = Array.from({ length: 20 }, (_, index) => `${round}.${index}`);
  for (const name of MORE) for (const body of bodies) await stage.server.publish({ body: Buffer.from(body) }, name);
  let heard: Record<string, string[]> = {};
  await ask(`${page.name} has all of round ${round}`, async () => {
    heard = (await page.page.evaluate("heard")) as Record<string, string[]>;
    return Object.values(heard).every((got) => got.at(-1) === bodies.at(-1));
  });
  for (const got of Object.values(heard)) assert.deepEqual(got.slice(-bodies.length), bodies);
  for (const got of Object.values(heard)) assert.equal(new Set(got).size, got.length);
}

for (const [parent, child] of [
  ["chromium", "chromium"],
  ["chromium", "firefox"],
  ["firefox", "chromium"],
] as const) {
  scenario(`${child} below ${parent} in five channels has one connection`, SERVER, async (stage) => {
    const relay = await stage.browser({ engine: parent, name: "relay", maxConnections: 20, before: KEEP });
    await stage.server.untilFed(relay, undefined);
    await subscribeToMore(relay);
    const leaf = await stage.browser({ engine: child, name: "leaf", maxChildren: 0, before: KEEP });
    await subscribeToMore(leaf);
    await leaf.fedBy(relay);
    await until(leaf, 5, 1);
    await until(relay, 5, 1);
    await crosses(stage, leaf, 1);
    await relay.page.evaluate("kept[0].close()");
    await ask("the leaf has a new connection", async () => (await leaf.stats()).connectionsOpened === 2);
    await until(leaf, 5, 1);
    await crosses(stage, leaf, 2);
  });
}

scenario("chromium below a native peer in five channels has one connection, and above one", SERVER, async (stage) => {
  const args = MORE.flatMap((name) => ["--also", name]);
  const relay = await stage.native({ name: "relay", maxChildren: 1, args });
  await stage.server.untilFed(relay, undefined);
  const page = await stage.browser({ maxChildren: 1, maxConnections: 20, before: KEEP });
  await subscribeToMore(page);
  await page.fedBy(relay);
  await until(page, 5, 1);
  await crosses(stage, page, 1);
  const leaf = await stage.native({ name: "leaf", maxChildren: 0, args });
  await leaf.fedBy(page);
  await until(page, 10, 2);
  await crosses(stage, page, 2);
});
