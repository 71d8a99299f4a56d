/** A real broker, and a browser between two native peers: what restarts costs nobody an event that the broker has. */
import assert from "node:assert/strict";
import { after, before } from "node:test";
import type { BrowserPeer } from "../harness/browser-peer.js";
import { BrokerStream } from "../harness/broker-stream.js";
import { Broker } from "../harness/broker.js";
import { type Stage, scenario } from "../harness/scenario.js";
import type { AmqpSource } from "../harness/server.js";
import { epochOf, expectAcrossEpochs } from "../harness/stream.js";
import type { Subscriber } from "../harness/subscriber.js";

/** Published before something happens, while nobody listens, and after it. */
const BEFORE = 1_500;
const WHILE_AWAY = 20;
const AFTER = 1_500;

let broker: Broker;
before(async () => {
  broker = await Broker.start();
});
after(async () => {
  await broker.end();
});

function withBroker(
  name: string,
  channel: string,
  mode: AmqpSource["mode"],
  body: (stage: Stage, stream: BrokerStream) => Promise<void>,
): void {
  let source: AmqpSource;
  scenario(
    name,
    async () => {
      source = await broker.source(channel, mode);
      return { amqp: source };
    },
    (stage) => body(stage, new BrokerStream(source)),
  );
}

withBroker("a restart of the broker in mid-stream is noticed by nobody", "broker-restart", "stream", async (stage, stream) => {
  const everybody = await chain(stage);
  const [, relay, leaf] = everybody;
  const restart = async (): Promise<void> => {
    await leaf.has(BEFORE);
    await broker.stop();
    await broker.startAgain();
  };
  await stream.runDuring(restart());
  await stream.run(AFTER);
  await stream.expectAt(...everybody);
  for (const peer of everybody) {
    assert.equal(peer.news.filter(({ kind }) => kind === "connected").length, 1, `${peer.name} stayed connected`);
    assert.deepEqual(peer.faults, [], `${peer.name} accuses nobody`);
  }
  assert.ok((await relay.stats()).relayedFrames > 0);
});

withBroker("with a stream everybody goes on from its position when the server is killed in mid-stream", "server-restart", "stream", async (stage, stream) => {
  const everybody = await chain(stage);
  const [, , leaf] = everybody;
  const restart = async (): Promise<void> => {
    await leaf.has(BEFORE);
    await restartServer(stage, everybody);
  };
  await stream.runDuring(restart());
  await stream.run(AFTER);
  await stream.expectAt(...everybody);
  await hasAPlace(stage, everybody);
  for (const peer of everybody) {
    const again = peer.news.filter((news) => news.kind === "subscribed").slice(1);
    assert.ok(again.every(({ recovered }) => recovered), `${peer.name} went on from its position`);
  }
});

withBroker("with a queue a restart of the server is one explicit gap for everybody", "queue", "queue", async (stage, stream) => {
  const everybody = await chain(stage);
  const [root] = everybody;
  await stream.run(BEFORE);
  for (const peer of everybody) await peer.has(BEFORE);
  await restartServer(stage, everybody, () => stream.runInVain(WHILE_AWAY));
  await stream.run(AFTER);
  await root.has(BEFORE + AFTER);
  const published = stream.published.map((message, index) => {
    const epoch = epochOf(root.events[index]);
    return { ...message, position: `${epoch}-${index < BEFORE ? index : index - BEFORE}` };
  });
  for (const peer of everybody) await expectAcrossEpochs(peer, published, BEFORE);
  await hasAPlace(stage, everybody);
});

/** A browser between two native peers. Whoever comes back first is tier 1, so each of them can have a child. */
async function chain(stage: Stage): Promise<readonly [Subscriber, BrowserPeer, Subscriber]> {
  const root = await stage.native({ name: "root", maxChildren: 1 });
  const relay = await stage.browser({ name: "browser relay", maxChildren: 1 });
  await relay.fedBy(root);
  const leaf = await stage.native({ name: "leaf", maxChildren: 1 });
  await leaf.fedBy(relay);
  return [root, relay, leaf];
}

/** Kills the server, and starts it again; returns when everybody is back. */
async function restartServer(
  { server }: Stage,
  everybody: readonly Subscriber[],
  meanwhile: () => Promise<void> = async () => Promise.resolve(),
): Promise<void> {
  await server.stop("SIGKILL");
  await meanwhile();
  await server.startAgain();
  for (const peer of everybody) await peer.subscribed(2);
}

/** Everybody has a place in one chain, and took nothing for a forgery that the server's former self had signed. */
async function hasAPlace({ server }: Stage, everybody: readonly Subscriber[]): Promise<void> {
  const tiers = everybody.map((_, index) => index + 1).join();
  await server.untilTree("everybody has a place again", (peers) => {
    for (const peer of everybody) assert.deepEqual(peer.faults, [], `${peer.name} accuses nobody`);
    return peers.map(({ tier }) => tier).sort().join() === tiers;
  });
}
