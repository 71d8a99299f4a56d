/** How a child is served: what there is for its cursor, packed into the messages of a link. */
import {
  BEFORE_FIRST,
  type Frame,
  type Head,
  LINK_MESSAGE_BYTES_MAX,
  type Nack,
  type Position,
  chunks,
  comparePositions,
  mayBeLost,
} from "../codec/index.js";
import { Allowance } from "./allowance.js";
import type { HavePace } from "./config.js";
import { Cursor } from "./cursor.js";
import type { FrameLog } from "./log.js";

/** A child that has lost something is taken to lose more for this long. */
const LOSES_FOR_US = 60_000_000;

/** Frames that are looked at for a nack. */
const AGAIN_FRAMES_MAX = 256;

/** What there is to send to a child. */
export type Serve =
  | { readonly kind: "send"; readonly bytes: Uint8Array; readonly frames: number; readonly frameBytes: number }
  | { readonly kind: "nothing" }
  /** The child is told how far we are, or how far it was sent. */
  | { readonly kind: "say"; readonly position: Position }
  /** Nothing before then. */
  | { readonly kind: "later"; readonly due: number }
  /** The log no longer has what the child needs next. */
  | { readonly kind: "unavailable" };

const NOTHING: Serve = { kind: "nothing" };

/** What a child that wants no frames was last told of how far we are. */
interface Held {
  readonly said: Position;
  readonly at: number;
}

export class Service {
  readonly #windowBytes: number;
  readonly #allowance: Allowance;
  #cursor: Cursor;
  /** Where the cursor has been already. */
  #furthest: Position;
  /** There while the child wants no frames. */
  #held: Held | undefined;
  /** The rest of a frame that is larger than a message, the next chunk last. */
  #chunks: Uint8Array[] = [];
  /** When the child last said that it had not got something. */
  #nacked: number | undefined;
  /** When the child is to be told how far it was sent, lest the last frame is lost and nothing shows that. */
  #tail: number | undefined;

  /** A child that has everything up to `position`. */
  constructor(position: Position, windowBytes: number, againBytes: number) {
    this.#allowance = new Allowance(position, againBytes);
    this.#windowBytes = windowBytes;
    this.#cursor = new Cursor(position, windowBytes);
    this.#furthest = position;
  }

  /** The child wants no frames; `said` is what it was told of how far we are. */
  hold(now: number, said: Position): void {
    this.#held ??= { said, at: now };
  }

  /** Whether the child wants no frames now. */
  get isHeld(): boolean {
    return this.#held !== undefined;
  }

  /** So many bytes are sent again. */
  repeats(bytes: number): void {
    this.#allowance.spend(bytes);
  }

  /** Whether the child may go on from `position`: what it was sent beyond that is sent again. */
  mayGoBack(log: FrameLog, position: Position): boolean {
    if (comparePositions(this.#furthest, this.#cursor.position) < 0) this.#furthest = this.#cursor.position;
    const again = Math.max(0, log.bytesAfter(position) - log.bytesAfter(this.#furthest));
    const may = again === 0 || this.#allowance.isLeft(log);
    this.#allowance.spend(again);
    return may;
  }

  /** The child wants frames after `position`. */
  release(position: Position): void {
    this.#cursor = new Cursor(position, this.#windowBytes);
    this.#held = undefined;
    this.#tail = undefined;
  }

  /** The child has everything up to `position`. */
  acknowledge(log: FrameLog, position: Position): void {
    this.#cursor.acknowledge(log, position);
  }

  /** The next message for the child. */
  next(now: number, log: FrameLog, head: Head | undefined, pace: HavePace): Serve {
    const chunk = this.#chunks.pop();
    if (chunk !== undefined) return { kind: "send", bytes: chunk, frames: 0, frameBytes: 0 };
    return this.#held === undefined ? this.#nextFrames(now, log, head, pace) : this.#nextHave(now, log, this.#held, pace);
  }

  /** How far we are, unless that was said a moment ago. */
  #nextHave(now: number, log: FrameLog, { said, at }: Held, pace: HavePace): Serve {
    const position = log.head;
    if (comparePositions(position, said) === 0) return NOTHING;
    const due = at + (log.bytesAfter(said) >= pace.bytes ? pace.leastUs : pace.mostUs);
    if (now < due) return { kind: "later", due };
    this.#held = { said: position, at: now };
    return { kind: "say", position };
  }

  /** Frames from the log, as many as fit, or a head when there are none. */
  #nextFrames(now: number, log: FrameLog, head: Head | undefined, pace: HavePace): Serve {
    const batch: Frame[] = [];
    let batchBytes = 0;
    for (;;) {
      const read = this.#cursor.read(log);
      if (read.kind === "up_to_date") break;
      if (read.kind === "gap") {
        if (batch.length > 0) break;
        if (read.reason !== "epoch" || !read.recorded || read.to.offset !== BEFORE_FIRST) return { kind: "unavailable" };
        // The first frame of the new numbering tells the child by its signature. What it may have lost of the old one it
        // learns before.
        const { position } = this.#cursor;
        this.#cursor.skip(read.to);
        return { kind: "say", position };
      }
      const bytes = read.frame.bytes.length;
      if (batch.length > 0 && batchBytes + bytes > LINK_MESSAGE_BYTES_MAX) break;
      this.#cursor.sent(read.frame);
      batch.push(read.frame);
      batchBytes += bytes;
    }
    if (batch.length === 0) {
      const news = this.#cursor.nextHead(head);
      return news === undefined ? this.#nextTail(now) : { kind: "send", bytes: news.bytes, frames: 0, frameBytes: 0 };
    }
    const loses = this.#nacked !== undefined && now - this.#nacked < LOSES_FOR_US;
    this.#tail = loses ? now + pace.tailUs : undefined;
    return { kind: "send", bytes: this.#pack(batch, batchBytes), frames: batch.length, frameBytes: batchBytes };
  }

  /** Says how far the child was sent, once nothing has followed for a while. */
  #nextTail(now: number): Serve {
    const due = this.#tail;
    if (due === undefined) return NOTHING;
    if (now < due) return { kind: "later", due };
    this.#tail = undefined;
    return { kind: "say", position: this.#cursor.position };
  }

  /**
   * Frames that the child has not got, as many as fit into a message. What is under way on the reliable channel is not sent
   * again. None for a child that has asked for too much.
   */
  again(now: number, log: FrameLog, { after, to }: Nack): Uint8Array[] | undefined {
    this.#nacked = now;
    if (!this.#allowance.isLeft(log)) return undefined;
    const frames: Uint8Array[] = [];
    let bytes = 0;
    let position = after;
    for (let looked = 0; looked < AGAIN_FRAMES_MAX && comparePositions(position, to) < 0; looked++) {
      const read = log.read(position);
      if (read.kind !== "frame") break;
      const { frame } = read;
      position = frame.position;
      if (!this.isHeld && !mayBeLost(frame.bytes)) continue;
      bytes += frame.bytes.length;
      if (bytes > LINK_MESSAGE_BYTES_MAX) break;
      frames.push(frame.bytes);
    }
    return frames;
  }

  #pack(batch: readonly Frame[], batchBytes: number): Uint8Array {
    const [first] = batch;
    if (first !== undefined && batch.length === 1) {
      if (batchBytes <= LINK_MESSAGE_BYTES_MAX) return first.bytes;
      this.#chunks = chunks(first.bytes).reverse();
      return this.#chunks.pop() ?? first.bytes;
    }
    const message = new Uint8Array(batchBytes);
    let at = 0;
    for (const { bytes } of batch) {
      message.set(bytes, at);
      at += bytes.length;
    }
    return message;
  }
}
