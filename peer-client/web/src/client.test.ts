import assert from "node:assert/strict";
import { test } from "node:test";
import { Code } from "./codec/code.js";
import { SubscriptionError } from "./subscription.js";
import { FakeConnection } from "./testing/fake-connection.js";
import { FakeSurroundings } from "./testing/fake-surroundings.js";
import { CHANNEL, Page, inFakeTime, pass, text } from "./testing/page.js";
import { Sealer } from "./testing/seal.js";

inFakeTime("a loop over a subscription gets every event, over a reconnect, too", async () => {
  const page = new Page();
  const got: string[] = [];
  const loop = (async () => {
    for await (const notification of page.client.subscribe(CHANNEL, { since: "earliest" })) {
      got.push(text(notification));
      if (got.length === 4) break;
    }
  })();
  await pass();
  page.hub.publish("a", "b");
  await pass();
  page.drop(3000);
  page.hub.publish("c");
  await pass(400);
  page.hub.publish("d");
  await pass();
  await loop;
  assert.deepEqual(got, ["a", "b", "c", "d"]);
  assert.deepEqual(page.kinds, ["connected", "disconnected", "reconnecting", "connecting", "connected"]);
  assert.equal(page.client.stats().reconnects, 1);
  page.client.close();
});

inFakeTime("regression: how long a client waits is told in whole milliseconds", async () => {
  const page = new Page({}, { random: () => 1 / 3 });
  await pass();
  page.drop(3000);
  await pass();
  assert.deepEqual(page.statuses.flatMap((status) => (status.kind === "reconnecting" ? status.delayMs : [])), [167]);
  page.client.close();
});

inFakeTime("listeners hear of events, gaps and changes of status", async () => {
  const page = new Page();
  const subscription = page.client.subscribe(CHANNEL, { since: "earliest", match: ["task.#"] });
  const heard: string[] = [];
  subscription.on("event", ({ routingKey }) => heard.push(routingKey));
  subscription.on("gap", ({ reason }) => heard.push(reason));
  const off = subscription.on("status", ({ status }) => heard.push(status.kind));
  await pass();
  off();
  page.hub.publishEvents([
    { offset: 0, routingKey: "task.done" },
    { offset: 1, routingKey: "other" },
    { offset: 5, routingKey: "task.failed" },
  ]);
  page.hub.restart(2);
  page.hub.publishEvents([{ offset: 0, routingKey: "task" }]);
  await pass();
  assert.deepEqual(heard, ["subscribed", "task.done", "task.failed", "epoch", "task"]);
  assert.deepEqual(subscription.position, { epoch: 2, offset: 0 });
  page.client.close();
});

inFakeTime("nobody who listens: nothing is taken until somebody does", async () => {
  const page = new Page();
  const subscription = page.client.subscribe(CHANNEL, { since: "earliest" });
  await pass();
  page.hub.publish("a", "b");
  await pass();
  assert.equal(page.client.stats().delivered, 0);
  const got: string[] = [];
  subscription.on("event", (event) => got.push(text(event)));
  await pass();
  assert.deepEqual(got, ["a", "b"]);
  page.client.close();
});

inFakeTime("a code that says so ends the connection and the subscriptions for good", async () => {
  const page = new Page();
  const subscription = page.client.subscribe(CHANNEL);
  const iterator = subscription[Symbol.asyncIterator]();
  const next = iterator.next();
  await pass();
  page.drop(3502);
  await assert.rejects(next, (error) => error instanceof SubscriptionError && error.code === 3502);
  await pass(60_000);
  assert.equal(page.sockets.length, 1);
  assert.deepEqual(page.kinds.at(-1), "closed");
  assert.deepEqual(await iterator.next(), { done: true, value: undefined });
  assert.throws(() => page.client.subscribe(CHANNEL));
});

inFakeTime("a page that cannot check signatures says so and takes nothing", async () => {
  const createVerifier = (): Promise<never> => Promise.reject(new Error("not served"));
  const page = new Page({}, { createVerifier });
  const next = page.client.subscribe(CHANNEL)[Symbol.asyncIterator]().next();
  const rejected = assert.rejects(next, /signatures cannot be checked here: Error: not served/);
  await pass();
  await rejected;
  assert.deepEqual(page.kinds, ["closed"]);
});

inFakeTime("the client comes back no earlier than the server asked for", async () => {
  const page = new Page();
  await pass();
  page.hub.say(1, { type: "error", code: 3003, reason: "full", retry_after_ms: 5_000 });
  await pass();
  page.drop(3003);
  await pass(5_000);
  assert.equal(page.sockets.length, 1);
  await pass(500);
  assert.equal(page.sockets.length, 2);
  page.client.close();
});

inFakeTime("each connection is to the address that was given", async () => {
  const page = new Page();
  await pass();
  page.drop(1006);
  await pass(500);
  assert.deepEqual(page.urls, ["ws://localhost:1/v1/ws", "ws://localhost:1/v1/ws"]);
  page.client.close();
});

inFakeTime("a server that the client left for what it sent is come back to", async () => {
  const page = new Page();
  const got: string[] = [];
  page.hub.keys = [new Sealer(CHANNEL, 8).publicKey];
  page.client.subscribe(CHANNEL, { since: "earliest" }).on("event", (event) => got.push(text(event)));
  await pass();
  page.hub.publish("a");
  await pass();
  assert.deepEqual(page.kinds, ["connected", "disconnected", "reconnecting"]);
  assert.equal(page.client.stats().badSignatures, 1);
  page.hub.keys = [page.hub.sealer.publicKey];
  await pass(500);
  assert.deepEqual(got, ["a"]);
  page.client.close();
});

inFakeTime("unsubscribing ends the loop, and the channel can be subscribed to again", async () => {
  const page = new Page();
  const subscription = page.client.subscribe(CHANNEL);
  assert.throws(() => page.client.subscribe(CHANNEL), /already subscribed/);
  const next = subscription[Symbol.asyncIterator]().next();
  await pass();
  subscription.unsubscribe();
  assert.deepEqual(await next, { done: true, value: undefined });
  page.client.subscribe(CHANNEL);
  await pass();
  assert.deepEqual(
    page.hub.heard.map(({ message }) => message.type),
    ["hello", "subscribe", "unsubscribe", "subscribe"],
  );
  page.client.close();
});

inFakeTime("a refused subscription ends with an error that says why", async () => {
  const page = new Page();
  page.hub.refusal = { code: 3505 };
  const next = page.client.subscribe(CHANNEL)[Symbol.asyncIterator]().next();
  const rejected = assert.rejects(next, /unknown_channel: not today/);
  await pass();
  await rejected;
  page.client.close();
});

inFakeTime("closing says so to the server and makes no connection again", async () => {
  const page = new Page();
  page.client.subscribe(CHANNEL);
  await pass();
  page.client.close();
  page.client.close();
  await pass(60_000);
  assert.equal(page.sockets.length, 1);
  assert.deepEqual([page.sockets[0]?.readyState, page.sockets[0]?.closeCode], [3, Code.departed]);
  assert.equal(page.kinds.at(-1), "closed");
});

inFakeTime("a page that is put away and fetched again goes on", async () => {
  const page = new Page();
  const got: string[] = [];
  page.client.subscribe(CHANNEL, { since: "earliest" }).on("event", (event) => got.push(text(event)));
  await pass();
  page.surroundings.leave();
  assert.equal(page.sockets[0]?.closeCode, Code.departed, "before anything else runs");
  page.hub.publish("meanwhile");
  await pass(60_000);
  assert.equal(page.sockets.length, 1);
  page.surroundings.return();
  await pass();
  assert.deepEqual(got, ["meanwhile"]);
  page.client.close();
  assert.equal(page.surroundings.listeners, 0);
  page.surroundings.return();
  await pass();
  assert.equal(page.sockets.length, 2, "closed is closed");
});

const WITH_LINKS = { openConnection: () => new FakeConnection().asRtc() };

/** What the server has heard that the page offers: how many children, each time. */
function offered({ hub }: Page): number[] {
  return hub.heard.flatMap(({ message }) => {
    if (message.type === "relay") return [message.children_max];
    return message.type === "subscribe" && message.relay !== undefined ? [message.relay.children_max] : [];
  });
}

inFakeTime("a page that nobody looks at gives back its children, and takes some again when somebody does", async () => {
  const page = new Page({ hiddenAfterMs: 5_000 }, WITH_LINKS);
  page.client.subscribe(CHANNEL);
  await pass();
  page.surroundings.set({ isHidden: true });
  await pass(4_999);
  assert.deepEqual(offered(page), [4]);
  await pass(1);
  assert.deepEqual(offered(page), [4, 0]);
  assert.deepEqual([page.client.stats().resting, page.client.stats().childrenMax], ["hidden", 0]);
  page.drop(1006);
  await pass(60_000);
  page.surroundings.set({ isHidden: false });
  await pass();
  assert.deepEqual(offered(page), [4, 0, 0, 4], "a reconnect says it again");
  page.client.close();
});

inFakeTime("a page that is opened in the background takes no children before it is seen", async () => {
  const surroundings = new FakeSurroundings();
  surroundings.set({ isHidden: true });
  const page = new Page({}, { ...WITH_LINKS, surroundings });
  await pass();
  page.client.subscribe(CHANNEL);
  await pass(60_000);
  surroundings.set({ isHidden: false });
  await pass();
  assert.deepEqual(offered(page), [0, 4]);
  page.client.close();
});

inFakeTime("a page that always relays does so hidden and metered, and one that never does says nothing of it", async () => {
  for (const [relay, expected] of [
    ["always", [4]],
    ["never", []],
  ] as const) {
    const page = new Page({ relay }, WITH_LINKS);
    page.client.subscribe(CHANNEL);
    await pass();
    page.surroundings.set({ isHidden: true, isMetered: true });
    await pass(60_000);
    assert.deepEqual(offered(page), expected, relay);
    assert.equal(page.client.stats().resting, undefined);
    page.client.close();
  }
});

test("what a page may connect to is shared by its channels", () => {
  const page = new Page({ maxConnections: 13 }, WITH_LINKS);
  const subscriptions = [CHANNEL, "second", "third", "fourth"].map((channel) => {
    const subscription = page.client.subscribe(channel);
    return { subscription, room: page.client.stats().childrenMax };
  });
  assert.deepEqual(
    subscriptions.map(({ room }) => room),
    [4, 3, 1, 0],
  );
  for (const { subscription } of subscriptions.slice(1)) subscription.unsubscribe();
  assert.equal(page.client.stats().childrenMax, 4);
  page.client.close();
});

inFakeTime("a server that says nothing for three heartbeats is left, and connected to again", async () => {
  const page = new Page();
  await pass();
  for (let second = 0; second < 44; second++) await pass(1_000);
  assert.equal(page.sockets.length, 1);
  for (let second = 0; second < 3; second++) await pass(1_000);
  assert.equal(page.sockets.length, 2);
  page.client.close();
});

inFakeTime("regression: a page that wants nothing of what is left goes on at once", async () => {
  const page = new Page({ logBytes: 64 << 10 });
  const subscription = page.client.subscribe(CHANNEL, { since: "earliest", match: "wanted" });
  const iterator = subscription[Symbol.asyncIterator]();
  await pass();
  const publish = (routingKey: string): void => {
    const offset = page.hub.head.offset + 1;
    page.hub.publishEvents([{ offset, routingKey, body: new Uint8Array(1_000) }]);
  };
  for (let count = 0; count < 100; count++) publish("unwanted");
  await pass();
  assert.equal(page.client.stats().stalls, 1, "nobody reads");
  const next = iterator.next();
  await pass();
  assert.deepEqual(subscription.position, page.hub.head);
  publish("wanted");
  await pass();
  const { value } = await next;
  assert.ok(value?.type === "event" && value.position.offset === 100);
  page.client.close();
});

inFakeTime("the statistics tell who we are and how far", async () => {
  const page = new Page();
  const subscription = page.client.subscribe(CHANNEL, { since: "1-3" });
  await pass();
  const stats = page.client.stats();
  assert.equal(stats.peer, 1);
  assert.ok(Math.abs(stats.clockOffsetUs ?? Infinity) < 1_000_000);
  assert.deepEqual(stats.channels, [
    { channel: CHANNEL, position: { epoch: 1, offset: 3 }, tier: 0, parent: undefined, children: [] },
  ]);
  subscription.unsubscribe();
  page.client.close();
});

test("what is out of bounds is refused at once", () => {
  for (const options of [{ maxChildren: 65 }, { maxChildren: 1.5 }, { logBytes: 1 }, { maxConnections: 0 }, { hiddenAfterMs: -1 }]) {
    assert.throws(() => new Page(options), RangeError);
  }
  const page = new Page();
  assert.throws(() => page.client.subscribe("no spaces"));
  assert.throws(() => page.client.subscribe(CHANNEL, { since: "yesterday" }));
  assert.throws(() => page.client.subscribe(CHANNEL, { match: "a*" }));
  page.client.close();
});
