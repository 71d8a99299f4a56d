/** A client of taskcluster-events, as those were written: the npm package eventsource, and bindings of the broker's exchanges. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before } from "node:test";
import { EventSource } from "eventsource";
import { Broker, withConnection } from "../harness/broker.js";
import { Changing } from "../harness/changing.js";
import { type Stage, scenario } from "../harness/scenario.js";
import type { ServerOptions } from "../harness/server.js";

const EXCHANGE = "exchange/taskcluster-queue/v1/task-completed";
const EVENTS = 30;

let broker: Broker;
let folder = "";
before(async () => {
  broker = await Broker.start();
  await broker.source(EXCHANGE, "stream");
  folder = await mkdtemp(join(tmpdir(), "tiercast-state-"));
});
after(async () => {
  await broker.end();
  await rm(folder, { recursive: true, force: true });
});

/** What it is given: messages, and everything else by its name. */
class Listener extends Changing {
  readonly messages: { readonly exchange: string; readonly routingKey: string; readonly number: number }[] = [];
  readonly others: string[] = [];
  readonly #source: EventSource;

  constructor({ server }: Stage, bindings: readonly object[]) {
    super();
    const query = encodeURIComponent(JSON.stringify({ bindings }));
    this.#source = new EventSource(`${server.http}/api/events/v1/connect/?bindings=${query}`);
    this.#source.addEventListener("message", ({ data }) => {
      const { payload, exchange, routingKey } = JSON.parse(String(data)) as {
        payload: { number: number };
        exchange: string;
        routingKey: string;
      };
      this.messages.push({ exchange, routingKey, number: payload.number });
      this.changed();
    });
    for (const name of ["ready", "gap", "error"]) {
      this.#source.addEventListener(name, (event) => {
        // One without data is the library's own: the connection is gone, and it comes back.
        if (name !== "error" || "data" in event) this.others.push(name);
        this.changed();
      });
    }
  }

  async ready(times: number): Promise<void> {
    await this.until("it is ready", () => this.others.filter((name) => name === "ready").length === times);
  }

  close(): void {
    this.#source.close();
  }
}

function numbered(first: number, end: number): number[] {
  return Array.from({ length: end - first }, (_, at) => first + at);
}

async function publish(first: number, end: number): Promise<void> {
  await withConnection(broker.url, async (connection) => {
    const line = await connection.createConfirmChannel();
    for (const number of numbered(first, end)) {
      const key = number % 2 === 0 ? "primary.task.completed" : "secondary.task.completed";
      line.publish(EXCHANGE, key, Buffer.from(JSON.stringify({ number })), { contentType: "application/json" });
    }
    await line.waitForConfirms();
  });
}

const settings = (): Promise<ServerOptions> =>
  Promise.resolve({
    set: {
      "amqp.url": broker.url,
      "amqp.dynamic.exchanges": "exchange/taskcluster-queue/*",
      "limits.reader_retry_ms": 200,
      state_dir: folder,
    },
  });

scenario(
  "a client of taskcluster-events goes on with a server that was killed, and is told of what it missed by one gap",
  settings,
  async (stage) => {
    const listener = new Listener(stage, [{ exchange: EXCHANGE, routingKeyPattern: "primary.#" }]);
    stage.atEnd(() => {
      listener.close();
    });
    await listener.ready(1);
    await publish(0, EVENTS);
    await listener.until("the first events", () => listener.messages.length === EVENTS / 2);
    await stage.server.stop("SIGKILL");
    // What was bound then is not known to the server that comes back.
    await publish(EVENTS, 2 * EVENTS);
    await stage.server.startAgain();
    await listener.ready(2);
    await publish(2 * EVENTS, 3 * EVENTS);
    await listener.until("the others", () => listener.messages.length >= EVENTS);
    const expected = [...numbered(0, EVENTS), ...numbered(2 * EVENTS, 3 * EVENTS)].filter((number) => number % 2 === 0);
    assert.deepEqual(listener.messages.map(({ number }) => number), expected);
    const [{ exchange, routingKey } = {}] = listener.messages;
    assert.deepEqual([exchange, routingKey], [EXCHANGE, "primary.task.completed"]);
    assert.deepEqual(listener.others, ["ready", "ready", "gap"]);
  },
);
