/** How far a child has been served: a cursor over the log, a window ahead of what the child has acknowledged. */
import { type Frame, type Head, LINK_MESSAGE_BYTES_MAX, type Position, chunks, comparePositions } from "../codec/index.js";
import type { FrameLog } from "./log.js";

/** What there is to send to a child. */
export type Serve =
  | { readonly kind: "send"; readonly bytes: Uint8Array; readonly frames: number; readonly frameBytes: number }
  | { readonly kind: "nothing" }
  /** The log no longer has what the child needs next. */
  | { readonly kind: "unavailable" };

const NOTHING: Serve = { kind: "nothing" };

export class Service {
  /** What the child has, or will have once it has received what was sent. */
  cursor: Position;
  /** What was sent and not acknowledged: where each frame ended, and its size. Bounded by the window. */
  readonly #inFlight: { readonly end: Position; readonly bytes: number }[] = [];
  #inFlightBytes = 0;
  /** The rest of a frame that is larger than a message, the next chunk last. */
  #chunks: Uint8Array[] = [];
  #headTimeUs = 0;

  constructor(cursor: Position) {
    this.cursor = cursor;
  }

  /** The child has everything up to `position`. */
  acknowledge(position: Position): void {
    let count = 0;
    for (const { end, bytes } of this.#inFlight) {
      if (comparePositions(end, position) > 0) break;
      this.#inFlightBytes -= bytes;
      count++;
    }
    this.#inFlight.splice(0, count);
  }

  /** The next message for the child: frames from the log, as many as fit, or a head when there are none. */
  next(log: FrameLog, head: Head | undefined, windowBytes: number): Serve {
    const chunk = this.#chunks.pop();
    if (chunk !== undefined) return { kind: "send", bytes: chunk, frames: 0, frameBytes: 0 };
    const batch: Frame[] = [];
    let batchBytes = 0;
    // A child that is ahead of us waits until we have more than it has.
    while (this.#inFlightBytes < windowBytes && !log.isBehind(this.cursor)) {
      const read = log.read(this.cursor);
      if (read.kind === "up_to_date") break;
      if (read.kind === "gap") {
        if (read.reason === "epoch" && read.recorded) {
          // The first frame of the new numbering tells the child by its signature.
          this.cursor = read.to;
          continue;
        }
        if (batch.length === 0) return { kind: "unavailable" };
        break;
      }
      const bytes = read.frame.bytes.length;
      if (batch.length > 0 && batchBytes + bytes > LINK_MESSAGE_BYTES_MAX) break;
      this.#send(read.frame);
      batch.push(read.frame);
      batchBytes += bytes;
    }
    if (batch.length === 0) return this.#nextHead(head);
    return { kind: "send", bytes: this.#pack(batch, batchBytes), frames: batch.length, frameBytes: batchBytes };
  }

  #send(frame: Frame): void {
    const bytes = frame.bytes.length;
    this.cursor = frame.position;
    this.#inFlight.push({ end: this.cursor, bytes });
    this.#inFlightBytes += bytes;
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

  #nextHead(head: Head | undefined): Serve {
    const isNews =
      head !== undefined && head.timeUs > this.#headTimeUs && comparePositions(head.position, this.cursor) <= 0;
    if (!isNews) return NOTHING;
    this.#headTimeUs = head.timeUs;
    return { kind: "send", bytes: head.bytes, frames: 0, frameBytes: 0 };
  }
}
