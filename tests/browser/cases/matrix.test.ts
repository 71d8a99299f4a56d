/**
 * The browsers of the matrix (tests/tests/matrix): a page that the server feeds and one that this page feeds, in two browsers,
 * across what breaks between them and a server. What restarts is in broker.test.ts.
 */
import assert from "node:assert/strict";
import { after, before } from "node:test";
import { setTimeout } from "node:timers/promises";
import { BrokerStream } from "../harness/broker-stream.js";
import { Broker } from "../harness/broker.js";
import { Gate } from "../harness/gate.js";
import { type Stage, scenario } from "../harness/scenario.js";
import { type AmqpSource, Server } from "../harness/server.js";

/** Everybody has so many more events before the next break: a quarter of what `TIERCAST_MATRIX` says, 2,000 if it says nothing. */
const STEP = Number(process.env["TIERCAST_MATRIX"] ?? 2_000) / 4;
const CUT_MS = 10_000;

let broker: Broker;
let source: AmqpSource;
before(async () => {
  broker = await Broker.start();
  source = await broker.source("matrix", "stream");
});
after(async () => {
  await broker.end();
});

scenario(
  "pages have every event once across connections that break, a network that swallows everything, and a move to another server",
  async () => Promise.resolve({ amqp: source, set: SMALL }),
  async (stage) => {
    const stream = new BrokerStream(source);
    const { gate, other } = await secondServer(stage);
    const urls = [gate.ws, other.ws];
    const relay = await stage.browser({ name: "relay", urls, maxChildren: 1 });
    await stage.server.untilFed(relay, undefined);
    const child = await stage.browser({ engine: "firefox", name: "child", urls, maxChildren: 0 });
    await child.fedBy(relay);
    const pages = [relay, child];
    const more = async (): Promise<void> => {
      const wanted = relay.events.length + STEP;
      for (const page of pages) await page.has(wanted);
    };

    const breaks = async (): Promise<void> => {
      for (let time = 0; time < 3; time++) {
        await more();
        gate.cut();
      }
      await more();
      gate.hold();
      await setTimeout(CUT_MS);
      gate.release();
      await more();
      await other.startAgain();
      await stage.server.stop("SIGKILL");
      await more();
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

/** So little in memory that whoever comes back reads the stream's past. */
const SMALL = { "hub.log_frames": 64 };

/** A way to the server that can be cut, and another server, which is not there yet: so pages begin at the first one. */
async function secondServer(stage: Stage): Promise<{ gate: Gate; other: Server }> {
  const gate = await Gate.before(stage.server);
  stage.atEnd(async () => gate.end());
  const other = await Server.start({ amqp: source, set: SMALL });
  stage.atEnd(async () => other.stop());
  await other.stop();
  return { gate, other };
}
