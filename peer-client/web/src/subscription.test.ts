import assert from "node:assert/strict";
import { test } from "node:test";
import { CommandError } from "./core/command-error.js";
import type { Notification } from "./notification.js";
import { SubscriptionError } from "./subscription.js";
import { CHANNEL, Page, inFakeTime, pass, text } from "./testing/page.js";
import { Scene, event, position } from "./testing/scene.js";

async function next(iterator: AsyncIterator<Notification, undefined>): Promise<number | undefined> {
  const { value } = await iterator.next();
  return value?.type === "event" ? value.offset : undefined;
}

test("the position is what was given or passed over as unwanted", async () => {
  const { subscription, deliveries, ...scene } = new Scene(["a"]);
  assert.equal(subscription.position, undefined);
  subscription.say({ kind: "subscribed", position: position(3), recovered: true });
  deliveries.push(event(4, "a"), event(5, "b"), event(6, "a"), event(7, "b"));
  const iterator = subscription[Symbol.asyncIterator]();
  assert.deepEqual(subscription.position, position(3));
  for (const expected of [4, 6]) {
    assert.equal(await next(iterator), expected);
    assert.deepEqual(subscription.position, position(expected));
  }
  void iterator.next();
  assert.deepEqual(subscription.position, position(7));
  assert.deepEqual(scene.said, ["subscribed"]);
});

test("patterns count from the next event on, whatever has come already", async () => {
  const { subscription, deliveries } = new Scene(["a"]);
  deliveries.push(...[0, 1, 2, 3].map((offset) => event(offset, offset % 2 === 0 ? "a" : "b")));
  const iterator = subscription[Symbol.asyncIterator]();
  assert.equal(await next(iterator), 0);
  assert.ok(subscription.bind("b") && !subscription.bind("b"));
  assert.ok(subscription.unbind("a") && !subscription.unbind("a"));
  assert.equal(await next(iterator), 1);
  assert.equal(await next(iterator), 3);
  assert.throws(() => subscription.bind("a#"));
});

test("nothing is given during a pause, to a loop or to listeners, and nothing is missing after it", async () => {
  const { subscription, deliveries, said } = new Scene();
  const iterator = subscription[Symbol.asyncIterator]();
  deliveries.push(event(0, "a"), event(1, "a"));
  assert.equal(await next(iterator), 0);
  subscription.pause();
  const waiting = next(iterator);
  subscription.pump();
  assert.deepEqual([subscription.position, deliveries.length], [position(0), 1]);
  subscription.resume();
  assert.equal(await waiting, 1);
  await iterator.return?.();
  const heard: number[] = [];
  subscription.on("event", ({ offset }) => {
    heard.push(offset);
    if (offset === 3) subscription.pause();
  });
  deliveries.push(event(2, "a"), event(3, "a"), event(4, "a"));
  subscription.pump();
  assert.deepEqual(heard, [2, 3]);
  subscription.resume();
  assert.deepEqual(heard, [2, 3, 4]);
  assert.deepEqual(said, ["paused", "resumed", "paused", "resumed"]);
});

test("one who is paused hears of the end after all that was there before it", async () => {
  const { subscription, deliveries } = new Scene();
  const iterator = subscription[Symbol.asyncIterator]();
  subscription.pause();
  deliveries.push(event(0, "a"));
  const first = next(iterator);
  subscription.finish(new SubscriptionError(3501, "no"));
  subscription.resume();
  assert.equal(await first, 0);
  await assert.rejects(iterator.next(), SubscriptionError);
});

test("what a reconnect brought is counted when all of it is there", () => {
  const scene = new Scene(["a"]);
  const { subscription, deliveries, said } = scene;
  subscription.on("event", () => undefined);
  scene.subscribed(-1);
  deliveries.push(event(0, "a"));
  subscription.pump();
  scene.subscribed(1);
  deliveries.push(event(1, "a"), event(2, "a"), event(3, "b"));
  subscription.pump();
  scene.subscribed(3);
  deliveries.push(event(4, "a"), { kind: "caught_up", channel: CHANNEL, position: position(5) }, event(6, "a"));
  subscription.pump();
  assert.deepEqual(said, ["subscribed", "subscribed", "subscribed", "recovered 2"]);
  assert.deepEqual(subscription.position, position(6));
});

inFakeTime("a signal ends a subscription or the client, and one that is aborted begins nothing", async () => {
  const [closes, ends] = [new AbortController(), new AbortController()];
  const page = new Page({ signal: closes.signal });
  const loop = async (): Promise<string[]> => {
    const got: string[] = [];
    const wanted = { since: "earliest", signal: ends.signal };
    for await (const notification of page.client.subscribe(CHANNEL, wanted)) got.push(text(notification));
    return got;
  };
  const got = loop();
  await pass();
  page.hub.publish("a");
  await pass();
  ends.abort();
  assert.deepEqual(await got, ["a"]);
  assert.throws(() => page.client.subscribe(CHANNEL, { signal: ends.signal }), { name: "AbortError" });
  const other = page.client.subscribe(CHANNEL);
  assert.throws(() => page.client.subscribe(CHANNEL), CommandError);
  closes.abort();
  await pass();
  assert.equal(page.kinds.at(-1), "closed");
  assert.deepEqual(await other[Symbol.asyncIterator]().next(), { done: true, value: undefined });
  assert.throws(() => new Page({ signal: closes.signal }), { name: "AbortError" });
});

inFakeTime("a long pause holds up the server, and what it still has is given after it", async () => {
  const page = new Page({ logBytes: 64 << 10 });
  const subscription = page.client.subscribe(CHANNEL, { since: "earliest" });
  const got: number[] = [];
  subscription.on("event", ({ offset }) => got.push(offset));
  await pass();
  subscription.pause();
  for (let offset = 0; offset < 200; offset++) {
    page.hub.publishEvents([{ offset, body: new Uint8Array(1_000).fill(offset) }]);
    await pass();
  }
  assert.deepEqual([got, page.client.stats().stalls], [[], 1]);
  subscription.resume();
  await pass();
  assert.deepEqual(got, Array.from({ length: 200 }, (_, offset) => offset));
  page.client.close();
});
