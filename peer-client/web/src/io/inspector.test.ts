import assert from "node:assert/strict";
import { test } from "node:test";
import { Frame } from "../codec/index.js";
import { FakeWorker } from "../testing/fake-worker.js";
import { CHANNEL, Page, inFakeTime, pass, text } from "../testing/page.js";
import { Sealer } from "../testing/seal.js";
import { type BytesJson, bytesOf, readVectors } from "../testing/vectors.js";
import { Inspector } from "./inspector.js";

interface FrameVector {
  readonly bytes: BytesJson;
  readonly channel: string;
  readonly public_key: string;
}

/** A page with a worker that is not loaded yet, and what the application has got. */
function withWorker(): { readonly page: Page; readonly worker: FakeWorker; readonly got: string[] } {
  const worker = new FakeWorker();
  const page = new Page({ worker: true }, { openWorker: () => worker.asWorker() });
  const got: string[] = [];
  page.client.subscribe(CHANNEL, { since: "earliest" }).on("event", (event) => got.push(text(event)));
  return { page, worker, got };
}

/** One with a worker that is ready, and no other means. */
async function loaded(): Promise<readonly [Inspector, FakeWorker]> {
  const worker = new FakeWorker();
  const page = Promise.reject(new Error("the page is not asked"));
  page.catch(() => undefined);
  const inspector = new Inspector(page, () => worker.asWorker(), (reason) => {
    assert.ifError(reason);
  });
  worker.load();
  await new Promise((done) => setTimeout(done, 0));
  return [inspector, worker];
}

inFakeTime("a worker decodes from when it is ready, in order, until the client is closed", async () => {
  const { page, worker, got } = withWorker();
  await pass();
  page.hub.publish("a", "b");
  await pass();
  assert.deepEqual([got, worker.asked.length], [["a", "b"], 0], "the page did not wait for it");
  worker.load();
  await pass();
  page.hub.publish("c");
  page.hub.publish("d", "e");
  await pass();
  assert.deepEqual(got, ["a", "b", "c", "d", "e"]);
  assert.deepEqual(worker.asked.map(({ frame }) => frame !== undefined), [true, true]);
  page.client.close();
  assert.ok(worker.isTerminated);
});

inFakeTime("a worker is asked before it is a frame's turn, so that a page which is busy finds the answers", async () => {
  const { page, worker, got } = withWorker();
  worker.load();
  await pass();
  worker.hang();
  for (let number = 0; number < 100; number++) page.hub.publish(String(number));
  await pass();
  assert.equal(worker.asked.length, 64, "and no more than so many at a time");
  worker.load();
  worker.onerror?.({ message: "gone" });
  await pass();
  assert.deepEqual(got, Array.from({ length: 100 }, (_, number) => String(number)));
  page.client.close();
});

void test("what was asked before its turn counts for the same keys only", async () => {
  const [inspector, worker] = await loaded();
  const sealer = new Sealer(CHANNEL, 7);
  const frame = sealer.seal({ epoch: 1, offset: -1 }, 0, 0, [{ offset: 0 }]);
  const [keys, others] = [[sealer.publicKey], [new Sealer(CHANNEL, 8).publicKey]];
  const signed = frame.signed(CHANNEL);
  const asked: number[] = [];
  for (const asking of [keys, others]) {
    inspector.foresee({ keys, signed, frame });
    assert.equal(await inspector.isGenuine({ keys: asking, signed, frame }), asking === keys);
    asked.push(worker.asked.length);
  }
  assert.deepEqual(asked, [1, 3], "the first answer was known, the second one had to be asked for");
  inspector.end();
});

inFakeTime("what a worker that fails was asked the page does, and says why", async () => {
  const { page, worker, got } = withWorker();
  worker.load();
  await pass();
  worker.hang();
  page.hub.publish("a");
  await pass();
  assert.deepEqual([got, worker.asked.length], [[], 1]);
  worker.onerror?.({ message: "out of memory" });
  await pass();
  page.hub.publish("b");
  await pass();
  assert.deepEqual(got, ["a", "b"]);
  assert.deepEqual(page.statuses.find(({ kind }) => kind === "no_worker"), { kind: "no_worker", reason: "out of memory" });
  assert.ok(worker.isTerminated);
  page.client.close();
});

inFakeTime("regression: a worker that does not answer any more is given up, and nothing is lost", async () => {
  const { page, worker, got } = withWorker();
  worker.load();
  await pass();
  worker.hang();
  page.hub.publish("a");
  for (let step = 0; step < 18; step++) await pass(500);
  assert.deepEqual([got, page.statuses.filter(({ kind }) => kind === "no_worker")], [[], []]);
  for (let step = 0; step < 4; step++) await pass(500);
  assert.deepEqual(got, ["a"]);
  const told = page.statuses.find(({ kind }) => kind === "no_worker");
  assert.deepEqual(told, { kind: "no_worker", reason: "no answer for 10 s" });
  assert.ok(worker.isTerminated);
  page.client.close();
});

inFakeTime("where there are no workers, or none may be made, the page decodes and says so", async () => {
  const forbid = (): never => {
    throw new Error("forbidden");
  };
  for (const [others, reason] of [[{}, "there are no Web Workers here"], [{ openWorker: forbid }, "Error: forbidden"]] as const) {
    const page = new Page({ worker: "/elsewhere.js" }, others);
    const got: string[] = [];
    page.client.subscribe(CHANNEL, { since: "earliest" }).on("event", (event) => got.push(text(event)));
    await pass();
    page.hub.publish("a");
    await pass();
    assert.deepEqual(got, ["a"]);
    assert.deepEqual(page.statuses[0], { kind: "no_worker", reason });
    page.client.close();
  }
});

inFakeTime("of what the application does not read a window's worth is decoded, and the rest when it reads", async () => {
  const worker = new FakeWorker();
  const page = new Page({ worker: true }, { openWorker: () => worker.asWorker() });
  const subscription = page.client.subscribe(CHANNEL, { since: "earliest" });
  worker.load();
  await pass();
  const bodies = Array.from({ length: 40 }, (_, number) => String(number).padEnd(16 << 10));
  for (const body of bodies) page.hub.publish(body);
  await pass();
  assert.equal(worker.asked.length, bodies.length);
  const decoded = worker.asked.filter(({ frame }) => frame !== undefined).length;
  assert.ok(decoded === 16, `${decoded} frames of 16 KiB`);
  const got: string[] = [];
  subscription.on("event", (event) => got.push(text(event)));
  await pass();
  assert.deepEqual(got, bodies);
  page.client.close();
});

inFakeTime("a forged frame is not taken, worker or not", async () => {
  const { page, worker, got } = withWorker();
  worker.load();
  await pass();
  page.hub.keys = [new Sealer(CHANNEL, 8).publicKey];
  page.drop(3000);
  await pass(1_000);
  page.hub.publish("forged");
  await pass();
  assert.deepEqual([got, page.client.stats().badSignatures], [[], 1]);
  page.client.close();
});

void test("events that a worker has decoded are those that the page would have", async () => {
  const [inspector] = await loaded();
  for (const { bytes, channel, public_key: key } of readVectors("frames.json") as FrameVector[]) {
    const expected = Frame.take(bytesOf(bytes)).events();
    const frame = Frame.take(bytesOf(bytes));
    assert.ok(await inspector.isGenuine({ keys: [bytesOf(key)], signed: frame.signed(channel), frame }));
    const prepared = frame.events();
    assert.deepEqual(prepared, expected);
    assert.notEqual(prepared, frame.events(), "they are given once, and then decoded again");
    for (const { headers } of prepared) assert.equal(Object.getPrototypeOf(headers), null);
  }
  inspector.end();
});
