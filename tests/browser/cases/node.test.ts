/** The package in Node, as a program that installed it has it: no page, no links, and an end when it is closed. */
import assert from "node:assert/strict";
import { installed } from "../harness/installed.js";
import { Program } from "../harness/program.js";
import { type Stage, scenario } from "../harness/scenario.js";

const EVENTS = 300;

/** Node has a WebSocket of its own from 22 on; the one before has it behind a flag. */
const FLAGS = typeof WebSocket === "undefined" ? ["--experimental-websocket"] : [];

const PROGRAM = `
import { connect } from "tiercast-peer";
const [servers, channel, count] = process.argv.slice(2);
const client = connect(servers.split(","));
client.on("status", ({ kind, peer, server }) => console.log(JSON.stringify({ kind, peer, server })));
let events = 0;
for await (const told of client.subscribe(channel, { since: "earliest", match: "wanted.#" })) {
  console.log(JSON.stringify(told.type === "event" ? { json: told.json(), key: told.routingKey } : told));
  if (++events === Number(count)) break;
}
console.log(JSON.stringify({ links: client.stats().connectionsOpened }));
client.close();
`;

interface Line {
  readonly json?: { readonly number: number };
  readonly key?: string;
  readonly kind?: string;
  readonly peer?: number;
  readonly links?: number;
}

async function nodeClient(stage: Stage, servers: readonly string[]): Promise<Program> {
  const path = await installed(stage, PROGRAM);
  const args = [...FLAGS, path, servers.join(","), stage.server.channel, String(EVENTS)];
  const program = new Program({ name: "node", command: process.execPath, args });
  stage.atEnd(() => program.kill());
  return program;
}

async function publish(stage: Stage, first: number, end: number): Promise<void> {
  for (let number = first; number < end; number++) {
    const body = Buffer.from(JSON.stringify({ number }));
    await stage.server.publish({ routingKey: "other", body });
    await stage.server.publish({ routingKey: `wanted.${number}`, body });
  }
}

scenario("a program in Node is fed by the server, misses nothing, and ends when it closes the client", {}, async (stage) => {
  await publish(stage, 0, EVENTS / 2);
  // Nobody listens at the other one.
  const node = await nodeClient(stage, ["ws://127.0.0.1:1", stage.server.ws]);
  const connected = await node.line(/"kind":"connected","peer":(\d+)/, "stdout");
  await stage.server.untilTree("the program is fed by the server for good", (peers) =>
    peers.some(({ peer, place }) => peer === Number(connected[1]) && place === "direct"),
  );
  await publish(stage, EVENTS / 2, EVENTS);
  await node.until("the program ends", () => node.end);
  assert.equal(node.end, "code 0", node.stderr.join("\n"));
  const lines = node.stdout.map((line) => JSON.parse(line) as Line);
  const events = lines.filter(({ json }) => json !== undefined);
  const numbers = Array.from({ length: EVENTS }, (_, number) => number);
  assert.deepEqual(events.map(({ json }) => json?.number), numbers);
  assert.deepEqual(events.map(({ key }) => key), numbers.map((number) => `wanted.${number}`));
  assert.equal(lines.find(({ links }) => links !== undefined)?.links, 0);
});
