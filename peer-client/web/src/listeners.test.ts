/** Listeners that change something while they are told something. */
import assert from "node:assert/strict";
import { Code } from "./codec/code.js";
import type { Platform } from "./io/platform.js";
import { type Subscription, SubscriptionError } from "./subscription.js";
import { FakeConnection } from "./testing/fake-connection.js";
import { CHANNEL, Page, inFakeTime, pass, text } from "./testing/page.js";

/** A page whose client is closed by a listener as soon as it tells this. */
function closedAt(kind: string, platform: Partial<Platform> = {}): Page {
  const page = new Page({}, platform);
  page.client.on("status", (status) => {
    if (status.kind === kind) page.client.close();
  });
  return page;
}

/** What a loop is given next: something, nothing at the end, or an error. */
async function next(subscription: Subscription): Promise<unknown> {
  try {
    return (await subscription[Symbol.asyncIterator]().next()).value;
  } catch (error) {
    return error;
  }
}

inFakeTime("regression: a client that is closed while it connects tells it once, and connects to nobody", async () => {
  const page = closedAt("connecting");
  await pass();
  page.drop(Code.shutdown);
  await pass(60_000);
  assert.deepEqual(page.kinds, ["connected", "disconnected", "reconnecting", "connecting", "closed"]);
  assert.deepEqual(page.sockets.map(({ readyState }) => readyState), [3, 3]);
});

inFakeTime("regression: a client that is closed as it loses the server tells of no other attempt", async () => {
  for (const kinds of [["disconnected"], ["disconnected", "reconnecting"]]) {
    const page = closedAt(kinds.at(-1) ?? "");
    await pass();
    page.drop(Code.shutdown);
    await pass(60_000);
    assert.deepEqual(page.kinds, ["connected", ...kinds, "closed"]);
    assert.equal(page.sockets.length, 1);
  }
});

inFakeTime("regression: a client that is closed as it has connected is heard of no more", async () => {
  const page = closedAt("connected");
  const given = next(page.client.subscribe(CHANNEL));
  await pass(60_000);
  assert.deepEqual(page.kinds, ["connected", "closed"]);
  assert.equal(await given, undefined);
});

inFakeTime("regression: a listener that closes what the server has ended keeps no error from anybody", async () => {
  const page = closedAt("closed");
  const given = next(page.client.subscribe(CHANNEL));
  await pass();
  page.drop(Code.not_allowed);
  assert.ok((await given) instanceof SubscriptionError);
  assert.deepEqual(page.kinds, ["connected", "closed"]);
});

inFakeTime("regression: a listener may end a subscription that the server has refused", async () => {
  const page = new Page();
  page.hub.refusal = { code: Code.unknown_channel };
  const subscription = page.client.subscribe(CHANNEL);
  const problems: unknown[] = [];
  subscription.on("status", () => {
    try {
      subscription.unsubscribe();
    } catch (error) {
      problems.push(error);
    }
  });
  const given = next(subscription);
  await pass();
  assert.ok((await given) instanceof SubscriptionError);
  assert.deepEqual(problems, []);
  page.client.close();
});

inFakeTime("regression: a client that is closed in the middle of news opens no link after it", async () => {
  const opened: FakeConnection[] = [];
  const openConnection = (): RTCPeerConnection => {
    const connection = new FakeConnection();
    opened.push(connection);
    return connection.asRtc();
  };
  const page = closedAt("link_lost", { openConnection });
  page.client.subscribe(CHANNEL);
  await pass();
  // Another parent in the place of the first one, whose link is lost before the next one is opened.
  for (const parent of [2, 3]) {
    page.hub.assign(1, parent);
    await pass();
  }
  assert.deepEqual([opened.length, page.client.stats().links], [1, 0]);
  assert.deepEqual(page.kinds, ["connected", "link_lost", "closed"]);
});

inFakeTime("regression: what a listener does is told after what it was told, to everybody", async () => {
  const page = new Page();
  const subscription = page.client.subscribe(CHANNEL, { since: "earliest" });
  const heard: string[] = [];
  subscription.on("status", ({ status }) => {
    if (status.kind === "paused") subscription.resume();
  });
  subscription.on("status", ({ status }) => heard.push(status.kind));
  subscription.on("event", (event) => {
    if (text(event) === "a") subscription.pause();
  });
  subscription.on("event", (event) => heard.push(text(event)));
  await pass();
  page.hub.publish("a", "b");
  await pass();
  assert.deepEqual(heard, ["subscribed", "a", "paused", "resumed", "b"]);
  page.client.close();
});

inFakeTime("regression: one who has unsubscribed is given nothing, whatever had come before an error", async () => {
  const page = new Page();
  const subscription = page.client.subscribe(CHANNEL, { since: "earliest" });
  const heard: string[] = [];
  subscription.on("event", (event) => {
    heard.push(text(event));
    subscription.unsubscribe();
  });
  subscription.pause();
  await pass();
  page.hub.publish("a", "b");
  await pass();
  page.drop(Code.not_allowed);
  subscription.resume();
  assert.deepEqual(heard, ["a"]);
  assert.equal(await next(subscription), undefined);
});
