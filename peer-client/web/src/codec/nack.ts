/**
 * A nack: what a child of a link has not got although what lies beyond it was sent.
 *
 * | at | bytes | field |
 * |---:|---:|---|
 * | 0 | 1 | kind, `0x04` |
 * | 1 | 1 | version, 1 |
 * | 2 | 2 | reserved, 0 |
 * | 4 | 8 | epoch of what the child has |
 * | 12 | 8 | offset of it, signed; -1 = nothing yet |
 * | 20 | 8 | epoch of the end of what it lacks |
 * | 28 | 8 | offset of that, signed; -1 = all of the epochs before |
 */
import { truncated } from "./error.js";
import { FORMAT_VERSION, checkVersion, checkZero, readNumber, readOffset, viewOf } from "./header.js";
import type { Position } from "./position.js";

/** First byte of a nack. */
export const NACK_KIND = 0x04;
/** Length of a nack. */
export const NACK_BYTES = 36;

/** What a child has not got: everything after one position up to another. */
export interface Nack {
  /** The child has what comes before. */
  readonly after: Position;
  /** Up to here and including it. */
  readonly to: Position;
}

/** The bytes to send. */
export function encodeNack({ after, to }: Nack): Uint8Array {
  const bytes = new Uint8Array(NACK_BYTES);
  bytes.set([NACK_KIND, FORMAT_VERSION]);
  const view = viewOf(bytes);
  writePosition(view, 4, after);
  writePosition(view, 20, to);
  return bytes;
}

/** Reads the nack at the start of `bytes`, which may go on behind it. */
export function takeNack(bytes: Uint8Array): Nack {
  if (bytes.length < NACK_BYTES) throw truncated("nack", NACK_BYTES, bytes.length);
  const view = viewOf(bytes);
  checkVersion(view.getUint8(1));
  checkZero(view.getUint8(2) || view.getUint8(3));
  return { after: readPosition(view, 4), to: readPosition(view, 20) };
}

function readPosition(view: DataView, at: number): Position {
  return { epoch: readNumber(view, at, "epoch"), offset: readOffset(view, at + 8, "offset") };
}

function writePosition(view: DataView, at: number, { epoch, offset }: Position): void {
  view.setBigUint64(at, BigInt(epoch));
  view.setBigInt64(at + 8, BigInt(offset));
}
