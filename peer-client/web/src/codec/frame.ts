/**
 * A frame: a signed batch of consecutive events, encoded once and forwarded unchanged.
 *
 * | at | bytes | field |
 * |---:|---:|---|
 * | 0 | 1 | kind, `0x01` |
 * | 1 | 1 | version, 1 |
 * | 2 | 1 | flags: 1 = payload is zlib, 2 = filtered for its receiver |
 * | 3 | 1 | preset dictionary, 0 = none |
 * | 4 | 4 | channel id |
 * | 8 | 8 | epoch |
 * | 16 | 8 | after, signed |
 * | 24 | 8 | last |
 * | 32 | 8 | time of sealing, microseconds since the Unix epoch |
 * | 40 | 4 | number of events |
 * | 44 | 4 | payload length after inflating |
 * | 48 | 4 | payload length |
 * | 52 | | payload |
 * | | 64 | Ed25519 signature |
 */
import { DecodeError, truncated } from "./error.js";
import type { Event } from "./event.js";
import { checkVersion, checkZero, readAtMost, readNumber, readOffset, viewOf } from "./header.js";
import { inflate } from "./inflate.js";
import { FRAME_EVENTS_MAX, FRAME_INFLATED_BYTES_MAX, FRAME_PAYLOAD_BYTES_MAX } from "./limits.js";
import { decodeEvents } from "./payload.js";
import type { Epoch, Offset, Position } from "./position.js";
import { SIGNATURE_BYTES, type SignedMessage, signedMessage } from "./signature.js";

/** First byte of a frame. */
export const FRAME_KIND = 0x01;
/** Length of a frame's header. */
export const FRAME_HEADER_BYTES = 52;
/** Largest frame. */
export const FRAME_BYTES_MAX = FRAME_HEADER_BYTES + FRAME_PAYLOAD_BYTES_MAX + SIGNATURE_BYTES;

const CONTEXT = "tiercast/1 frame";
const FLAG_DEFLATED = 1;
const FLAG_FILTERED = 2;

/** What a frame's header says. Readable without inflating, and without trust until the frame is verified. */
export interface FrameHeader {
  /** Whether the payload is compressed. */
  readonly deflated: boolean;
  /** Whether events in the range were left out because its receiver did not ask for them. */
  readonly filtered: boolean;
  /** The channel's number. */
  readonly channel: number;
  /** The numbering that the offsets belong to. */
  readonly epoch: Epoch;
  /** The frame covers the offsets from here, exclusive ... */
  readonly after: Offset;
  /** ... to here, inclusive. */
  readonly last: Offset;
  /** When the hub sealed it, in microseconds since the Unix epoch. */
  readonly timeUs: number;
  /** How many events it holds. */
  readonly eventCount: number;
  /** Payload length after inflating. */
  readonly inflatedBytes: number;
  /** Payload length. */
  readonly payloadBytes: number;
}

/** A frame as it travels: its header, parsed, and its bytes, untouched. */
export class Frame {
  readonly header: FrameHeader;
  /** The bytes to forward. */
  readonly bytes: Uint8Array;
  #prepared: Event[] | undefined;

  private constructor(header: FrameHeader, bytes: Uint8Array) {
    this.header = header;
    this.bytes = bytes;
  }

  /** Reads the frame at the start of `bytes`, which may go on behind it. Checks the header and the length. */
  static take(bytes: Uint8Array): Frame {
    if (bytes.length < FRAME_HEADER_BYTES) throw truncated("frame", FRAME_HEADER_BYTES, bytes.length);
    const header = parseHeader(bytes);
    const total = FRAME_HEADER_BYTES + header.payloadBytes + SIGNATURE_BYTES;
    if (bytes.length < total) throw truncated("frame", total, bytes.length);
    return new Frame(header, bytes.subarray(0, total));
  }

  /** The position of one who has taken this frame. */
  get position(): Position {
    return { epoch: this.header.epoch, offset: this.header.last };
  }

  /** The position that this frame follows. */
  get positionBefore(): Position {
    return { epoch: this.header.epoch, offset: this.header.after };
  }

  /** What the server signed, if it sealed this frame for `channel`. */
  signed(channel: string): SignedMessage {
    return signedMessage(CONTEXT, channel, this.bytes);
  }

  /** Hands in the events, which were decoded elsewhere, for the next call of `events`. */
  prepare(events: Event[]): void {
    this.#prepared = events;
  }

  /** The events: those that were handed in, once, else inflated and decoded here. */
  events(): Event[] {
    const prepared = this.#prepared;
    this.#prepared = undefined;
    if (prepared !== undefined) return prepared;
    const { deflated, inflatedBytes, payloadBytes } = this.header;
    const payload = this.bytes.subarray(FRAME_HEADER_BYTES, FRAME_HEADER_BYTES + payloadBytes);
    if (deflated) return decodeEvents(inflate(payload, inflatedBytes), this.header);
    if (payloadBytes !== inflatedBytes) throw new DecodeError("bad_payload", "not as long as stated");
    return decodeEvents(payload, this.header);
  }
}

function parseHeader(bytes: Uint8Array): FrameHeader {
  const view = viewOf(bytes);
  checkVersion(view.getUint8(1));
  const flags = view.getUint8(2);
  checkZero(flags & ~(FLAG_DEFLATED | FLAG_FILTERED));
  const dictionary = view.getUint8(3);
  if (dictionary !== 0) throw new DecodeError("unknown_dictionary", `unknown dictionary ${dictionary}`);
  const epoch = readNumber(view, 8, "epoch");
  const after = readOffset(view, 16, "after");
  const last = readOffset(view, 24, "last");
  if (last <= after) throw new DecodeError("out_of_range", "last is out of range");
  return {
    deflated: (flags & FLAG_DEFLATED) !== 0,
    filtered: (flags & FLAG_FILTERED) !== 0,
    channel: view.getUint32(4),
    epoch,
    after,
    last,
    timeUs: readNumber(view, 32, "time"),
    eventCount: readAtMost(view, 40, "event count", FRAME_EVENTS_MAX),
    inflatedBytes: readAtMost(view, 44, "inflated length", FRAME_INFLATED_BYTES_MAX),
    payloadBytes: readAtMost(view, 48, "payload length", FRAME_PAYLOAD_BYTES_MAX),
  };
}
