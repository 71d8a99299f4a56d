import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { ChannelNameError } from "../codec/channel.js";
import { EventNameError, eventName } from "../codec/event-name.js";
import { FakePublishing, type Mischief } from "../testing/fake-publishing.js";
import { EmitError, type EmitProblem } from "./emit-error.js";
import { type EmitOptions, Emitter } from "./emitter.js";

async function stage(
  t: TestContext,
  mischief: readonly Mischief[] = [],
  options: EmitOptions = {},
): Promise<[FakePublishing, Emitter]> {
  const server = await FakePublishing.start(...mischief);
  t.after(() => {
    server.stop();
  });
  return [server, new Emitter(server.url, "tickets", "key", options)];
}

const numbers = (count: number): number[] => Array.from({ length: count }, (_, number) => number);

const names = (items: readonly { routing_key: string }[]): string[] => items.map((item) => item.routing_key);

function isEmitError(reason: EmitProblem, words: RegExp): (error: unknown) => true {
  return (error) => {
    assert.ok(error instanceof EmitError, String(error));
    assert.equal(error.reason, reason);
    assert.match(error.message, words);
    return true;
  };
}

test("an event has a name that says what happened to what, and its data as JSON", async (t) => {
  const [server, emitter] = await stage(t);
  assert.deepEqual(await emitter.emit("ticket", 1234, "updated", { status: "fixed" }), { epoch: 7, offset: 0 });
  const [{ message_id: id, ...item } = { message_id: "" }] = server.published;
  assert.deepEqual(item, { routing_key: "ticket.1234.updated", json: { status: "fixed" } });
  assert.match(id, /^[0-9a-f]{32}$/);
});

test("everything that can be said about an event is sent", async (t) => {
  const [server, emitter] = await stage(t);
  const event = { routingKey: "k", messageId: "7", contentType: "x/y", timestamp: 5, headers: { try: 2 } };
  await emitter.publish({ ...event, body: new Uint8Array([0, 255]) });
  await emitter.publish({ routingKey: "k", text: "hello" });
  const [first, second] = server.published;
  const described = { routing_key: "k", message_id: "7", content_type: "x/y", timestamp: 5, headers: { try: 2 } };
  assert.deepEqual(first, { ...described, base64: "AP8=" });
  assert.deepEqual({ ...second, message_id: "" }, { routing_key: "k", message_id: "", text: "hello" });
});

test("many at once are few requests and keep their order", async (t) => {
  const [server, emitter] = await stage(t);
  const positions = await Promise.all(numbers(1_200).map(async (id) => emitter.emit("ticket", id, "updated")));
  assert.deepEqual(positions, numbers(1_200).map((offset) => ({ epoch: 7, offset })));
  assert.deepEqual(names(server.published), numbers(1_200).map((id) => `ticket.${id}.updated`));
  assert.deepEqual(server.batches.map(({ length }) => length), [500, 500, 200]);
});

test("a batch ends when it has its bytes", async (t) => {
  const [server, emitter] = await stage(t, [], { batchBytes: 1_500 });
  await Promise.all(numbers(9).map(async (id) => emitter.emit("ticket", id, "updated", "x".repeat(950))));
  assert.deepEqual(server.batches.map(({ length }) => length), [2, 2, 2, 2, 1]);
});

test("what is not known to be published is sent again and published once", async (t) => {
  const [server, emitter] = await stage(t, ["lose_answer", 503, "silence", 200, "lose_answer"], { answerMs: 300 });
  const positions = await Promise.all(numbers(10).map(async (id) => emitter.emit("ticket", id, "updated")));
  assert.ok(server.isContent);
  assert.deepEqual(positions.map(({ offset }) => offset), numbers(10));
  assert.deepEqual(names(server.published), numbers(10).map((id) => `ticket.${id}.updated`));
});

test("an event that is refused hinders no other", async (t) => {
  const [server, emitter] = await stage(t);
  const isBad = (nth: number): boolean => [7, 8, 19].includes(nth);
  const publish = numbers(20).map(async (nth) => emitter.publish({ routingKey: `${isBad(nth) ? "bad" : "good"}.${nth}` }));
  const settled = await Promise.allSettled(publish);
  assert.deepEqual(names(server.published), numbers(20).filter((nth) => !isBad(nth)).map((nth) => `good.${nth}`));
  settled.forEach((answer, nth) => {
    assert.equal(answer.status === "rejected", isBad(nth));
    if (answer.status === "fulfilled") return;
    const reason: unknown = answer.reason;
    assert.ok(isEmitError("refused", new RegExp(`HTTP 400.*bad.${nth} is bad: do it well`))(reason));
    assert.ok(reason instanceof EmitError && reason.status === 400 && reason.code === 3506);
  });
});

test("what no event can change is told at once", async (t) => {
  const [server] = await stage(t);
  for (const [channel, key, words] of [
    ["tickets", "other", /HTTP 403.*this key is unknown/],
    ["others", "key", /HTTP 404/],
  ] as const) {
    const emitter = new Emitter(server.url, channel, key);
    const all = await Promise.allSettled(numbers(5).map(async (id) => emitter.emit("ticket", id, "updated")));
    for (const answer of all) assert.ok(answer.status === "rejected" && isEmitError("refused", words)(answer.reason));
  }
  assert.equal(server.batches.length, 2);
});

test("what cannot be published is given up in time, and the emitter goes on", async (t) => {
  const [server, emitter] = await stage(t, ["silence"], { answerMs: 100, giveUpMs: 100 });
  const given = isEmitError("gave_up", /not known to be published after 100 ms: .* does not answer/);
  await assert.rejects(emitter.emit("ticket", 1, "updated"), given);
  await emitter.emit("ticket", 2, "updated");
  assert.deepEqual(names(server.published), ["ticket.2.updated"]);
});

test("so many events wait and no more", async (t) => {
  const [server, emitter] = await stage(t, [], { waitingMax: 2 });
  const waiting = [emitter.emit("ticket", 1, "updated"), emitter.emit("ticket", 2, "updated")];
  await assert.rejects(emitter.emit("ticket", 3, "updated"), isEmitError("full", /2 events wait .*await some of them/));
  await Promise.all(waiting);
  await emitter.emit("ticket", 4, "updated");
  assert.deepEqual(names(server.published), [1, 2, 4].map((id) => `ticket.${id}.updated`));
});

test("what cannot be sent is told before anything is sent", async (t) => {
  const [server, emitter] = await stage(t);
  await assert.rejects(emitter.emit("ticket", "1.2", "updated"), EventNameError);
  await assert.rejects(emitter.emit("ticket", 1, "updated", 2n), isEmitError("bad_data", /BigInt/));
  await assert.rejects(emitter.emit("ticket", 1, "updated", () => 0), isEmitError("bad_data", /its data is function/));
  assert.equal(server.batches.length, 0);
});

/** As a program without types gives it. */
const untyped = (value: unknown): never => value as never;

test("regression: what is no text or number is no part of an event's name", () => {
  const wrong = [undefined, null, {}, [], true, () => "x", Symbol("x")].map(untyped);
  for (const part of wrong) {
    assert.throws(() => eventName(part, 1, "updated"), EventNameError);
    assert.throws(() => eventName("ticket", part, "updated"), EventNameError);
    assert.throws(() => eventName("ticket", 1, part), EventNameError);
  }
  for (const number of [1, 1n].map(untyped)) {
    assert.throws(() => eventName(number, 1, "updated"), /the thing of an event's name is a (number|bigint): give a text/);
    assert.throws(() => eventName("ticket", 1, number), EventNameError);
  }
  assert.throws(() => eventName("ticket", untyped(undefined), "updated"), /the id of .* is undefined: give a text, an integer or a bigint/);
  assert.throws(() => eventName("ticket", untyped(null), "updated"), /is null/);
  assert.deepEqual([eventName("ticket", 1, "x"), eventName("ticket", 2n, "x"), eventName("ticket", "c", "x")],
    ["ticket.1.x", "ticket.2.x", "ticket.c.x"]);
});

test("regression: a body is given byte for byte, whatever holds its bytes", async (t) => {
  const [server, emitter] = await stage(t);
  const { buffer } = new Uint8Array([0, 1, 2, 255]);
  const bodies = [buffer, new Uint16Array(buffer), new DataView(buffer, 1, 2), Buffer.from(buffer)];
  for (const body of bodies) await emitter.publish({ routingKey: "k", body });
  assert.deepEqual(server.published.map((item) => (item as { base64?: string }).base64), ["AAEC/w==", "AAEC/w==", "AQI=", "AAEC/w=="]);
});

test("regression: what holds no bytes is no body", async (t) => {
  const [server, emitter] = await stage(t);
  for (const body of ["text", "", 7, 0, null, false, {}, [1, 2], new Blob(["x"])].map(untyped)) {
    await assert.rejects(emitter.publish({ routingKey: "k", body }), isEmitError("bad_data", /its body is .*: give bytes.*`text`.*`json`/));
  }
  assert.equal(server.batches.length, 0);
});

test("regression: an empty message id is refused", async (t) => {
  const [server, emitter] = await stage(t);
  for (const messageId of ["", 7, null].map(untyped)) {
    await assert.rejects(emitter.publish({ routingKey: "k", messageId }), isEmitError("bad_data", /message id .*: .*leave it out/));
  }
  assert.equal(server.batches.length, 0);
});

test("what cannot be right is refused when the emitter is made", () => {
  for (const server of ["", "nonsense", "h:1", "ws://h", "http://me:hunter2@h", "http://h?x=1"]) {
    assert.throws(() => new Emitter(server, "tickets", "key"), (error) => {
      assert.ok(!String(error).includes("hunter2"));
      return isEmitError("bad_server", /write one such as https/)(error);
    });
  }
  assert.throws(() => new Emitter("http://h", "tickets", "a\nb"), isEmitError("bad_key", /give an API key/));
  assert.throws(() => new Emitter("http://h", "a b", "key"), ChannelNameError);
  assert.throws(() => new Emitter("http://h", "tickets", "key", { batchEvents: 0 }), RangeError);
});
