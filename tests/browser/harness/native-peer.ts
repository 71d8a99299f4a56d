/** `peer-client subscribe`: what it prints, read back. */
import { Program, binary } from "./program.js";
import type { Server } from "./server.js";
import { type Item, type News, Subscriber } from "./subscriber.js";

export interface NativeOptions {
  readonly name?: string;
  readonly maxChildren?: number;
  readonly since?: string;
  readonly args?: readonly string[];
}

export class NativePeer extends Subscriber {
  readonly program: Program;

  constructor(server: Server, { name = "native", maxChildren, since, args = [] }: NativeOptions) {
    super(name);
    const children = maxChildren === undefined ? [] : ["--max-children", String(maxChildren)];
    const start = since === undefined ? [] : ["--since", since];
    this.program = new Program({
      name,
      command: binary("peer-client"),
      args: ["subscribe", server.ws, server.channel, ...children, ...start, ...args],
      onStdout: (line) => {
        this.items.push(parseLine(line));
        this.changed();
      },
      onStderr: (line) => {
        const news = parseStatus(line);
        if (news !== undefined) this.news.push(news);
        this.changed();
      },
    });
  }

  /** As if the machine had lost power: no goodbye. */
  async kill(): Promise<void> {
    await this.program.kill("SIGKILL");
  }

  override async stop(): Promise<void> {
    await this.program.kill("SIGKILL");
  }

  override describe(): string {
    return `${this.program.tail()}\n    ${this.events.length} events, gaps ${JSON.stringify(this.gaps)}`;
  }
}

interface Line {
  readonly gap?: { readonly from: string; readonly to: string; readonly reason: string };
  readonly position: string;
  readonly routing_key: string;
  readonly exchange: string;
  readonly content_type: string | null;
  readonly message_id: string | null;
  readonly timestamp: number | null;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly text?: string;
  readonly hex?: string;
  readonly json?: unknown;
}

function parseLine(text: string): Item {
  const line = JSON.parse(text) as Line;
  if (line.gap !== undefined) return { kind: "gap", ...line.gap };
  return {
    kind: "event",
    atMs: performance.now(),
    position: line.position,
    routingKey: line.routing_key,
    exchange: line.exchange,
    contentType: line.content_type ?? undefined,
    messageId: line.message_id ?? undefined,
    timestamp: line.timestamp ?? undefined,
    headers: line.headers,
    body: bodyOf(line),
  };
}

function bodyOf({ text, hex, json }: Line): Buffer {
  if (text !== undefined) return Buffer.from(text, "utf8");
  if (hex !== undefined) return Buffer.from(hex, "hex");
  // JSON is printed anew, so its bytes cannot be compared: the tests publish none.
  throw new Error(`a body that is JSON: ${JSON.stringify(json)}`);
}

const STATUSES: readonly (readonly [RegExp, (match: RegExpExecArray) => News])[] = [
  [/^connected to \S+ as peer (\d+)/, ([, peer]) => ({ kind: "connected", peer: Number(peer) })],
  [/^error: (.*)/, ([, reason = ""]) => ({ kind: "disconnected", reason, isForGood: true })],
  [
    /^not connected: (.*) \(trying again until it works\)$/,
    ([, reason = ""]) => ({ kind: "disconnected", reason, isForGood: false }),
  ],
  [
    /^subscribed to \S+ (?:at (\S+?)|from the beginning)(;.*)?$/,
    ([, position = "", gap]) => ({ kind: "subscribed", position, recovered: gap === undefined }),
  ],
  [/^in tier (\d+)/, ([, tier]) => ({ kind: "placed", tier: Number(tier) })],
  [/^fed by the server, relaying nothing/, () => ({ kind: "placed", tier: 0 })],
  [/^fed by peer (\d+)/, ([, parent]) => ({ kind: "parent", parent: Number(parent) })],
  [/^fed by the server$/, () => ({ kind: "parent", parent: undefined })],
  [/^relaying to (\d+)/, ([, count]) => ({ kind: "children", count: Number(count) })],
  [
    /^link to peer (\d+) closed: (\d+)/,
    ([, peer, code]) => ({ kind: "link_lost", peer: Number(peer), code: Number(code) }),
  ],
];

function parseStatus(line: string): News | undefined {
  for (const [pattern, toNews] of STATUSES) {
    const match = pattern.exec(line);
    if (match !== null) return toNews(match);
  }
  return undefined;
}
