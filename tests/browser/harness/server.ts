/** `signaling-server` as a process, what its HTTP side tells, and publishing to it. */
import { ask } from "./changing.js";
import { Program, binary } from "./program.js";
import type { Subscriber } from "./subscriber.js";

const API_KEY = "a-key-for-the-tests";

/** A channel whose events come from a broker, from the exchange of the same name. */
export interface AmqpSource {
  /** Of a cluster: of its nodes, with commas between them. */
  readonly url: string;
  readonly channel: string;
  readonly mode: "stream" | "queue";
}

export interface ServerOptions {
  readonly tier1?: number;
  /** Further channels of the server's own. */
  readonly more?: readonly string[];
  /** Without it the channel is the server's own, to be published to over HTTP. */
  readonly amqp?: AmqpSource;
  /** Further settings, as `--set` takes them. */
  readonly set?: Readonly<Record<string, string | number>>;
}

/** What is published. */
export interface Message {
  readonly routingKey?: string;
  readonly body: Buffer;
  readonly contentType?: string;
  readonly messageId?: string;
  readonly timestamp?: number;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Published extends Message {
  readonly position: string;
}

export interface TreeNode {
  readonly peer: number;
  readonly parent: number | null;
  readonly tier: number;
  readonly place: "root" | "direct" | "waiting" | "linking" | "child" | "orphan";
  readonly node: "native" | "browser" | null;
  readonly children: number;
  readonly children_max: number;
}

export class Server {
  readonly channel: string;
  readonly #args: readonly string[];
  #program: Program;
  #address: string;

  private constructor(program: Program, address: string, args: readonly string[], channel: string) {
    this.channel = channel;
    this.#program = program;
    this.#address = address;
    this.#args = args;
  }

  static async start({ tier1 = 1, more = [], amqp, set = {} }: ServerOptions): Promise<Server> {
    const channel = amqp?.channel ?? "builds";
    // The tree is always the present one: what is waited for must not have been so before.
    const fresh = { "limits.topology_ms": 0 };
    const settings = { "hub.tier1_min": tier1, "hub.tier1_max": tier1, ...fresh, ...(amqp && settingsOf(amqp)), ...set };
    const args = Object.entries(settings).flatMap(([key, value]) => ["--set", `${key}=${value}`]);
    if (amqp === undefined) args.push(...[channel, ...more].flatMap((name) => ["--channel", name]));
    const program = launch("127.0.0.1:0", args);
    const server = new Server(program, await addressOf(program), args, channel);
    await server.#ready();
    return server;
  }

  get program(): Program {
    return this.#program;
  }

  get ws(): string {
    return `ws://${this.#address}/v1/ws`;
  }

  get http(): string {
    return `http://${this.#address}`;
  }

  /** What is good for everything. */
  get key(): string {
    return API_KEY;
  }

  get address(): string {
    return this.#address;
  }

  async stop(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    await this.#program.kill(signal);
  }

  /** Starts a stopped server again, where it was. */
  async startAgain(): Promise<void> {
    this.#program = launch(this.#address, this.#args);
    this.#address = await addressOf(this.#program);
    await this.#ready();
  }

  /** Publishes one event; resolves with its position once the server has taken it. */
  async publish(message: Message, channel = this.channel): Promise<Published> {
    const { routingKey = "build.linux.passed", body, contentType, messageId, timestamp, headers = {} } = message;
    const sent = new Headers({ authorization: `Bearer ${API_KEY}` });
    if (contentType !== undefined) sent.set("content-type", contentType);
    if (messageId !== undefined) sent.set("tiercast-message-id", bytesOf(messageId));
    if (timestamp !== undefined) sent.set("tiercast-timestamp", String(timestamp));
    for (const [name, value] of Object.entries(headers)) sent.set(`tiercast-header-${name}`, bytesOf(value));
    const url = `${this.http}/v1/publish/${channel}?routing_key=${encodeURIComponent(routingKey)}`;
    const response = await fetch(url, { method: "POST", headers: sent, body: new Uint8Array(body) });
    const text = await response.text();
    if (!response.ok) throw new Error(`the server refused to publish: ${response.status} ${text}`);
    const { position } = JSON.parse(text) as { position: string };
    return { ...message, routingKey, position };
  }

  /** Publishes events, as the body of a batch has them, in one frame. */
  async publishBatch(events: readonly object[], channel = this.channel): Promise<void> {
    const headers = { authorization: `Bearer ${API_KEY}`, "content-type": "application/json" };
    const url = `${this.http}/v1/publish/${channel}/batch`;
    const response = await fetch(url, { method: "POST", headers, body: JSON.stringify(events) });
    if (!response.ok) throw new Error(`the server refused to publish: ${response.status} ${await response.text()}`);
    await response.body?.cancel();
  }

  /** A metric without labels. */
  async metric(name: string): Promise<number> {
    const page = await (await fetch(`${this.http}/metrics`)).text();
    const [, value] = new RegExp(`^tiercast_${name} (.+)$`, "m").exec(page) ?? [];
    if (value === undefined) throw new Error(`there is no metric ${name}`);
    return Number(value);
  }

  async topology(): Promise<TreeNode[]> {
    const url = `${this.http}/v1/topology/${this.channel}`;
    const response = await fetch(url, { headers: { authorization: `Bearer ${API_KEY}` } });
    if (!response.ok) throw new Error(`no topology: ${response.status} ${await response.text()}`);
    return ((await response.json()) as { peers: TreeNode[] }).peers;
  }

  /** Waits until the tree is as `condition` says. */
  async untilTree<T>(what: string, condition: (peers: readonly TreeNode[]) => T | undefined | false): Promise<T> {
    let peers: TreeNode[] = [];
    return ask(
      what,
      async () => {
        peers = await this.topology();
        return condition(peers);
      },
      () => JSON.stringify(peers),
    );
  }

  /** Waits until `child` stands below `parent`; undefined is the server. */
  async untilFed(child: Subscriber, parent: Subscriber | undefined): Promise<TreeNode> {
    return this.untilTree(`${child.name} stands below ${parent?.name ?? "the server"}`, (peers) => {
      const node = peers.find(({ peer }) => peer === child.peer);
      if (parent === undefined) return node?.place === "root" && node;
      return node?.place === "child" && node.parent === parent.peer && node;
    });
  }

  async #ready(): Promise<void> {
    await ask("the server is ready", async () => (await fetch(`${this.http}/readyz`)).ok);
  }
}

function settingsOf({ url, channel, mode }: AmqpSource): Record<string, string> {
  const bindings = `[{ exchange = "${channel}", patterns = ["#"] }]`;
  return {
    "amqp.url": url,
    channels: `[{ name = "${channel}", source = "amqp", mode = "${mode}", bindings = ${bindings} }]`,
  };
}

function launch(listen: string, args: readonly string[]): Program {
  return new Program({
    name: "signaling-server",
    command: binary("signaling-server"),
    args: ["--listen", listen, "--log", "info,lapin=off", ...args],
    env: { TIERCAST_API_KEYS: API_KEY },
  });
}

async function addressOf(program: Program): Promise<string> {
  const [, address] = await program.line(/\bstarted\b.*\baddr=([\d.]+:\d+)/);
  if (address === undefined) throw new Error("the server did not say where it listens");
  return address;
}

/** UTF-8 as `fetch` takes it: a character per byte. */
function bytesOf(text: string): string {
  return Buffer.from(text, "utf8").toString("latin1");
}
