/** What a subscription gives: events and gaps. */
import type { Event, HeaderTable } from "./codec/event.js";
import { type GapReason, type Offset, type Position, formatPosition } from "./codec/position.js";

/** The body of an event is not what it was taken for. */
export class BodyError extends Error {
  /** @internal For Node, which shows it: the bundle has a short one. */
  static override readonly name = "BodyError";
  override readonly name = "BodyError";
}

/** An event of the channel. */
export class EventNotification implements Event {
  readonly type = "event";
  readonly channel: string;
  /** Its position: what to give as `since` to go on after it. */
  readonly position: Position;
  /** When the server sealed its frame, in microseconds since the Unix epoch, by the server's clock. */
  readonly sealedUs: number;
  readonly offset: Offset;
  readonly routingKey: string;
  readonly exchange: string;
  readonly contentType: string | undefined;
  readonly messageId: string | undefined;
  readonly timestamp: number | bigint | undefined;
  readonly headers: HeaderTable;
  readonly body: Uint8Array;

  /** @internal */
  constructor(channel: string, position: Position, sealedUs: number, event: Event) {
    this.channel = channel;
    this.position = position;
    this.sealedUs = sealedUs;
    this.offset = event.offset;
    this.routingKey = event.routingKey;
    this.exchange = event.exchange;
    this.contentType = event.contentType;
    this.messageId = event.messageId;
    this.timestamp = event.timestamp;
    this.headers = event.headers;
    this.body = event.body;
  }

  /** The body as text. Throws {@link BodyError} if it is not UTF-8. */
  text(): string {
    try {
      return new TextDecoder("utf-8", { fatal: true }).decode(this.body);
    } catch {
      throw new BodyError(`${this.#name} is not text in UTF-8: take its \`body\``);
    }
  }

  /** What the body says in JSON. Throws {@link BodyError} if it is not JSON in UTF-8. */
  json(): unknown {
    const text = this.text();
    try {
      return JSON.parse(text) as unknown;
    } catch (error) {
      const problem = error instanceof Error ? error.message : String(error);
      throw new BodyError(`${this.#name} is not JSON (${problem}): take its \`text()\` or \`body\``);
    }
  }

  get #name(): string {
    return `the body of event ${formatPosition(this.position)} of \`${this.channel}\`, \`${this.routingKey}\`,`;
  }
}

/** Events that are gone for good: those after `from`, up to where the channel goes on. */
export interface GapNotification {
  readonly type: "gap";
  readonly channel: string;
  /** What the application has. */
  readonly from: Position;
  /** Where the channel goes on. */
  readonly to: Position;
  /**
   * `retention`: older than what the server retains. `epoch`: the numbering began anew; how many events lie between is
   * not known. `source`: the source lost them, or they are larger than the server carries.
   */
  readonly reason: GapReason;
}

/** What is waited for with `for await`. */
export type Notification = EventNotification | GapNotification;
