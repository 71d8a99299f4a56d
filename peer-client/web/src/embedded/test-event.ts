/** An event as the server's history has it. */
import { type Position, parsePosition } from "../codec/position.js";

/** An event as JSON, by the protocol. */
export interface EventJson {
  readonly position: string;
  readonly routing_key: string;
  readonly content_type?: string;
  readonly message_id?: string;
  readonly timestamp?: number | string;
  readonly headers?: Readonly<Record<string, unknown>>;
  readonly encoding: "json" | "text" | "base64";
  readonly body: unknown;
  readonly raw?: string;
}

/** An event that was published. */
export class TestEvent {
  readonly position: Position;
  readonly routingKey: string;
  readonly contentType: string | undefined;
  readonly messageId: string | undefined;
  /** In seconds; beyond 2^53 - 1 a text of digits. */
  readonly timestamp: number | string | undefined;
  readonly headers: Readonly<Record<string, unknown>>;
  /** Byte for byte. */
  readonly body: Uint8Array;

  /** @internal */
  constructor(event: EventJson) {
    this.position = parsePosition(event.position);
    this.routingKey = event.routing_key;
    this.contentType = event.content_type;
    this.messageId = event.message_id;
    this.timestamp = event.timestamp;
    this.headers = event.headers ?? {};
    this.body = bodyOf(event);
  }

  /** The body as text. */
  text(): string {
    return new TextDecoder("utf-8", { fatal: true }).decode(this.body);
  }

  /** What the body says in JSON. */
  json(): unknown {
    return JSON.parse(this.text());
  }
}

function bodyOf({ encoding, body, raw }: EventJson): Uint8Array {
  if (encoding === "base64") return new Uint8Array(Buffer.from(body as string, "base64"));
  return new TextEncoder().encode(encoding === "text" ? (body as string) : (raw ?? JSON.stringify(body)));
}
