import assert from "node:assert/strict";
import { FakeHub } from "./testing/fake-hub.js";
import { CHANNEL, Page, inFakeTime, pass } from "./testing/page.js";

const HOSTS = ["one.example", "two.example"] as const;

/** A page with two servers of the same stream, which sign with keys of their own. */
function pageOfTwo(): Page {
  const page = new Page({}, {}, HOSTS.map((host) => `ws://${host}`));
  HOSTS.forEach((host, index) => page.hubs.set(host, new FakeHub(CHANNEL, () => Date.now() * 1000, 7 + index)));
  return page;
}

function publish(page: Page, ...bodies: string[]): void {
  for (const hub of page.hubs.values()) hub.publish(...bodies);
}

function host(url: string | undefined): string {
  return new URL(url ?? "").host;
}

inFakeTime("a page goes on at another server and comes back, and nothing is missing or comes twice", async () => {
  const page = pageOfTwo();
  const got: string[] = [];
  const said: string[] = [];
  const subscription = page.client.subscribe(CHANNEL, { since: "earliest" });
  subscription.on("event", (event) => got.push(event.text()));
  subscription.on("status", ({ status }) => {
    if (status.kind === "recovered") said.push(`${status.count}`);
  });
  publish(page, "a", "b");
  await pass();
  const first = host(page.client.stats().server);
  page.drop(3000);
  publish(page, "c");
  await pass(500);
  const second = host(page.client.stats().server);
  publish(page, "d");
  await pass();
  page.drop(1006);
  publish(page, "e", "f");
  await pass(500);
  assert.notEqual(first, second);
  assert.equal(host(page.client.stats().server), first);
  assert.deepEqual(got, ["a", "b", "c", "d", "e", "f"]);
  assert.deepEqual(said, ["1", "2"]);
  assert.equal(page.client.stats().badSignatures, 0);
  page.client.close();
});

inFakeTime("attempts are counted until one succeeds, and each says which server comes next", async () => {
  const page = pageOfTwo();
  await pass();
  for (let attempt = 0; attempt < 3; attempt++) {
    page.drop(1006);
    await pass();
    // A connection that has not answered yet.
    page.sockets.length = 0;
    await pass(20_000);
  }
  const next = page.statuses.flatMap((status) => (status.kind === "reconnecting" ? [status] : []));
  assert.deepEqual(next.map(({ attempt }) => attempt), [1, 1, 1], "each of them had succeeded");
  assert.equal(new Set(next.map(({ server }) => server)).size, 2);
  page.client.close();
});

inFakeTime("a server that forbids to come back is left out, and the client ends when no other is left", async () => {
  const page = pageOfTwo();
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
