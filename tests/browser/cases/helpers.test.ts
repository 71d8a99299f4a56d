/** What backends and their tests use of the package, as it is shipped, in Node and with the real server. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { type EmitError, Emitter, formatPosition } from "../../../peer-client/web/dist/emit.js";
import { TestServer, type TestServerOptions, assertEvents, capture } from "../../../peer-client/web/dist/testing.js";
import { installed } from "../harness/installed.js";
import { keepingScenario } from "../harness/keeping.js";
import { Program, ROOT, binary } from "../harness/program.js";
import { type Stage, scenario } from "../harness/scenario.js";

async function testServer(t: TestContext, settings: TestServerOptions["settings"] = {}): Promise<TestServer> {
  const server = await TestServer.start({ channels: ["tickets", "others"], program: binary("signaling-server"), settings });
  t.after(() => server.stop());
  return server;
}

const numbers = (count: number): number[] => Array.from({ length: count }, (_, number) => number);

test("capture gives exactly what a piece of code emitted, in order", async (t) => {
  const server = await testServer(t);
  const [tickets, others] = ["tickets", "others"].map((channel) => new Emitter(server.url, channel, server.key));
  assert.ok(tickets !== undefined && others !== undefined);
  await tickets.emit("ticket", 0, "before");
  const { result, events } = await capture(server, "tickets", () =>
    Promise.all(
      numbers(2_500).map(async (id) => {
        if (id % 100 === 0) await others.emit("other", id, "updated");
        return tickets.emit("ticket", id, "updated", { id });
      }),
    ),
  );
  await tickets.emit("ticket", 0, "after");
  assert.deepEqual(new Set(events.map(({ position }) => formatPosition(position))), new Set(result.map(formatPosition)));
  const inOrder = [...events].sort((a, b) => Number(a.routingKey.split(".")[1]) - Number(b.routingKey.split(".")[1]));
  assertEvents(inOrder, numbers(2_500).map((id) => [`ticket.${id}.updated`, { id }] as const));
  const nothing = await capture(server, "tickets", () => 7);
  assert.deepEqual(nothing, { result: 7, events: [] });
});

test("everything about an event arrives, and one with the same id is published once", async (t) => {
  const server = await testServer(t);
  const emitter = new Emitter(server.url, "tickets", server.key);
  const rest = { routingKey: "ticket.1.attached", messageId: "7", contentType: "x/y", timestamp: 5, headers: { try: 2 } };
  const { events } = await capture(server, "tickets", async () => {
    const first = await emitter.publish({ ...rest, body: new Uint8Array([0, 255]) });
    assert.deepEqual(await emitter.publish({ ...rest, text: "another body" }), first);
    await emitter.publish({ routingKey: "hello", text: "grün" });
  });
  assertEvents(events, [["ticket.1.attached", new Uint8Array([0, 255])], ["hello", "grün"]]);
  const { routingKey, messageId, contentType, timestamp, headers } = events[0] ?? {};
  assert.deepEqual({ routingKey, messageId, contentType, timestamp, headers }, rest);
});

test("what is wrong is told: a channel, a key, an event, and events that are not there any more", async (t) => {
  const server = await testServer(t, { "hub.log_frames": 2, "limits.publish_bytes": 50_000 });
  await assert.rejects(capture(server, "tickest", () => 0), /no channel `tickest`/);
  const emitter = new Emitter(server.url, "tickets", server.key);
  const refused = (status: number) => (error: unknown) => (error as EmitError).reason === "refused" && (error as EmitError).status === status;
  await assert.rejects(new Emitter(server.url, "tickets", "wrong").emit("ticket", 1, "updated"), refused(401));
  await assert.rejects(new Emitter(server.url, "tickest", server.key).emit("ticket", 1, "updated"), refused(404));
  const [small, large] = await Promise.allSettled([
    emitter.emit("ticket", 1, "updated"),
    emitter.emit("ticket", 2, "updated", "x".repeat(50_001)),
  ]);
  assert.ok(small.status === "fulfilled" && large.status === "rejected" && refused(413)(large.reason));
  const many = capture(server, "tickets", async () => {
    for (const id of numbers(20)) await emitter.emit("ticket", id, "updated", "x".repeat(40_000));
  });
  await assert.rejects(many, /any more: let the code emit fewer, or raise hub.log_frames and hub.log_bytes/);
});

/** Node has a WebSocket of its own from 22 on; the one before has it behind a flag. */
const FLAGS = typeof WebSocket === "undefined" ? ["--experimental-websocket"] : [];

/** Runs a file of tests that has the package installed, and waits for its end. */
async function runTests(stage: Stage, text: string): Promise<Program> {
  // Node runs no tests where it sees that it is run by tests.
  const command = ["-u", "NODE_TEST_CONTEXT", process.execPath, "--test", "--test-reporter=spec"];
  const env = { SIGNALING_SERVER: binary("signaling-server"), NODE_OPTIONS: FLAGS.join(" ") };
  const args = [...command, await installed(stage, text)];
  const node = new Program({ name: "node --test", command: "env", args, env });
  stage.atEnd(() => node.kill());
  await node.until("the tests end", () => node.end);
  return node;
}

scenario("the tests that the package's README shows pass, and fail where something else is emitted", {}, async (stage) => {
  const readme = readFileSync(join(ROOT, "peer-client", "web", "README.md"), "utf8");
  const [, text = ""] = /```js\n(import assert[^]*?)```/.exec(readme) ?? [];
  const good = await runTests(stage, text);
  assert.equal(good.end, "code 0", good.stdout.join("\n"));
  assert.match(good.stdout.join("\n"), /✔ a ticket that is closed is told/);
  const bad = await runTests(stage, text.replace('"ticket.1234.closed", { by: "me" }', '"ticket.1234.closed", { by: "you" }'));
  assert.equal(bad.end, "code 1");
  assert.match(bad.stdout.join("\n"), /-.*by: 'you'/);
});

const LISTENER = `
import { test } from "node:test";
import { connect } from "tiercast-peer";
import { Emitter } from "tiercast-peer/emit";
import { Received, TestServer, assertEvents } from "tiercast-peer/testing";

test("who listens for closed tickets receives them", async () => {
  const server = await TestServer.start({ channels: ["tickets"] });
  const received = new Received();
  const client = connect(server.url);
  client.subscribe("tickets", { since: "earliest", match: "ticket.*.closed" }).on("event", received.add);
  const emitter = new Emitter(server.url, "tickets", server.key);
  for (const id of [1, 2, 3]) await Promise.all(["updated", "closed"].map((what) => emitter.emit("ticket", id, what, id)));
  const events = await received.until("the last one", ({ routingKey }) => routingKey === "ticket.3.closed");
  assertEvents(events, [1, 2, 3].map((id) => [\`ticket.\${id}.closed\`, id]));
  client.close();
  await server.stop();
});
`;

scenario("a test can wait for what a client receives", {}, async (stage) => {
  const node = await runTests(stage, LISTENER);
  assert.equal(node.end, "code 0", node.stdout.join("\n"));
  assert.match(node.stdout.join("\n"), /✔ who listens for closed tickets receives them/);
});

const EMITTED = 1_500;

const BACKEND = `
import { Emitter } from "tiercast-peer/emit";
const [server, channel, key, count] = process.argv.slice(2);
const emitter = new Emitter(server, channel, key, { batchEvents: 10 });
for (let first = 0; first < Number(count); first += 50) {
  const ids = Array.from({ length: 50 }, (_, nth) => first + nth);
  await Promise.all(ids.map((id) => emitter.emit("ticket", id, "updated", { id })));
  console.log("up to", ids.at(-1));
}
`;

keepingScenario("what a backend emits is published once and in order, whoever kills the server meanwhile", {}, async (stage) => {
  const { server } = stage;
  const args = [await installed(stage, BACKEND), server.http, server.channel, server.key, String(EMITTED)];
  const backend = new Program({ name: "backend", command: process.execPath, args });
  stage.atEnd(() => backend.kill());
  for (const last of [249, 749, 1_199]) {
    await backend.line(new RegExp(`^up to ${last}$`), "stdout");
    await server.stop("SIGKILL");
    await server.startAgain();
  }
  await backend.until("everything is emitted", () => backend.end);
  assert.equal(backend.end, "code 0", backend.tail());
  const keys: string[] = [];
  for (let since = "earliest", more = true; more; ) {
    const answer = await fetch(`${server.http}/v1/history/${server.channel}?since=${since}`);
    const page = (await answer.json()) as { next: string; more: boolean; events: { routing_key: string }[] };
    keys.push(...page.events.map((event) => event.routing_key));
    ({ next: since, more } = page);
  }
  assert.deepEqual(keys, numbers(EMITTED).map((id) => `ticket.${id}.updated`));
});
