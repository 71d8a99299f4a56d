/**
 * What one WebSocket or data channel message holds, told apart by its first byte.
 *
 * Either one or more frames and heads, one after the other (each knows its length); or one chunk of a
 * frame that is too large for a data channel message; or one control or link message, a msgpack map; or a nack.
 */
import { DecodeError, tooLarge, truncated } from "./error.js";
import { FRAME_KIND, Frame } from "./frame.js";
import { HEAD_KIND, Head } from "./head.js";
import { FORMAT_VERSION, checkVersion, checkZero } from "./header.js";
import { CONTROL_BYTES_MAX, LINK_MESSAGE_BYTES_MAX, LOSSY_MESSAGE_BYTES_MAX } from "./limits.js";
import { NACK_BYTES, NACK_KIND, type Nack, takeNack } from "./nack.js";

/** First byte of a chunk. */
export const CHUNK_KIND = 0x03;
/** Length of a chunk's header: kind, version, 1 if it is the last chunk else 0, reserved 0. */
export const CHUNK_HEADER_BYTES = 4;

/** One item of a message. */
export type Item =
  | { readonly kind: "frame"; readonly frame: Frame }
  | { readonly kind: "head"; readonly head: Head }
  /** A part of a frame; the frame is whole with the last one. */
  | { readonly kind: "chunk"; readonly isLast: boolean; readonly part: Uint8Array }
  /** What a child has not got. */
  | { readonly kind: "nack"; readonly nack: Nack }
  /** A control or link message, still encoded. */
  | { readonly kind: "control"; readonly bytes: Uint8Array };

/** Reads all items of one message. Refuses the whole message if any part of it is malformed. */
export function readItems(bytes: Uint8Array): Item[] {
  const items: Item[] = [];
  let rest = bytes;
  do {
    const [item, length] = takeItem(rest);
    items.push(item);
    rest = rest.subarray(length);
  } while (rest.length > 0);
  if (items.length > 1 && !items.every(isStreamed)) {
    throw new DecodeError("trailing_bytes", "bytes after the end of the message");
  }
  return items;
}

/**
 * Whether a message of a link goes on the lossy data channel of its connection: what is lost is noticed by what comes after
 * it, and asked for again. That is so of heads, nacks, and frames but the first of a numbering. Everything else waits for its
 * turn on the reliable one of the link.
 */
export function mayBeLost(message: Uint8Array): boolean {
  const [kind] = message;
  const isMissed = kind === FRAME_KIND ? !isFirstFrame(message) : kind === HEAD_KIND || kind === NACK_KIND;
  return isMissed && message.length <= LOSSY_MESSAGE_BYTES_MAX;
}

/** Whether nothing of its numbering comes before a frame: its `after` is -1. */
function isFirstFrame(frame: Uint8Array): boolean {
  const after = frame.subarray(16, 24);
  return after.length === 8 && after.every((byte) => byte === 0xff);
}

/** Cuts a frame that is too large for one data channel message into chunks that fit. */
export function chunks(frame: Uint8Array): Uint8Array[] {
  const partBytes = LINK_MESSAGE_BYTES_MAX - CHUNK_HEADER_BYTES;
  const parts: Uint8Array[] = [];
  for (let start = 0; start < frame.length; start += partBytes) {
    const end = Math.min(frame.length, start + partBytes);
    const chunk = new Uint8Array(CHUNK_HEADER_BYTES + end - start);
    chunk.set([CHUNK_KIND, FORMAT_VERSION, end === frame.length ? 1 : 0, 0]);
    chunk.set(frame.subarray(start, end), CHUNK_HEADER_BYTES);
    parts.push(chunk);
  }
  return parts;
}

function isStreamed(item: Item): boolean {
  return item.kind === "frame" || item.kind === "head";
}

/** Reads the item at the start of `bytes`, and says how long it is. */
function takeItem(bytes: Uint8Array): [Item, number] {
  const kind = bytes[0];
  if (kind === undefined) throw new DecodeError("empty", "empty message");
  if (kind === FRAME_KIND) {
    const frame = Frame.take(bytes);
    return [{ kind: "frame", frame }, frame.bytes.length];
  }
  if (kind === HEAD_KIND) {
    const head = Head.take(bytes);
    return [{ kind: "head", head }, head.bytes.length];
  }
  if (kind === CHUNK_KIND) return [takeChunk(bytes), bytes.length];
  if (kind === NACK_KIND) return [{ kind: "nack", nack: takeNack(bytes) }, NACK_BYTES];
  // A msgpack map: fixmap, map16 or map32.
  if ((kind & 0xf0) === 0x80 || kind === 0xde || kind === 0xdf) {
    if (bytes.length > CONTROL_BYTES_MAX) throw tooLarge("message", bytes.length, CONTROL_BYTES_MAX);
    return [{ kind: "control", bytes }, bytes.length];
  }
  throw new DecodeError("unknown_kind", `unknown kind of item 0x${kind.toString(16).padStart(2, "0")}`);
}

function takeChunk(bytes: Uint8Array): Item {
  if (bytes.length <= CHUNK_HEADER_BYTES) throw truncated("chunk", CHUNK_HEADER_BYTES + 1, bytes.length);
  const [, version = 0, flags = 0, reserved = 0] = bytes;
  checkVersion(version);
  checkZero((flags & ~1) || reserved);
  return { kind: "chunk", isLast: flags === 1, part: bytes.subarray(CHUNK_HEADER_BYTES) };
}
