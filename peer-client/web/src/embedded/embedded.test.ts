import assert from "node:assert/strict";
import { test } from "node:test";
import { assertEvents } from "./assert-events.js";
import { capture } from "./capture.js";
import { Received } from "./received.js";
import { type EventJson, TestEvent } from "./test-event.js";
import { TestServer } from "./test-server.js";

const event = (json: Pick<EventJson, "encoding" | "body" | "raw">): TestEvent =>
  new TestEvent({ position: "7-0", routing_key: "ticket.1.updated", ...json });

test("the body of an event has the bytes that were published", () => {
  const bodies = [
    event({ encoding: "json", body: { a: 1 } }),
    event({ encoding: "json", body: { a: 1 }, raw: '{ "a": 1.0 }' }),
    event({ encoding: "text", body: "grün" }),
    event({ encoding: "base64", body: "AP8=" }),
  ].map(({ body }) => Buffer.from(body).toString("hex"));
  const expected = ['{"a":1}', '{ "a": 1.0 }', "grün"].map((text) => Buffer.from(text).toString("hex"));
  assert.deepEqual(bodies, [...expected, "00ff"]);
});

test("events are compared by what their bodies say", () => {
  const events = [
    event({ encoding: "json", body: { a: 1, b: 2 }, raw: '{ "b": 2, "a": 1 }' }),
    event({ encoding: "text", body: "grün" }),
    event({ encoding: "base64", body: "AP8=" }),
  ];
  const bodies = [{ a: 1, b: 2 }, "grün", new Uint8Array([0, 255])];
  assertEvents(events, bodies.map((body) => ["ticket.1.updated", body] as const));
  assert.throws(() => { assertEvents(events, [["ticket.1.updated", { a: 1, b: 3 }]]); }, /b: 2[^]*b: 3/);
});

/** As a program without types gives it. */
const untyped = (value: unknown): never => value as never;

test("regression: what is no list of events is not taken for an empty one", () => {
  const captured = { result: 1, events: [event({ encoding: "text", body: "x" })] };
  for (const wrong of [captured, undefined, null, 7, Promise.resolve(captured)].map(untyped)) {
    assert.throws(() => { assertEvents(wrong, []); }, { name: "TypeError", message: /pass the `events` of what `capture` gives/ });
  }
  for (const wrong of [undefined, {}, 7].map(untyped)) {
    assert.throws(() => { assertEvents([], wrong); }, { name: "TypeError", message: /pass the expected events as a list/ });
  }
});

test("regression: a server without a list of channels is refused with what to pass", async () => {
  for (const wrong of [undefined, null, {}, { channels: "tickets" }, { channels: [1] }].map(untyped)) {
    await assert.rejects(TestServer.start(wrong), { name: "TypeError", message: /TestServer\.start\(\{ channels: \["tickets"\] \}\)/ });
  }
});

test("regression: capture wants a function, and says so", async () => {
  const server = { head: () => assert.fail("the server is asked") };
  for (const wrong of [Promise.resolve(1), undefined, 7].map(untyped)) {
    await assert.rejects(capture(untyped(server), "tickets", wrong), { name: "TypeError", message: /pass a function/ });
  }
});

test("what was received is waited for, and taken up to what was waited for", async () => {
  const received = new Received<number>();
  received.add(1);
  assert.deepEqual(await received.until("the first", (number) => number === 1), [1]);
  const three = received.until("the third", (number) => number === 3);
  [2, 3, 4].forEach(received.add);
  assert.deepEqual(await three, [1, 2, 3]);
  assert.deepEqual(received.soFar, [1, 2, 3, 4]);
});

test("a program that is not there, or does not start, is told with what to do", async () => {
  const start = async (program: string): Promise<TestServer> => TestServer.start({ channels: ["tickets"], program });
  await assert.rejects(start("/nowhere/signaling-server"), /ENOENT.*name it as `program` or in SIGNALING_SERVER/);
  await assert.rejects(start("false"), /`false` ended with code 1/);
});
