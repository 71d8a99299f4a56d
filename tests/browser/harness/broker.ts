/** A RabbitMQ broker as a process: on free ports, in a folder of its own, stopped and started again with its data. */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ChannelModel, connect } from "amqplib";
import { Program } from "./program.js";
import type { AmqpSource } from "./server.js";

/** Where distributions put the server's own start script. The one in `/usr/sbin` of Debian changes the user. */
const SERVER_SCRIPTS = [
  "/usr/lib/rabbitmq/bin/rabbitmq-server",
  "/opt/rabbitmq/sbin/rabbitmq-server",
  "/usr/sbin/rabbitmq-server",
];

/** Longest time for a broker to take a connection. One that is stopping may never answer. */
const ANSWER_MS = 20_000;

interface Ports {
  readonly amqp: number;
  readonly distribution: number;
  readonly epmd: number;
}

export class Broker {
  readonly url: string;
  readonly #folder: string;
  readonly #ports: Ports;
  readonly #epmd: Program;
  #program: Program;

  private constructor(folder: string, ports: Ports) {
    this.url = `amqp://guest:guest@127.0.0.1:${ports.amqp}/%2f`;
    this.#folder = folder;
    this.#ports = ports;
    // In the foreground and our child; the one that the broker would start stays behind as a daemon.
    const args = ["-port", String(ports.epmd), "-address", "127.0.0.1"];
    this.#epmd = new Program({ name: "epmd", command: "epmd", args });
    this.#program = launch(folder, ports);
  }

  static async start(): Promise<Broker> {
    const [amqp = 0, distribution = 0, epmd = 0] = await freePorts(3);
    const folder = mkdtempSync(join(tmpdir(), "tiercast-broker-"));
    writeFileSync(
      join(folder, "rabbitmq.conf"),
      `listeners.tcp.local = 127.0.0.1:${amqp}\ndisk_free_limit.absolute = 1MB\n`,
    );
    writeFileSync(join(folder, "rabbitmq-env.conf"), "");
    writeFileSync(join(folder, "enabled_plugins"), "[].\n");
    const broker = new Broker(folder, { amqp, distribution, epmd });
    await ready(broker.#program);
    return broker;
  }

  /** Stops it in good order, and waits until it is gone. */
  async stop(): Promise<void> {
    await this.#program.kill("SIGTERM");
  }

  /** Ends it as a crash does. */
  async kill(): Promise<void> {
    await this.#program.kill("SIGKILL");
  }

  /** Starts it with the data it had. Streams come back a little later than the port. */
  async startAgain(): Promise<void> {
    this.#program = launch(this.#folder, this.#ports);
    await ready(this.#program);
  }

  /** A channel for a server; its exchange is made here. */
  async source(channel: string, mode: AmqpSource["mode"]): Promise<AmqpSource> {
    await declareExchange(this.url, channel);
    return { url: this.url, channel, mode };
  }

  async end(): Promise<void> {
    await Promise.allSettled([this.#program.kill("SIGKILL"), this.#epmd.kill("SIGKILL")]);
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 10 });
  }
}

/** Does something with a connection to a broker. That it breaks is told by what was asked of it. */
export async function withConnection<T>(url: string, body: (connection: ChannelModel) => Promise<T>): Promise<T> {
  const connection = await connect(url, { timeout: ANSWER_MS });
  connection.on("error", () => undefined);
  try {
    return await body(connection);
  } finally {
    // One that breaks meanwhile never says that it is closed.
    void connection.close().catch(() => undefined);
  }
}

export async function declareExchange(url: string, name: string): Promise<void> {
  await withConnection(url, async (connection) => {
    const line = await connection.createChannel();
    await line.assertExchange(name, "topic", { durable: true });
  });
}

function launch(folder: string, { amqp, distribution, epmd }: Ports): Program {
  const command = SERVER_SCRIPTS.find((path) => existsSync(path));
  if (command === undefined) throw new Error("there is no RabbitMQ: scripts/install gets it");
  return new Program({
    name: "rabbitmq-server",
    command,
    args: [],
    env: {
      HOME: folder,
      RABBITMQ_NODENAME: `tiercast-${amqp}@localhost`,
      RABBITMQ_NODE_IP_ADDRESS: "127.0.0.1",
      RABBITMQ_NODE_PORT: String(amqp),
      RABBITMQ_DIST_PORT: String(distribution),
      ERL_EPMD_PORT: String(epmd),
      ERL_EPMD_ADDRESS: "127.0.0.1",
      RABBITMQ_CONFIG_FILE: join(folder, "rabbitmq"),
      RABBITMQ_CONF_ENV_FILE: join(folder, "rabbitmq-env.conf"),
      RABBITMQ_ENABLED_PLUGINS_FILE: join(folder, "enabled_plugins"),
      RABBITMQ_MNESIA_BASE: join(folder, "mnesia"),
      RABBITMQ_LOG_BASE: join(folder, "log"),
      RABBITMQ_PID_FILE: join(folder, "pid"),
      // Idle schedulers would spin, on cores that the tests need.
      RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: "+sbwt none +sbwtdcpu none +sbwtdio none",
      // Makes the script replace itself by the server instead of waiting for it.
      RUNNING_UNDER_SYSTEMD: "true",
      NOTIFY_SOCKET: "",
    },
  });
}

/** It says so once all is started and it takes connections. */
async function ready(program: Program): Promise<void> {
  try {
    await program.line(/completed with \d+ plugins/, "stdout");
  } catch (error) {
    throw new Error(`the broker does not start: ${program.stdout.join("\n")}`, { cause: error });
  }
}

async function freePorts(count: number): Promise<number[]> {
  // Held together, so that they differ.
  const holders = Array.from({ length: count }, () => createServer());
  await Promise.all(
    holders.map((holder) => new Promise<void>((resolve) => holder.listen(0, "127.0.0.1", resolve))),
  );
  const ports = holders.map((holder) => (holder.address() as AddressInfo).port);
  await Promise.all(holders.map((holder) => new Promise((resolve) => holder.close(resolve))));
  return ports;
}
