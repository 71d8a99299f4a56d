/** One link of a peer: to its parent, or to a child. */
import {
  type Code,
  DecodeError,
  FRAME_BYTES_MAX,
  type Frame,
  LinkMessage,
  readItems,
  tooLarge,
} from "../codec/index.js";
import { isEqual } from "./bytes.js";
import type { Feeder } from "./feeder.js";
import { Inbox } from "./inbox.js";
import { Outbox } from "./outbox.js";
import type { Service } from "./service.js";

/** Messages that wait to be sent again, or to ask for that. */
const AGAIN_MAX = 64;

/** Which end of the link this peer is, and how far it has come. */
export type End =
  /** The parent's: not yet connected. */
  | { readonly kind: "awaits_child" }
  /** The parent's: connected, and waiting for `join`. */
  | { readonly kind: "awaits_join" }
  /** The parent's: serving the child. */
  | { readonly kind: "serves"; readonly service: Service }
  /** The child's: not yet connected. */
  | { readonly kind: "awaits_parent" }
  /** The child's: `join` was sent then, and asked the parent to hold. */
  | { readonly kind: "joins"; readonly asked: number; readonly hold: boolean }
  /** The child's: the parent feeds us, is about to, or stands by. */
  | { readonly kind: "follows"; readonly feeder: Feeder };

/** A connection to another peer, under way or up. */
export class Link {
  readonly outbox: Outbox;
  readonly inbox = new Inbox();
  readonly channel: number;
  /** The peer at the other end. */
  readonly other: number;
  readonly token: Uint8Array;
  end: End;
  lastReceived: number;
  lastSent: number;
  /** Whether the driver was told that there is something to send. */
  isAnnounced = false;
  /** Bytes of frames handed to the child, those that it asked for again not among them. */
  frameBytes = 0;
  /** What was lost on the way and is sent again, or is asked for again. */
  readonly #again: Uint8Array[] = [];
  /** The chunks so far, copied together: however small they are, they cost what they hold. */
  #parts = new Uint8Array(0);
  #partsBytes = 0;

  constructor(now: number, channel: number, other: number, token: Uint8Array, end: End, outboxBytes: number) {
    this.channel = channel;
    this.other = other;
    this.token = token;
    this.outbox = new Outbox(outboxBytes);
    this.end = end;
    this.lastReceived = now;
    this.lastSent = now;
  }

  get isOpen(): boolean {
    return this.end.kind !== "awaits_child" && this.end.kind !== "awaits_parent";
  }

  /** The other end, if it is a parent that has answered. */
  get feeder(): Feeder | undefined {
    return this.end.kind === "follows" ? this.end.feeder : undefined;
  }

  /** The next message that is no news of the channel. */
  pop(): Uint8Array | undefined {
    return this.outbox.pop() ?? this.#again.shift();
  }

  /**
   * Says what may be said again if it is lost. What there is no room for is lost already, and what waits is not said twice.
   * True if it is said.
   */
  repeat(message: Uint8Array): boolean {
    const isSaid = this.#again.length < AGAIN_MAX && !this.#again.some((waiting) => isEqual(waiting, message));
    if (isSaid) this.#again.push(message);
    return isSaid;
  }

  /** Adds a chunk; gives the frame when it is whole. */
  assemble(part: Uint8Array, isLast: boolean): Frame | undefined {
    const bytes = this.#partsBytes + part.length;
    if (bytes > FRAME_BYTES_MAX) throw tooLarge("chunked frame", bytes, FRAME_BYTES_MAX);
    if (bytes > this.#parts.length) {
      const larger = new Uint8Array(Math.max(bytes, 2 * this.#parts.length));
      larger.set(this.#parts.subarray(0, this.#partsBytes));
      this.#parts = larger;
    }
    this.#parts.set(part, this.#partsBytes);
    this.#partsBytes = bytes;
    if (!isLast) return undefined;
    const whole = this.#parts.subarray(0, bytes);
    this.#parts = new Uint8Array(0);
    this.#partsBytes = 0;
    const [item, ...rest] = readItems(whole);
    if (item?.kind === "frame" && rest.length === 0) return item.frame;
    throw new DecodeError("trailing_bytes", "chunks hold one frame");
  }
}

/** The last message on a link. */
export function bye(code: Code): Uint8Array {
  return LinkMessage.encode({ type: "bye", code });
}
