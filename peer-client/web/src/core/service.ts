/** How a child is served: what there is for its cursor, packed into the messages of a link. */
import { type Frame, type Head, LINK_MESSAGE_BYTES_MAX, type Position, chunks, comparePositions } from "../codec/index.js";
import type { HavePace } from "./config.js";
import { Cursor } from "./cursor.js";
import type { FrameLog } from "./log.js";

/** What there is to send to a child. */
export type Serve =
  | { readonly kind: "send"; readonly bytes: Uint8Array; readonly frames: number; readonly frameBytes: number }
  | { readonly kind: "nothing" }
  /** The child wants no frames: it is told how far we are. */
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
  #cursor: Cursor;
  /** There while the child wants no frames. */
  #held: Held | undefined;
  /** The rest of a frame that is larger than a message, the next chunk last. */
  #chunks: Uint8Array[] = [];

  /** A child that has everything up to `position`. */
  constructor(position: Position, windowBytes: number) {
    this.#windowBytes = windowBytes;
    this.#cursor = new Cursor(position, windowBytes);
  }

  /** The child wants no frames; `said` is what it was told of how far we are. */
  hold(now: number, said: Position): void {
    this.#held ??= { said, at: now };
  }

  /** Whether the child wants no frames now. */
  get isHeld(): boolean {
    return this.#held !== undefined;
  }

  /** The child wants frames after `position`. */
  release(position: Position): void {
    this.#cursor = new Cursor(position, this.#windowBytes);
    this.#held = undefined;
  }

  /** The child has everything up to `position`. */
  acknowledge(log: FrameLog, position: Position): void {
    this.#cursor.acknowledge(log, position);
  }

  /** The next message for the child. */
  next(now: number, log: FrameLog, head: Head | undefined, pace: HavePace): Serve {
    const chunk = this.#chunks.pop();
    if (chunk !== undefined) return { kind: "send", bytes: chunk, frames: 0, frameBytes: 0 };
    return this.#held === undefined ? this.#nextFrames(log, head) : this.#nextHave(now, log, this.#held, pace);
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
  #nextFrames(log: FrameLog, head: Head | undefined): Serve {
    const batch: Frame[] = [];
    let batchBytes = 0;
    for (;;) {
      const read = this.#cursor.read(log);
      if (read.kind === "up_to_date") break;
      if (read.kind === "gap") {
        if (read.reason === "epoch" && read.recorded) {
          // The first frame of the new numbering tells the child by its signature.
          this.#cursor.skip(read.to);
          continue;
        }
        if (batch.length === 0) return { kind: "unavailable" };
        break;
      }
      const bytes = read.frame.bytes.length;
      if (batch.length > 0 && batchBytes + bytes > LINK_MESSAGE_BYTES_MAX) break;
      this.#cursor.sent(read.frame);
      batch.push(read.frame);
      batchBytes += bytes;
    }
    if (batch.length === 0) {
      const news = this.#cursor.nextHead(head);
      return news === undefined ? NOTHING : { kind: "send", bytes: news.bytes, frames: 0, frameBytes: 0 };
    }
    return { kind: "send", bytes: this.#pack(batch, batchBytes), frames: batch.length, frameBytes: batchBytes };
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
