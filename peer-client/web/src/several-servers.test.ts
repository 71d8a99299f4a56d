import assert from "node:assert/strict";
import { mock } from "node:test";
import { FakeHub } from "./testing/fake-hub.js";
import { CHANNEL, Page, inFakeTime, pass } from "./testing/page.js";

/** A page with two servers of the same stream, which sign with keys of their own. */
function pageOfTwo(): { page: Page; publish: (...bodies: string[]) => void } {
  const hub = (seed: number): FakeHub => new FakeHub(CHANNEL, () => Date.now() * 1000, seed);
  const hubs = new Map(["ws://one.example", "ws://two.example"].map((url, index) => [url, hub(7 + index)]));
  const publish = (...bodies: string[]): void => {
    for (const hub of hubs.values()) hub.publish(...bodies);
  };
  return { page: new Page({}, {}, hubs), publish };
}

inFakeTime("a page goes on at another server and comes back, and nothing is missing or comes twice", async () => {
  const { page, publish } = pageOfTwo();
  const got: string[] = [];
  const said: string[] = [];
  const subscription = page.client.subscribe(CHANNEL, { since: "earliest" });
  subscription.on("event", (event) => got.push(event.text()));
  subscription.on("status", ({ status }) => {
    if (status.kind === "recovered") said.push(`${status.count}`);
  });
  publish("a", "b");
  await pass();
  const first = page.client.stats().server;
  page.drop(3000);
  publish("c");
  await pass(500);
  const second = page.client.stats().server;
  publish("d");
  await pass();
  page.drop(1006);
  publish("e", "f");
  await pass(500);
  assert.notEqual(first, second);
  assert.equal(page.client.stats().server, first);
  assert.deepEqual(got, ["a", "b", "c", "d", "e", "f"]);
  assert.deepEqual(said, ["1", "2"]);
  assert.equal(page.client.stats().badSignatures, 0);
  page.client.close();
});

inFakeTime("attempts are counted until one succeeds, and each says which server comes next", async () => {
  const { page } = pageOfTwo();
  await pass();
  page.isReachable = false;
  page.drop(1006);
  for (let attempt = 0; attempt < 4; attempt++) {
    mock.timers.tick(10_000);
    page.drop(1006);
  }
  page.isReachable = true;
  await pass(20_000);
  assert.equal(page.kinds.at(-1), "connected");
  page.drop(1006);
  const next = page.statuses.flatMap((status) => (status.kind === "reconnecting" ? [status] : []));
  assert.deepEqual(next.map(({ attempt }) => attempt), [1, 2, 3, 4, 5, 1]);
  assert.equal(new Set(next.map(({ server }) => server)).size, 2);
  page.client.close();
});

inFakeTime("a server that forbids to come back is left out, and the client ends when no other is left", async () => {
  const { page } = pageOfTwo();
  const ended = page.client.subscribe(CHANNEL)[Symbol.asyncIterator]().next();
  ended.catch(() => undefined);
  await pass();
  const first = page.client.stats().server;
  page.drop(3501);
  await pass(500);
  assert.notEqual(page.client.stats().server, first);
  assert.equal(page.kinds.at(-1), "connected");
  page.drop(3501);
  await pass(60_000);
  assert.equal(page.kinds.at(-1), "closed");
  await assert.rejects(ended);
});
