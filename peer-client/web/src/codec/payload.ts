/**
 * What is inside a frame: a msgpack array of events.
 *
 * An event is an array of eight: offset minus the frame's `after`, routing key, exchange, content type,
 * message id, timestamp, headers, body. What the publisher did not give is nil.
 */
import { DecodeError } from "./error.js";
import type { Event, HeaderTable, HeaderValue } from "./event.js";
import { HEADER_DEPTH_MAX } from "./limits.js";
import { MsgpackError, type MsgpackValue, readMsgpack } from "./msgpack.js";
import { isFloat, tokenBytes } from "./tokens.js";

/** The part of a frame's header that its events must agree with. */
export interface EventRange {
  readonly after: number;
  readonly last: number;
  readonly eventCount: number;
}

/** The array of events, the event, its headers. */
const DEPTH_OF_HEADERS = 3;
/** Its number among the fields of an event. All before it are of one token. */
const TIMESTAMP_FIELD = 5;
const INT64_MAX = 2n ** 63n - 1n;

/** Reads the events of a payload that has been inflated. */
export function decodeEvents(payload: Uint8Array, range: EventRange): Event[] {
  const events = readArray(payload);
  if (events.length !== range.eventCount) {
    throw bad(`${events.length} events, the header says ${range.eventCount}`);
  }
  let previous = range.after;
  let start = tokenBytes(payload, 0);
  return events.map((value) => {
    const [event, end] = readEvent(value, range.after);
    refuseFloats(payload, start);
    start = end - payload.byteOffset;
    if (event.offset <= previous || event.offset > range.last) {
      throw bad("offsets do not ascend within the frame's range");
    }
    previous = event.offset;
    return event;
  });
}

function readArray(payload: Uint8Array): readonly MsgpackValue[] {
  try {
    const depth = HEADER_DEPTH_MAX + DEPTH_OF_HEADERS;
    const value = readMsgpack(payload, { depth, arrayLength: Infinity, refusesExtensions: true, takesFloats: true });
    if (isArray(value)) return value;
  } catch (error) {
    if (error instanceof MsgpackError) throw bad(error.message);
    throw error;
  }
  throw bad("not an array");
}

/** Looks at the two integers of the event at `start`, which is good otherwise: the offset and the timestamp. */
function refuseFloats(payload: Uint8Array, start: number): void {
  let at = start + tokenBytes(payload, start);
  if (isFloat(payload, at)) throw bad("an offset is not an integer");
  for (let field = 0; field < TIMESTAMP_FIELD; field++) at += tokenBytes(payload, at);
  if (isFloat(payload, at)) throw bad("a timestamp is not a time");
}

/** Reads an event and says where it ends in the payload's memory: with its body. */
function readEvent(value: MsgpackValue, after: number): [event: Event, end: number] {
  if (!isArray(value) || value.length !== 8) throw bad("an event is not an array of eight");
  const [ahead, routingKey, exchange, contentType, messageId, timestamp, headers, body] = value;
  if (typeof ahead !== "number" && typeof ahead !== "bigint") throw bad("an offset is not an integer");
  if (typeof routingKey !== "string" || typeof exchange !== "string") throw bad("a routing key is not text");
  if (!(headers instanceof Map)) throw bad("headers are not a map");
  if (!(body instanceof Uint8Array)) throw bad("a body is not a byte string");
  const event: Event = {
    offset: typeof ahead === "number" ? after + ahead : Number(BigInt(after) + ahead),
    routingKey,
    exchange,
    contentType: optionalText(contentType),
    messageId: optionalText(messageId),
    timestamp: optionalTime(timestamp),
    headers: headerTable(headers),
    body: body.slice(),
  };
  return [event, body.byteOffset + body.length];
}

function optionalText(value: MsgpackValue | undefined): string | undefined {
  if (value === null) return undefined;
  if (typeof value !== "string") throw bad("a content type or message id is not text");
  return value;
}

function optionalTime(value: MsgpackValue | undefined): number | bigint | undefined {
  if (value === null) return undefined;
  const isInteger = typeof value === "bigint" || (typeof value === "number" && Number.isSafeInteger(value));
  if (!isInteger || value < 0) throw bad("a timestamp is not a time");
  return value;
}

function headerTable(map: ReadonlyMap<string, MsgpackValue>): HeaderTable {
  // Without a prototype, so that no key can reach one.
  const table = Object.create(null) as Record<string, HeaderValue>;
  for (const [key, value] of map) table[key] = headerValue(value);
  return table;
}

function headerValue(value: MsgpackValue): HeaderValue {
  if (value instanceof Uint8Array) return value.slice();
  if (isArray(value)) return value.map(headerValue);
  if (value instanceof Map) return headerTable(value as ReadonlyMap<string, MsgpackValue>);
  if (typeof value === "bigint" && value > INT64_MAX) throw bad("integer above 2^63 - 1");
  return value as null | boolean | number | bigint | string;
}

function isArray(value: MsgpackValue): value is readonly MsgpackValue[] {
  return Array.isArray(value);
}

function bad(detail: string): DecodeError {
  return new DecodeError("bad_events", `bad events: ${detail}`);
}
