/** A server that is just good enough for tests: one channel, a log without end, and links where a test wants them. */
import { BEFORE_FIRST, type Frame, type Position, ToHub, ToPeer, channelId } from "../codec/index.js";
import { Cursor } from "../core/cursor.js";
import { FrameLog } from "../core/log.js";
import { Sealer, type TestEvent } from "./seal.js";

interface Session {
  readonly send: (bytes: Uint8Array) => void;
  /** While the server feeds the session. */
  cursor: Cursor | undefined;
}

export class FakeHub {
  readonly sealer: Sealer;
  /** What it says that it signs with. */
  keys: readonly Uint8Array[];
  /** Everything that peers said, but for signals and pongs. */
  readonly heard: { readonly session: number; readonly message: ToHub }[] = [];
  readonly #sessions = new Map<number, Session>();
  readonly #links = new Map<number, readonly [number, number]>();
  readonly #log = new FrameLog({ bytes: Infinity, entries: Infinity }, { epoch: 1, offset: BEFORE_FIRST });
  #ids = 0;
  /** Sends whatever there is at once. */
  ignoresWindows = false;
  /** What the next `subscribe` is answered with, instead of being granted. */
  refusal: { readonly code: number; readonly retry_after_ms?: number } | undefined;
  /** The server's clock. */
  now: () => number;

  constructor(channel: string, now: () => number, seed = 7) {
    this.sealer = new Sealer(channel, seed);
    this.keys = [this.sealer.publicKey];
    this.now = now;
  }

  get head(): Position {
    return this.#log.head;
  }

  /** A peer has connected. Its number is also that of its peer. */
  open(send: (bytes: Uint8Array) => void): number {
    const id = ++this.#ids;
    this.#sessions.set(id, { send, cursor: undefined });
    return id;
  }

  close(session: number): void {
    this.#sessions.delete(session);
  }

  receive(id: number, bytes: Uint8Array): void {
    const session = this.#sessions.get(id);
    if (session === undefined) return;
    const message = ToHub.decode(bytes);
    if (message.type !== "signal" && message.type !== "pong") this.heard.push({ session: id, message });
    switch (message.type) {
      case "hello":
        this.say(id, {
          type: "welcome",
          id: message.id,
          session: id,
          peer: id,
          resume: new Uint8Array(16),
          server_time_us: this.now(),
          keys: this.keys,
          heartbeat_ms: 15_000,
          head_ms: 1_000,
          ice_servers: [],
        });
        break;
      case "subscribe":
        this.#onSubscribe(session, id, message);
        break;
      case "feed":
        this.#start(session, message);
        break;
      case "fed":
        session.cursor = undefined;
        break;
      case "pull":
        this.#onPull(session, message.position);
        break;
      case "at":
        session.cursor?.acknowledge(this.#log, message.position);
        this.#feed(session);
        break;
      case "signal": {
        const other = this.#links.get(message.link)?.find((end) => end !== id);
        if (other !== undefined) this.say(other, message);
        break;
      }
      case "ping":
        if (session.cursor === undefined) this.#sendHead(session);
        this.say(id, { type: "pong", time_us: message.time_us });
        break;
      case "relay":
      case "unsubscribe":
      case "report":
      case "pong":
        break;
    }
  }

  say(session: number, message: ToPeer): void {
    this.#sessions.get(session)?.send(ToPeer.encode(message));
  }

  /** Makes `parent` serve `child`, or stand by. */
  assign(child: number, parent: number, standby = false): number {
    const link = ++this.#ids;
    const { channel } = this.sealer;
    const token = new Uint8Array(16).fill(link);
    this.#links.set(link, [child, parent]);
    this.say(parent, { type: "expect", channel, link, child, token, offers: false });
    this.say(child, { type: "assign", channel, link, parent, token, offers: true, standby });
    return link;
  }

  /** Publishes events with the next offsets, in one frame. */
  publish(...bodies: readonly string[]): Frame {
    const first = this.head.offset + 1;
    const events = bodies.map((body, index) => ({ offset: first + index, body: new TextEncoder().encode(body) }));
    return this.publishEvents(events);
  }

  publishEvents(events: readonly TestEvent[]): Frame {
    const last = events.at(-1)?.offset ?? this.head.offset + 1;
    const frame = this.sealer.seal(this.head, last, this.now(), events);
    this.#log.push(frame);
    for (const session of this.#sessions.values()) this.#feed(session);
    return frame;
  }

  /** The numbering begins anew. */
  restart(epoch: number): void {
    this.#log.jump({ epoch, offset: BEFORE_FIRST }, "epoch");
  }

  /** What a server says when it has nothing else to say. */
  ping(): void {
    for (const id of this.#sessions.keys()) this.say(id, { type: "ping", time_us: this.now() });
  }

  /** Tells everybody how far the channel is. */
  sendHead(): void {
    for (const session of this.#sessions.values()) if (session.cursor !== undefined) this.#sendHead(session);
  }

  #sendHead({ send }: Session): void {
    send(this.sealer.head(this.head, this.now()).bytes);
  }

  #onSubscribe(session: Session, id: number, message: Extract<ToHub, { type: "subscribe" }>): void {
    const { channel } = this.sealer;
    const { since } = message;
    if (this.refusal !== undefined) {
      this.say(id, { type: "error", id: message.id, reason: "not today", ...this.refusal });
      this.refusal = undefined;
      return;
    }
    const earliest = { epoch: this.head.epoch, offset: BEFORE_FIRST };
    const start = typeof since !== "string" ? since : since === "now" ? this.head : earliest;
    this.say(id, {
      type: "subscribed",
      id: message.id,
      channel,
      channel_id: channelId(channel),
      position: start,
      head: this.head.offset,
      recovered: true,
    });
    this.#start(session, { ...message, position: start });
  }

  #start(session: Session, from: { readonly position: Position; readonly window_bytes: number }): void {
    session.cursor = new Cursor(from.position, this.ignoresWindows ? Infinity : from.window_bytes);
    this.#feed(session);
  }

  /** Sends what there is after `position`, once. */
  #onPull({ send, cursor }: Session, position: Position): void {
    if (cursor === undefined) this.#feed({ send, cursor: new Cursor(position, Infinity) });
  }

  #feed({ cursor, send }: Session): void {
    if (cursor === undefined) return;
    for (let read = cursor.read(this.#log); read.kind !== "up_to_date"; read = cursor.read(this.#log)) {
      if (read.kind === "frame") {
        cursor.sent(read.frame);
        send(read.frame.bytes);
      } else {
        const { channel } = this.sealer;
        const { to, reason } = read;
        send(ToPeer.encode({ type: "gap", channel, from: cursor.position, to, reason }));
        cursor.skip(to);
      }
    }
  }
}
