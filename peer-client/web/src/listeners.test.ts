/** Listeners that change something while they are told something. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Code } from "./codec/code.js";
import type { Platform } from "./io/platform.js";
import { type Subscription, SubscriptionError } from "./subscription.js";
import { FakeConnection } from "./testing/fake-connection.js";
import { CHANNEL, Page, inFakeTime, pass, text } from "./testing/page.js";
import { Scene, event, gap } from "./testing/scene.js";

const TYPES = ["status", "event", "gap"] as const;

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

/** A paused subscription that a listener resumes when it hears of children. There are two events, a gap and two events. */
function resumedByListener(): Scene {
  const scene = new Scene();
  const { subscription, deliveries } = scene;
  subscription.pause();
  subscription.on("status", ({ status }) => {
    if (status.kind === "children") subscription.resume();
  });
  deliveries.push(event(1), event(2), gap(2, 4), event(5), event(6));
  return scene;
}

/** What listeners hear, each with how far the application is by then. */
function listen({ subscription }: Scene): string[] {
  const heard: string[] = [];
  const hear = (what: string): void => {
    heard.push(`${what} at ${subscription.position?.offset}`);
  };
  subscription.on("event", ({ offset }) => {
    hear(`event ${offset}`);
  });
  subscription.on("gap", ({ to }) => {
    hear(`gap ${to.offset}`);
  });
  return heard;
}

const ALL = ["event 1 at 1", "event 2 at 2", "gap 4 at 4", "event 5 at 5", "event 6 at 6"];

test("regression: the position is that of what listeners are told, whichever of them pauses and resumes", () => {
  for (const type of TYPES) {
    const scene = resumedByListener();
    const { subscription } = scene;
    let restarts = 0;
    subscription.on(type, () => {
      if (++restarts > 2) return;
      subscription.pause();
      subscription.resume();
    });
    const heard = listen(scene);
    subscription.say({ kind: "children", count: 1 });
    assert.deepEqual(heard, ALL, type);
  }
});

test("regression: nothing comes after a pause or the end, whichever listener asks for it", () => {
  const before = { status: [], event: ALL.slice(0, 1), gap: ALL.slice(0, 3) };
  for (const ask of ["pause", "unsubscribe"] as const) {
    for (const type of TYPES) {
      const scene = resumedByListener();
      const { subscription } = scene;
      const heard = listen(scene);
      const off = subscription.on(type, (news) => {
        if (news.type !== "status" || news.status.kind === "resumed") subscription[ask]();
      });
      subscription.say({ kind: "children", count: 1 });
      assert.deepEqual(heard, before[type], `${ask} by a listener of ${type}`);
      off();
      subscription.resume();
      assert.deepEqual(heard, ask === "pause" ? ALL : before[type], `resumed after ${ask} by a listener of ${type}`);
    }
  }
});

test("regression: what is fetched while a listener pauses or ends the subscription is not given", () => {
  for (const ask of ["pause", "unsubscribe"] as const) {
    const scene = new Scene();
    const { subscription, deliveries } = scene;
    const heard = listen(scene);
    subscription.on("status", ({ status }) => {
      if (status.kind === "children") subscription[ask]();
    });
    deliveries.push(event(1), event(2));
    scene.onPoll = () => {
      if (deliveries.length === 0) subscription.say({ kind: "children", count: 1 });
    };
    subscription.pump();
    assert.deepEqual(heard, ["event 1 at 1"]);
    scene.onPoll = () => undefined;
    subscription.resume();
    assert.deepEqual(heard, ask === "pause" ? ["event 1 at 1", "event 2 at 2"] : ["event 1 at 1"]);
  }
});

test("regression: nothing is fetched for a listener that another one has taken away", () => {
  const scene = new Scene();
  const { subscription, deliveries } = scene;
  const off = subscription.on("event", () => undefined);
  subscription.on("status", ({ status }) => {
    if (status.kind === "recovered") off();
  });
  for (const offset of [0, 1]) scene.subscribed(offset);
  deliveries.push(event(1), { kind: "caught_up", channel: CHANNEL, position: { epoch: 7, offset: 1 } }, event(2));
  subscription.pump();
  const heard = listen(scene);
  subscription.pump();
  assert.deepEqual(heard, ["event 2 at 2"]);
});

test("regression: a listener that asks a loop's iterator for more gets it after what it is told", async () => {
  const scene = new Scene();
  const { subscription, deliveries } = scene;
  const iterator = subscription[Symbol.asyncIterator]();
  const asked: ReturnType<typeof iterator.next>[] = [];
  subscription.on("event", () => asked.push(iterator.next()));
  const heard = listen(scene);
  deliveries.push(event(1), event(2));
  const first = iterator.next();
  assert.deepEqual(heard, ["event 1 at 1", "event 2 at 2"]);
  subscription.unsubscribe();
  const given = await Promise.all([first, ...asked]);
  assert.deepEqual(given.map(({ value }) => value?.type === "event" && value.offset), [1, 2, false]);
});

test("regression: a loop is given what listeners were told as one of them ended the subscription", async () => {
  const { subscription, deliveries } = new Scene();
  const iterator = subscription[Symbol.asyncIterator]();
  const waiting = iterator.next();
  subscription.on("event", () => {
    subscription.unsubscribe();
  });
  deliveries.push(event(1), event(2));
  subscription.pump();
  assert.equal((await waiting).value?.type, "event");
  assert.deepEqual(await iterator.next(), { done: true, value: undefined });
  assert.equal(subscription.position?.offset, 1);
});

test("a loop is given what was there before an error, also where listeners are told something meanwhile", async () => {
  const { subscription, deliveries } = new Scene();
  const iterator = subscription[Symbol.asyncIterator]();
  subscription.on("status", () => {
    deliveries.push(event(1));
    subscription.finish(new SubscriptionError(Code.not_allowed, "no"));
  });
  const waiting = iterator.next();
  subscription.say({ kind: "children", count: 1 });
  assert.equal((await waiting).value?.type, "event");
  await assert.rejects(iterator.next(), SubscriptionError);
});
