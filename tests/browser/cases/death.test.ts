/** Relays that die in mid-stream: nobody who stays misses an event or is given one twice. */
import type { BrowserPeer } from "../harness/browser-peer.js";
import { type Stage, scenario } from "../harness/scenario.js";
import type { Subscriber } from "../harness/subscriber.js";

const EVENTS = 600;
const PER_S = 200;
/** The death comes after so many. */
const DEATH_AT = 200;

const BROWSER_DEATHS: readonly (readonly [string, (browser: BrowserPeer) => Promise<void>])[] = [
  ["whose tab is closed", (browser) => browser.closeTab()],
  ["whose renderer is killed", (browser) => browser.killRenderer()],
  ["whose whole browser is killed", (browser) => browser.kill()],
];

for (const [how, end] of BROWSER_DEATHS) {
  scenario(`a browser ${how} in mid-stream costs its native and its browser child nothing`, {}, async (stage) => {
    const root = await stage.native({ name: "root", maxChildren: 1 });
    const relay = await stage.browser({ name: "relay", maxChildren: 2 });
    await relay.fedBy(root);
    const survivors = await childrenOf(stage, relay);
    await survive(stage, relay, () => end(relay), [root, ...survivors]);
    await stage.server.untilTree("the survivors have places", (peers) => peers.every(({ tier }) => tier > 0));
  });
}

scenario("a native relay that is killed in mid-stream costs its native and its browser child nothing", {}, async (stage) => {
  const root = await stage.browser({ name: "root", maxChildren: 1 });
  await stage.server.untilFed(root, undefined);
  const relay = await stage.native({ name: "relay", maxChildren: 2 });
  await relay.fedBy(root);
  const survivors = await childrenOf(stage, relay);
  await survive(stage, relay, () => relay.kill(), [root, ...survivors]);
  await stage.server.untilTree("the survivors have places", (peers) => peers.every(({ tier }) => tier > 0));
});

scenario("a tier-1 peer that is killed in mid-stream costs those below it nothing", {}, async (stage) => {
  const root = await stage.native({ name: "root", maxChildren: 2 });
  await stage.server.untilFed(root, undefined);
  const survivors = await childrenOf(stage, root);
  await survive(stage, root, () => root.kill(), survivors);
  await stage.server.untilTree("another is tier 1", (peers) => peers.some(({ place }) => place === "root"));
  await stage.server.untilTree("the survivors have places", (peers) => peers.every(({ tier }) => tier > 0));
});

scenario("a tier-1 browser that is killed in mid-stream costs those below it nothing", {}, async (stage) => {
  const root = await stage.browser({ name: "root", maxChildren: 2 });
  await stage.server.untilFed(root, undefined);
  const survivors = await childrenOf(stage, root);
  await survive(stage, root, () => root.kill(), survivors);
  await stage.server.untilTree("the survivors have places", (peers) => peers.every(({ tier }) => tier > 0));
});

scenario("a relay that hangs in mid-stream costs its children nothing, and catches up itself", {}, async (stage) => {
  const root = await stage.native({ name: "root", maxChildren: 1 });
  const relay = await stage.native({ name: "relay", maxChildren: 2 });
  await relay.fedBy(root);
  const survivors = await childrenOf(stage, relay);
  const publishing = stage.stream.run(EVENTS, PER_S);
  await relay.has(DEATH_AT);
  relay.program.signal("SIGSTOP");
  await publishing;
  await stage.stream.expectAt(root, ...survivors);
  relay.program.signal("SIGCONT");
  await stage.stream.expectAt(relay);
});

scenario("a page that is frozen in mid-stream costs its children nothing, and catches up itself", {}, async (stage) => {
  const root = await stage.native({ name: "root", maxChildren: 1 });
  const relay = await stage.browser({ name: "relay", maxChildren: 2 });
  await relay.fedBy(root);
  const survivors = await childrenOf(stage, relay);
  const publishing = stage.stream.run(EVENTS, PER_S);
  await relay.has(DEATH_AT);
  const pids = await relay.browser.rendererPids();
  for (const pid of pids) process.kill(pid, "SIGSTOP");
  await publishing;
  await stage.stream.expectAt(root, ...survivors);
  for (const pid of pids) process.kill(pid, "SIGCONT");
  await stage.stream.expectAt(relay);
});

/** A native and a browser child. They may have children themselves, so that one can go below the other. */
async function childrenOf(stage: Stage, parent: Subscriber): Promise<[Subscriber, Subscriber]> {
  const native = await stage.native({ name: "native child" });
  await native.fedBy(parent);
  const browser = await stage.browser({ name: "browser child" });
  await browser.fedBy(parent);
  return [native, browser];
}

/** Publishes, lets `victim` die in the middle, and compares what everybody else was given. */
async function survive(
  stage: Stage,
  victim: Subscriber,
  kill: () => Promise<void>,
  survivors: readonly Subscriber[],
): Promise<void> {
  const publishing = stage.stream.run(EVENTS, PER_S);
  await victim.has(DEATH_AT);
  await kill();
  await publishing;
  await stage.stream.expectAt(...survivors);
  const dead = victim.peer;
  await stage.server.untilTree("the dead peer is gone", (peers) =>
    peers.every(({ peer, parent }) => peer !== dead && parent !== dead),
  );
}
