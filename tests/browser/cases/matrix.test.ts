/**
 * The browsers of the matrix (tests/tests/matrix): a page that the server feeds and one that this page feeds, in two browsers,
 * across what breaks between them and a server, or behind it, and what they change themselves. A broker that is stopped in good
 * order is in broker.test.ts.
 */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before } from "node:test";
import { setTimeout } from "node:timers/promises";
import { BrokerStream } from "../harness/broker-stream.js";
import { Broker } from "../harness/broker.js";
import type { BrowserOptions, BrowserPeer } from "../harness/browser-peer.js";
import { ask } from "../harness/changing.js";
import { Cluster } from "../harness/cluster.js";
import { Gate } from "../harness/gate.js";
import { type Stage, scenario } from "../harness/scenario.js";
import { type AmqpSource, Server } from "../harness/server.js";

/** So many events at least are published in each scenario. */
const EVENTS = Number(process.env["TIERCAST_MATRIX"] ?? 2_000);
const CUT_MS = 10_000;

/** Events that are published over HTTP at once, and how long that takes at least. */
const BATCH = 50;
const BATCH_MS = 50;

/** What events are about, one after the other. */
const KEYS = ["a.x", "b.x", "c.x"];

/** What is bound at first, and what of the keys matches it. */
const FIRST = { pattern: "a.*", wanted: ["a.x"] };

/** What changes, one after the other, and which of the keys match then. */
const CHANGES = [
  { change: "bind", pattern: "b.*", wanted: ["a.x", "b.x"] },
  { change: "unbind", pattern: "a.*", wanted: ["b.x"] },
  { change: "bind", pattern: "#", wanted: KEYS },
  { change: "unbind", pattern: "#", wanted: ["b.x"] },
] as const;

/** So little in memory that whoever comes back reads the stream's past. */
const SMALL = { "hub.log_frames": 64 };

let broker: Broker;
let brokerGate: Gate;
let folder: string;
before(async () => {
  broker = await Broker.start();
  brokerGate = await Gate.before(() => broker.url);
  folder = await mkdtemp(join(tmpdir(), "tiercast-data-"));
});
after(async () => {
  await brokerGate.end();
  await broker.end();
  await rm(folder, { recursive: true, force: true });
});

let source: AmqpSource;

scenario(
  "pages have every event once across connections that break, networks that swallow everything, and a move to another server",
  async () => {
    source = await sourceBehindGate("matrix");
    // Longer than nothing gets through: a connection that still stands is kept.
    return { amqp: source, set: { ...SMALL, "amqp.heartbeat_s": 60 } };
  },
  async (stage) => {
    const stream = new BrokerStream({ ...source, url: broker.url });
    const { gate, other } = await secondServer(stage);
    const pages = await pair(stage, { urls: [gate.ws, other.ws] });

    const breaks = async (): Promise<void> => {
      for (let time = 1; time <= 3; time++) {
        for (const page of pages) await page.subscribed(time);
        await more(pages, EVENTS / 7);
        gate.cut();
      }
      for (const way of [gate, brokerGate]) {
        await more(pages, EVENTS / 7);
        way.hold();
        await setTimeout(CUT_MS);
        way.release();
      }
      await more(pages, EVENTS / 7);
      assert.equal(await stage.server.metric("amqp_reconnects_total"), 0, "the server has kept its connection to the broker");
      await other.startAgain();
      await stage.server.stop("SIGKILL");
      await more(pages, EVENTS / 7);
    };
    await stream.runDuring(breaks());
    await stream.expectAt(...pages);
    for (const { name, news } of pages) {
      const connections = news.filter(({ kind }) => kind === "connected").length;
      assert.ok(connections >= 5, `${name} was connected ${connections} times`);
    }
    console.log(`${stream.published.length} events each`);
  },
);

scenario(
  "pages have every event once when the broker is killed and comes back, and across connections that are dead and nobody is told",
  async () => {
    source = await sourceBehindGate("matrix-broker");
    // Nobody else can say that a connection is dead.
    return { amqp: source, set: { ...SMALL, "hub.heartbeat_ms": 1_000, "amqp.heartbeat_s": 2 } };
  },
  async (stage) => {
    const stream = new BrokerStream({ ...source, url: broker.url });
    const gate = await gateBefore(stage);
    const pages = await pair(stage, { urls: [gate.ws] });
    let reconnects = 0;

    const breaks = async (): Promise<void> => {
      await more(pages, EVENTS / 4);
      await broker.kill();
      await broker.startAgain();
      for (const way of [gate, brokerGate]) {
        await more(pages, EVENTS / 4);
        reconnects = await stage.server.metric("amqp_reconnects_total");
        way.hold();
        await setTimeout(CUT_MS);
        way.releaseNew();
      }
      await more(pages, EVENTS / 4);
    };
    await stream.runDuring(breaks());
    await stream.expectAt(...pages);
    for (const { name, news } of pages) {
      assert.ok(news.filter(({ kind }) => kind === "connected").length >= 2, `${name} has left a connection that was dead`);
    }
    assert.ok((await stage.server.metric("amqp_reconnects_total")) > reconnects, "the server has left a connection that was dead");
    console.log(`${stream.published.length} events each`);
  },
);

let cluster: Cluster;

scenario(
  "pages have every event once when the server is killed and comes back, and of three broker nodes the one that it is connected to and the one that leads",
  async () => {
    cluster = await Cluster.start();
    source = await cluster.source("matrix-cluster", 2);
    return { amqp: source, set: SMALL };
  },
  async (stage) => {
    stage.atEnd(() => cluster.end());
    const stream = new BrokerStream({ ...source, url: cluster.url(1) });
    const pages = await pair(stage);

    const breaks = async (): Promise<void> => {
      await more(pages, EVENTS / 4);
      await stage.server.stop("SIGKILL");
      await stage.server.startAgain();
      await more(pages, EVENTS / 4);
      await cluster.kill(0);
      await more(pages, EVENTS / 4);
      await cluster.startAgain(0);
      assert.equal(await cluster.leader(source.channel), 2, "another node leads the stream");
      await cluster.kill(2);
      await more(pages, EVENTS / 4);
    };
    await stream.runDuring(breaks());
    await stream.expectAt(...pages);
    assert.ok((await stage.server.metric("amqp_reconnects_total")) > 0, "the server went to another node");
    console.log(`${stream.published.length} events each`);
  },
);

scenario(
  "pages have what was bound at each event's place, once, while the filter changes, and after a pause",
  async () => {
    source = await broker.source("matrix-filter", "stream");
    return { amqp: source, set: SMALL };
  },
  async (stage) => {
    const stream = new BrokerStream(source, KEYS);
    const pages = await pair(stage, { match: [FIRST.pattern] });
    const bound = new Map(pages.map(({ name }) => [name, [{ after: -1, wanted: FIRST.wanted }]]));

    const changes = async (): Promise<void> => {
      for (const { change, pattern, wanted } of CHANGES) {
        await more(pages, EVENTS / 20);
        for (const page of pages) bound.get(page.name)?.push({ after: await page.change(change, pattern), wanted: [...wanted] });
      }
      await more(pages, EVENTS / 20);
      await pause(stream, pages, EVENTS / 4);
      await more(pages, EVENTS / 6);
    };
    await stream.runDuring(changes());
    await stream.expectWanted(({ name }, { position, routingKey = "" }) => {
      const there = bound.get(name)?.findLast(({ after }) => after < Number(position));
      return there?.wanted.includes(routingKey) === true;
    }, ...pages);
    console.log(`${stream.published.length} events: ${pages.map(({ name, events }) => `${name} ${events.length}`).join()}`);
  },
);

scenario(
  "pages have every event once that is published over HTTP when a server with a data folder is killed and comes back",
  async () => Promise.resolve({ set: { ...SMALL, data_dir: folder } }),
  async (stage) => {
    const pages = await pair(stage);
    let published = 0;
    let isOver = false;
    const publish = async (): Promise<void> => {
      while (!isOver) {
        const batch = Array.from({ length: BATCH }, (_, at) => ({ message_id: String(published + at), text: "passed" }));
        const send = async (): Promise<boolean> => stage.server.publishBatch(batch).then(
          () => true,
          // That the server is down is the subject of the test: the same ids are published again.
          () => false,
        );
        await ask("a batch is confirmed", send);
        published += BATCH;
        await setTimeout(BATCH_MS);
      }
    };
    const kill = async (): Promise<void> => {
      await more(pages, EVENTS / 2);
      await stage.server.stop("SIGKILL");
      await stage.server.startAgain();
      await more(pages, EVENTS / 2);
    };
    const over = kill().finally(() => {
      isOver = true;
    });
    await Promise.all([publish(), over]);
    const expected = Array.from({ length: published }, (_, number) => String(number));
    for (const page of pages) {
      await page.has(published);
      assert.deepEqual(page.events.map(({ messageId }) => messageId), expected, page.name);
      assert.deepEqual(page.gaps, [], `${page.name} has gaps`);
    }
    console.log(`${published} events each`);
  },
);

/** A page in Chromium that the server feeds, and one in Firefox that the first one feeds. */
async function pair(stage: Stage, options: BrowserOptions = {}): Promise<readonly BrowserPeer[]> {
  const relay = await stage.browser({ ...options, name: "relay", maxChildren: 1 });
  await stage.server.untilFed(relay, undefined);
  const child = await stage.browser({ ...options, engine: "firefox", name: "child", maxChildren: 0 });
  await child.fedBy(relay);
  return [relay, child];
}

/** Waits until each has so many events more. */
async function more(pages: readonly BrowserPeer[], events: number): Promise<void> {
  const wanted = pages.map((page) => page.events.length + events);
  for (const [index, page] of pages.entries()) await page.has(wanted[index] ?? 0);
}

/** Nothing is given to anybody while so many events are published. */
async function pause(stream: BrokerStream, pages: readonly BrowserPeer[], events: number): Promise<void> {
  const paused = await Promise.all(pages.map(async (page) => page.change("pause")));
  const published = stream.published.length + events;
  await ask(`${published} events are published`, async () => Promise.resolve(stream.published.length >= published));
  const resumed = await Promise.all(pages.map(async (page) => page.change("resume")));
  assert.deepEqual(resumed, paused, "nothing was given during the pause");
}

/** A channel for servers whose way to the broker can be cut. */
async function sourceBehindGate(channel: string): Promise<AmqpSource> {
  const made = await broker.source(channel, "stream");
  return { ...made, url: brokerGate.through(broker.url) };
}

/** A way to the server that can be cut. */
async function gateBefore(stage: Stage): Promise<Gate> {
  const gate = await Gate.before(() => stage.server.http);
  stage.atEnd(async () => gate.end());
  return gate;
}

/** Such a way, and another server, which is not there yet: so pages begin at the first one. */
async function secondServer(stage: Stage): Promise<{ gate: Gate; other: Server }> {
  const gate = await gateBefore(stage);
  const other = await Server.start({ amqp: source, set: SMALL });
  stage.atEnd(async () => other.stop());
  await other.stop();
  return { gate, other };
}
