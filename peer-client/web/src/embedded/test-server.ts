/** The program `signaling-server` on a free port, as long as a test needs it. */
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { kindOf } from "../codec/kind-of.js";
import { comparePositions, formatPosition, parsePosition, type Position } from "../codec/position.js";
import { type Names, checkNames } from "../names.js";
import { type EventJson, TestEvent } from "./test-event.js";

/** Lines of its log that are kept for the report of a failure. */
const TAIL_LINES = 60;

/** What is still there: no server outlives the program that has started it. */
const living = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of living) child.kill("SIGKILL");
});

export interface TestServerOptions {
  /** Channels of the server's own, which are published to over HTTP and kept in memory. */
  readonly channels: readonly string[];
  /** The program. Default: what SIGNALING_SERVER names, or `signaling-server` wherever programs are looked for. */
  readonly program?: string;
  /** Further settings, as `--set` takes them: `{ "limits.publish_bytes": 4096 }`. */
  readonly settings?: Readonly<Record<string, string | number | boolean>>;
}

const OPTIONS = { channels: true, program: true, settings: true } satisfies Names<TestServerOptions>;

/** What the server says about a page of history. */
interface Page {
  readonly next: string;
  readonly events: readonly EventJson[];
  readonly gap?: { readonly from: string; readonly to: string };
}

/** A running server. */
export class TestServer {
  /** Where it is: `http://127.0.0.1:PORT`. */
  readonly url: string;
  /** A key to publish with. */
  readonly key: string;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, url: string, key: string) {
    this.#child = child;
    this.url = url;
    this.key = key;
  }

  /** Starts a server, and waits until its channels can be published to. Rejects with what it says if it does not start. */
  static async start(options: TestServerOptions): Promise<TestServer> {
    checkNames(options, OPTIONS, "`TestServer.start` has no option");
    checkHasChannels(options);
    const { channels, program, settings = {} } = options;
    const command = program ?? process.env["SIGNALING_SERVER"] ?? "signaling-server";
    const key = Buffer.from(crypto.getRandomValues(new Uint8Array(16))).toString("hex");
    const args = ["--listen", "127.0.0.1:0", "--log", "info", ...channels.flatMap((name) => ["--channel", name])];
    args.push(...Object.entries(settings).flatMap(([name, value]) => ["--set", `${name}=${value}`]));
    const env = { ...withoutSettings(process.env), TIERCAST_API_KEYS: key };
    const child = spawn(command, args, { env, stdio: ["ignore", "ignore", "pipe"] });
    living.add(child);
    child.on("exit", () => living.delete(child));
    return new TestServer(child, `http://${await addressOf(child, command)}`, key);
  }

  /** The position of the newest event of a channel. */
  async head(channel: string): Promise<Position> {
    const { channels } = (await this.#get("/v1/channels")) as { channels: { name: string; position: string | null }[] };
    const position = channels.find(({ name }) => name === channel)?.position;
    if (typeof position !== "string") throw new Error(`the server for tests has no channel \`${channel}\``);
    return parsePosition(position);
  }

  /** The events of a channel after one position, up to another. Rejects if the server does not have all of them any more. */
  async events(channel: string, after: Position, to: Position): Promise<TestEvent[]> {
    const events: TestEvent[] = [];
    for (let at = after; comparePositions(at, to) < 0; ) {
      // What a channel has and is not readable yet will be at once: the answer waits for it.
      const page = (await this.#get(`/v1/poll/${channel}?since=${formatPosition(at)}`)) as Page;
      if (page.gap !== undefined) {
        const { from, to: end } = page.gap;
        const problem = `the server for tests does not have the events after ${from} up to ${end} any more`;
        throw new Error(`${problem}: let the code emit fewer, or raise hub.log_frames and hub.log_bytes`);
      }
      events.push(...page.events.map((event) => new TestEvent(event)));
      at = parsePosition(page.next);
    }
    return events.filter(({ position }) => comparePositions(position, to) <= 0);
  }

  /** Ends it, with everything that is connected to it. */
  async stop(): Promise<void> {
    if (!living.has(this.#child)) return;
    const gone = new Promise((resolve) => this.#child.once("exit", resolve));
    this.#child.kill("SIGTERM");
    await gone;
  }

  async #get(path: string): Promise<unknown> {
    const response = await fetch(this.url + path, { headers: { authorization: `Bearer ${this.key}` } });
    const text = await response.text();
    if (!response.ok) throw new Error(`${path}: ${response.status} ${text}`);
    return JSON.parse(text) as unknown;
  }
}

function checkHasChannels(options: unknown): void {
  const channels: unknown = (options as Partial<TestServerOptions> | null | undefined)?.channels;
  if (Array.isArray(channels) && channels.every((name) => typeof name === "string")) return;
  const kind = Array.isArray(channels) ? "an array of something else" : kindOf(channels);
  const fix = 'TestServer.start({ channels: ["tickets"] })';
  throw new TypeError(`the channels of a server for tests are ${kind}: pass an array of names, ${fix}`);
}

/** What the server says when it is ready: where it listens. */
async function addressOf(child: ChildProcess, command: string): Promise<string> {
  const tail: string[] = [];
  return new Promise((resolve, reject) => {
    child.once("error", (error) => {
      living.delete(child);
      const fix = "build it (`cargo build --release -p tiercast-signaling-server`), and name it as `program` or in SIGNALING_SERVER";
      reject(new Error(`\`${command}\` does not start (${error.message}): ${fix}`));
    });
    child.once("close", (code, signal) => {
      reject(new Error(`\`${command}\` ended with ${signal ?? `code ${code ?? "?"}`}:\n${tail.join("\n")}`));
    });
    if (child.stderr === null) return;
    createInterface({ input: child.stderr }).on("line", (line) => {
      tail.push(line);
      if (tail.length > TAIL_LINES) tail.shift();
      const [, address] = /\bstarted\b.*\baddr=([\d.]+:\d+)/.exec(line) ?? [];
      if (address !== undefined) resolve(address);
    });
  });
}

/** The server takes every variable that begins like this for a setting of its own. */
function withoutSettings(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith("TIERCAST_")));
}
