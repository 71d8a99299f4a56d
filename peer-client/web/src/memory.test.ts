import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { Memory, type Store, type Stores } from "./memory.js";
import { CHANNEL, Page, inFakeTime, pass, text } from "./testing/page.js";
import { Scene, event } from "./testing/scene.js";

class FakeStore implements Store {
  readonly items = new Map<string, string>();
  writes = 0;

  getItem(key: string): string | null {
    return this.items.get(key) ?? null;
  }

  setItem(key: string, value: string): void {
    this.writes++;
    this.items.set(key, value);
  }
}

class FullStore extends FakeStore {
  override setItem(): void {
    throw new Error("no room");
  }
}

/** A tab of a browser that keeps things for all of its tabs. */
function tab(browser: Store): Stores {
  return { tab: new FakeStore(), browser };
}

const never = (reason: string): void => {
  assert.fail(reason);
};

function at(offset: number): { epoch: number; offset: number } {
  return { epoch: 1, offset };
}

test("a tab goes on where it was, whatever another tab does, and a new one where one was last", () => {
  const browser = new FakeStore();
  const [one, other] = [tab(browser), tab(browser)];
  const [ahead, behind] = [new Memory(one, "news", CHANNEL, never), new Memory(other, "news", CHANNEL, never)];
  assert.equal(ahead.position, undefined);
  ahead.keep(at(90));
  ahead.flush();
  behind.keep(at(50));
  behind.flush();
  assert.deepEqual(new Memory(one, "news", CHANNEL, never).position, at(90));
  assert.deepEqual(new Memory(other, "news", CHANNEL, never).position, at(50));
  assert.deepEqual(new Memory(tab(browser), "news", CHANNEL, never).position, at(50));
  assert.equal(new Memory(one, "other", CHANNEL, never).position, undefined);
  assert.equal(new Memory(one, "news", "other", never).position, undefined);
});

test("a fast channel is written four times a second, and the last position always", () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    const stores = { tab: new FakeStore(), browser: new FakeStore() };
    const memory = new Memory(stores, "news", CHANNEL, never);
    for (let ms = 0; ms < 1_000; ms++) {
      memory.keep(at(ms));
      mock.timers.tick(1);
    }
    assert.ok(stores.tab.writes <= 4, `${stores.tab.writes}`);
    memory.flush();
    assert.deepEqual(memory.position, at(999));
    const { writes } = stores.tab;
    memory.keep(at(999));
    mock.timers.tick(1_000);
    assert.equal(stores.tab.writes, writes, "nothing new");
  } finally {
    mock.timers.reset();
  }
});

test("what is kept and no position is as if nothing were kept", () => {
  const stores = tab(new FakeStore());
  stores.tab.setItem(`tiercast:news:${CHANNEL}`, "rubbish");
  assert.equal(new Memory(stores, "news", CHANNEL, never).position, undefined);
});

test("a browser that keeps nothing is said to, once", () => {
  const reasons: string[] = [];
  const stores = { tab: new FullStore(), browser: new FullStore() };
  const memory = new Memory(stores, "news", CHANNEL, (reason) => reasons.push(reason));
  for (const offset of [1, 2]) {
    memory.keep(at(offset));
    memory.flush();
  }
  assert.deepEqual(reasons, ["Error: no room"]);
});

inFakeTime("a page that is loaded again goes on after the last event that it had done with", async () => {
  const browser = new FakeStore();
  const stores = tab(browser);
  const load = (): Page => new Page({}, { openStores: () => stores });
  const first = load();
  const iterator = first.client.subscribe(CHANNEL, { since: "earliest", remember: "news" })[Symbol.asyncIterator]();
  await pass();
  const publish = (page: Page): void => {
    page.hub.publish("a", "b", "c", "d");
  };
  publish(first);
  await pass();
  for (const expected of ["a", "b", "c"]) {
    const { value } = await iterator.next();
    assert.ok(value !== undefined && text(value) === expected);
  }
  // It goes while it is busy with the third.
  first.surroundings.leave();
  const second = load();
  const got: string[] = [];
  publish(second);
  const again = second.client.subscribe(CHANNEL, { since: "now", remember: "news" });
  again.on("event", (event) => got.push(event.text()));
  await pass();
  assert.deepEqual(got, ["c", "d"]);
  await pass(1_000);
  assert.equal(browser.getItem(`tiercast:news:${CHANNEL}`), "1-3");
  first.client.close();
  second.client.close();
});

test("regression: what a listener has not been told is not kept, though it was there when another one resumed", () => {
  const memory = new Memory(tab(new FakeStore()), "news", CHANNEL, never);
  const { subscription, deliveries } = new Scene([], memory);
  subscription.pause();
  subscription.on("status", ({ status }) => {
    if (status.kind === "children") subscription.resume();
  });
  const kept: unknown[] = [];
  subscription.on("event", () => {
    subscription.flush();
    kept.push(memory.position?.offset);
  });
  deliveries.push(event(1), event(2), event(3));
  subscription.say({ kind: "children", count: 1 });
  assert.deepEqual(kept, [undefined, 1, 2]);
  subscription.unsubscribe();
  assert.equal(memory.position?.offset, 3);
});

inFakeTime("without a place to keep it nothing can be remembered, and that is an error at once", async () => {
  const page = new Page();
  assert.throws(() => page.client.subscribe(CHANNEL, { remember: "news" }), /`remember` needs a page/);
  page.client.subscribe(CHANNEL);
  const full = new Page({}, { openStores: () => ({ tab: new FullStore(), browser: new FullStore() }) });
  const said: string[] = [];
  full.client.subscribe(CHANNEL, { remember: "news" }).on("status", ({ status }) => said.push(status.kind));
  await pass();
  full.client.stats();
  await pass(1_000);
  assert.ok(said.includes("subscribed"));
  page.client.close();
  full.client.close();
});
