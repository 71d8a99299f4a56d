/**
 * A head: the server's signed word on how far a channel is.
 *
 * | at | bytes | field |
 * |---:|---:|---|
 * | 0 | 1 | kind, `0x02` |
 * | 1 | 1 | version, 1 |
 * | 2 | 2 | reserved, 0 |
 * | 4 | 4 | channel id |
 * | 8 | 8 | epoch |
 * | 16 | 8 | offset of the newest event, signed; -1 = none yet |
 * | 24 | 8 | time of signing, microseconds since the Unix epoch |
 * | 32 | 64 | Ed25519 signature |
 */
import { truncated } from "./error.js";
import { checkVersion, checkZero, readNumber, readOffset, viewOf } from "./header.js";
import type { Position } from "./position.js";
import { SIGNATURE_BYTES, type SignedMessage, signedMessage } from "./signature.js";

/** First byte of a head. */
export const HEAD_KIND = 0x02;
/** Length of a head. */
export const HEAD_BYTES = 32 + SIGNATURE_BYTES;

const CONTEXT = "tiercast/1 head";

/** How far a channel is, as it travels. */
export class Head {
  /** The channel's number. */
  readonly channel: number;
  /** The newest event's position. */
  readonly position: Position;
  /** When the server said so, in microseconds since the Unix epoch. */
  readonly timeUs: number;
  /** The bytes to forward. */
  readonly bytes: Uint8Array;

  private constructor(bytes: Uint8Array) {
    const view = viewOf(bytes);
    checkVersion(view.getUint8(1));
    checkZero(view.getUint8(2) || view.getUint8(3));
    this.channel = view.getUint32(4);
    this.position = { epoch: readNumber(view, 8, "epoch"), offset: readOffset(view, 16, "offset") };
    this.timeUs = readNumber(view, 24, "time");
    this.bytes = bytes;
  }

  /** Reads the head at the start of `bytes`, which may go on behind it. */
  static take(bytes: Uint8Array): Head {
    if (bytes.length < HEAD_BYTES) throw truncated("head", HEAD_BYTES, bytes.length);
    return new Head(bytes.subarray(0, HEAD_BYTES));
  }

  /** What the server signed, if it said this of `channel`. */
  signed(channel: string): SignedMessage {
    return signedMessage(CONTEXT, channel, this.bytes);
  }
}
