/** Pages that go, in every way in which pages go: nobody waits for a timeout, and nobody misses anything. */
import assert from "node:assert/strict";
import type { Engine } from "../harness/browser.js";
import type { BrowserPeer } from "../harness/browser-peer.js";
import { type Stage, scenario } from "../harness/scenario.js";
import type { Subscriber } from "../harness/subscriber.js";

const SILENT = 3001;
const DEPARTED = 3100;
const LOST = 3101;

/** A server that for an hour neither finds anybody silent nor gives up one who went without a goodbye. */
const PATIENT = { set: { "hub.heartbeat_ms": 3_600_000, "hub.resume_ms": 3_600_000 } };

const ENGINES: readonly Engine[] = ["chromium", "firefox"];

for (const engine of ENGINES) {
  const WAYS: readonly (readonly [string, (page: BrowserPeer) => Promise<unknown>])[] = [
    ["whose tab is closed", (page) => page.closeTab()],
    ["that goes to another page", (page) => page.page.goto("about:blank")],
    ["that closes its client", (page) => page.page.evaluate(() => { globalThis.tiercastPage.client().close(); })],
  ];
  for (const [how, leave] of WAYS) {
    scenario(`the children of a page in ${engine} ${how} hear of it, and are fed by the server`, PATIENT, async (stage) => {
      const relay = await stage.browser({ engine, name: "relay" });
      await stage.server.untilFed(relay, undefined);
      const children = [await childOf(stage, relay, "child"), await childOf(stage, relay, "other child")];
      await stage.stream.run(20);
      await stage.stream.expectAt(...children);
      const left = performance.now();
      await Promise.all([leave(relay), ...children.map((child) => child.fedBy(undefined))]);
      const ms = Math.round(performance.now() - left);
      console.log(`${ms} ms`);
      // Had they waited until the page is silent, or had it crashed, there would be other codes.
      assert.ok(children.every(({ linkCodes }) => linkCodes.every((code) => code === LOST || code === DEPARTED)));
    });
  }
}

// A Firefox keeps no page that has had links: there it begins anew.
scenario("a page that is left and come back to goes on where it was, as a relay, too", {}, async (stage) => {
  const before = "addEventListener('pageshow', ({ persisted }) => { globalThis.isFromCache = persisted; })";
  const relay = await stage.browser({ name: "relay", before });
  await stage.server.untilFed(relay, undefined);
  const child = await childOf(stage, relay, "child");
  await stage.stream.run(20);
  await stage.stream.expectAt(relay, child);
  await relay.page.goto(`${stage.pageUrl}?elsewhere`);
  await child.fedBy(undefined);
  await stage.stream.run(20);
  await relay.page.goBack();
  assert.equal(await relay.page.evaluate("globalThis.isFromCache"), true);
  await relay.subscribed(2);
  await stage.stream.run(20);
  await stage.stream.expectAt(relay, child);
  await child.fedBy(relay);
});

for (const engine of ENGINES) {
  scenario(`a page in ${engine} that is hidden gives back its children, and takes some again when it is seen`, {}, async (stage) => {
    const relay = await stage.browser({ engine, name: "relay" });
    await stage.server.untilFed(relay, undefined);
    const child = await childOf(stage, relay, "child");
    const other = await stage.native({ name: "other" });
    const publishing = stage.stream.run(600, 100);
    await relay.has(100);
    const tab = await relay.browser.newPage();
    await child.fedBy(other);
    assert.equal((await relay.stats()).resting, "hidden");
    await stage.server.untilTree("the hidden page has a parent and no child", (peers) =>
      peers.some(({ peer, place, children_max }) => peer === relay.peer && place === "child" && children_max === 0),
    );
    await tab.close();
    await relay.page.bringToFront();
    await stage.server.untilTree("it can have children again", (peers) =>
      peers.some(({ peer, children_max }) => peer === relay.peer && children_max === 4),
    );
    await publishing;
    await stage.stream.expectAt(relay, child, other);
  });
}

scenario("a page that the browser freezes says goodbye, and goes on when it is thawed", {}, async (stage) => {
  const relay = await stage.browser({ name: "relay" });
  await stage.server.untilFed(relay, undefined);
  const child = await childOf(stage, relay, "child");
  const session = await relay.page.createCDPSession();
  await session.send("Page.setWebLifecycleState", { state: "frozen" });
  await child.fedBy(undefined);
  assert.ok(!child.linkCodes.includes(SILENT), "nobody waited for a timeout");
  await stage.stream.run(20);
  await session.send("Page.setWebLifecycleState", { state: "active" });
  await stage.stream.expectAt(relay, child);
});

async function childOf(stage: Stage, parent: Subscriber, name: string): Promise<Subscriber> {
  const child = await stage.native({ name, maxChildren: 0 });
  await child.fedBy(parent);
  return child;
}
