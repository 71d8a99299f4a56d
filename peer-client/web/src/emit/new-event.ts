/** An event that is to be published, as the batch endpoint takes it. */
import { kindOf } from "../codec/kind-of.js";
import { type Names, checkNames } from "../names.js";
import { EmitError } from "./emit-error.js";

/** An event that is to be published. Its body is one of `json`, `text` and `body`, or empty. */
export interface NewEvent {
  /** Such as `eventName` gives; at most 255 bytes. */
  readonly routingKey: string;
  /** Of two events under the same id the server publishes one, within its window. Not empty. Default: one that is made up. */
  readonly messageId?: string;
  /** The MIME type of the body; with `json` it is `application/json`, with `text` plain text, if nothing else is said. */
  readonly contentType?: string;
  /** When it happened, in seconds since the Unix epoch. */
  readonly timestamp?: number;
  /** Application headers. */
  readonly headers?: Readonly<Record<string, unknown>>;
  /** A value that JSON can hold. */
  readonly json?: unknown;
  readonly text?: string;
  /** Byte for byte: what a buffer, or any view of one, holds. */
  readonly body?: ArrayBuffer | ArrayBufferView;
}

const FIELDS = {
  routingKey: true,
  messageId: true,
  contentType: true,
  timestamp: true,
  headers: true,
  json: true,
  text: true,
  body: true,
} satisfies Names<NewEvent>;

/** An item of a batch. It has a message id, so that it can be published again. */
export function itemOf(event: NewEvent): string {
  checkNames(event, FIELDS, "an event has no field", (problem) => new EmitError("bad_data", problem));
  const { routingKey, messageId, contentType, body, ...rest } = event;
  const item = {
    routing_key: routingKey,
    message_id: messageId === undefined ? madeUp() : checkedId(messageId),
    content_type: contentType,
    base64: body === undefined ? undefined : base64(bytesOf(body)),
    ...rest,
  };
  try {
    // What JSON has no word for would be left out in silence.
    if ("json" in rest && (JSON.stringify(rest.json) as string | undefined) === undefined) {
      throw new TypeError(`its data is ${typeof rest.json}`);
    }
    return JSON.stringify(item);
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error);
    throw new EmitError("bad_data", `the event cannot be written as JSON: ${problem}`);
  }
}

function checkedId(messageId: unknown): string {
  if (typeof messageId === "string" && messageId !== "") return messageId;
  const kind = messageId === "" ? "empty" : kindOf(messageId);
  throw new EmitError("bad_data", `the message id of an event is ${kind}: give a text that is not empty, or leave it out`);
}

function bytesOf(body: unknown): Uint8Array {
  if (body instanceof ArrayBuffer) return new Uint8Array(body);
  if (ArrayBuffer.isView(body)) return new Uint8Array(body.buffer, body.byteOffset, body.byteLength);
  const fix = "give bytes (a Uint8Array or an ArrayBuffer), or `text` or `json` instead";
  throw new EmitError("bad_data", `the event cannot be sent, its body is ${kindOf(body)}: ${fix}`);
}

function base64(bytes: Uint8Array): string {
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}

function madeUp(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
