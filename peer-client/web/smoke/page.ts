/** Runs in Chromium: real links between the peers of one page, with a server that is only played. */
import { Client } from "../src/client.js";
import { type Platform, browserPlatform } from "../src/io/platform.js";
import { FakeHub } from "../src/testing/fake-hub.js";
import { FakeSocket } from "../src/testing/fake-socket.js";

const CHANNEL = "builds";

declare const report: (value: unknown) => Promise<unknown>;

interface Member {
  readonly client: Client;
  readonly bodies: string[];
  /** What the server calls it. */
  readonly id: () => number;
}

const hub = new FakeHub(CHANNEL, () => Date.now() * 1000);
const connections: RTCPeerConnection[] = [];

function join(): Member {
  let socket: FakeSocket | undefined;
  const platform: Platform = {
    ...browserPlatform(),
    openSocket: (_url, protocol) => (socket = new FakeSocket(hub, protocol)).asWebSocket(),
    openConnection: (configuration) => {
      const connection = new RTCPeerConnection(configuration);
      connections.push(connection);
      return connection;
    },
  };
  const client = new Client("ws://localhost", {}, platform);
  const bodies: string[] = [];
  const text = new TextDecoder();
  const read = async (): Promise<void> => {
    for await (const notification of client.subscribe(CHANNEL, { since: "earliest" })) {
      bodies.push(notification.type === "event" ? text.decode(notification.body) : notification.reason);
    }
  };
  void read();
  return { client, bodies, id: () => socket?.session ?? 0 };
}

async function until(what: string, isSo: () => boolean): Promise<number> {
  const start = performance.now();
  while (!isSo()) {
    if (performance.now() - start > 15_000) throw new Error(`not within 15 s: ${what}`);
    await new Promise((done) => setTimeout(done, 5));
  }
  return Math.round(performance.now() - start);
}

function expectSame(name: string, got: readonly string[], expected: readonly string[]): void {
  const at = expected.findIndex((body, index) => got[index] !== body);
  if (at >= 0 || got.length !== expected.length) {
    throw new Error(`${name} has ${got.length} of ${expected.length}, first difference at ${at}`);
  }
}

const expected: string[] = [];

async function publish(count: number, length: number): Promise<void> {
  for (let index = 0; index < count; index++) {
    const body = `${expected.length} `.padEnd(length, "x");
    expected.push(body);
    hub.publish(body);
    // Signing takes a millisecond here, and the peers share the page.
    if (index % 20 === 0) await new Promise((done) => setTimeout(done, 0));
  }
}

async function run(): Promise<Record<string, unknown>> {
  const [first, second, third] = [join(), join(), join()];
  const all = [first, second, third];
  const parentOf = ({ client }: Member): number | undefined => client.stats().channels[0]?.parent;
  await publish(10, 20);
  await until("all are fed by the server", () => all.every(({ bodies }) => bodies.length === 10));

  hub.assign(second.id(), first.id());
  const linkMs = await until("the second has a parent", () => parentOf(second) === first.id());
  hub.assign(third.id(), second.id());
  await until("the third has a parent", () => parentOf(third) === second.id());

  await publish(2_000, 300);
  await publish(20, 100_000);
  const transferMs = await until("all have all", () => all.every(({ bodies }) => bodies.length === expected.length));
  const { relayedBytes } = second.client.stats();
  const fromParent = third.client.stats().parentBytes;

  second.client.close();
  const lossMs = await until("the third is fed by the server", () => parentOf(third) === undefined);
  await publish(50, 50);
  const rest = [first, third];
  await until("the others go on", () => rest.every(({ bodies }) => bodies.length === expected.length));
  for (const { bodies } of rest) expectSame("a peer", bodies, expected);

  for (const { client } of rest) client.close();
  await until("all connections are closed", () => connections.every(({ signalingState }) => signalingState === "closed"));
  return { linkMs, transferMs, lossMs, relayedBytes, fromParent, connections: connections.length, events: expected.length };
}

await report(await run());
