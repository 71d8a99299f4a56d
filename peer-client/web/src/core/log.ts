/**
 * The frame log: a bounded ring of signed frames, and how a cursor reads it.
 *
 * The log is a chain of entries, each beginning where the one before it ended: frames, and gaps where events are
 * gone for good. Everything that sends reads it through a position: nothing is kept per reader, so a
 * reader that lags costs nothing, and one that falls off the tail is told so.
 */
import { type Frame, type GapReason, type Position, comparePositions } from "../codec/index.js";
import type { LogLimits } from "./config.js";

/** `before`: bytes of frames that were added before it, so that what lies between two entries needs no sum. */
type Entry = { readonly end: Position; readonly before: number } & (
  | { readonly kind: "frame"; readonly frame: Frame }
  | { readonly kind: "gap"; readonly from: Position; readonly reason: GapReason }
);

/** What comes next for a reader. */
export type Read =
  /** This frame; the reader is then at its position. */
  | { readonly kind: "frame"; readonly frame: Frame }
  /**
   * Events are gone for good; the reader goes on at `to`. `recorded`: the log itself has everything before the gap,
   * so that nothing more can be had elsewhere.
   */
  | { readonly kind: "gap"; readonly to: Position; readonly reason: GapReason; readonly recorded: boolean }
  /** Nothing yet. */
  | { readonly kind: "up_to_date" };

/** A channel's recent past. */
export class FrameLog {
  readonly limits: LogLimits;
  #entries: Entry[] = [];
  /** Entries before this index are gone; the array is cut when half of it is. */
  #start = 0;
  /** Bytes of all frames that were ever added. */
  #added = 0;
  #base: Position;

  /** An empty log that begins at `base`. */
  constructor(limits: LogLimits, base: Position) {
    this.limits = limits;
    this.#base = base;
  }

  /** Where the log begins: the oldest position that can be served. */
  get base(): Position {
    return this.#base;
  }

  /** Where the log ends. */
  get head(): Position {
    return this.#start < this.#entries.length ? this.#at(this.#entries.length - 1).end : this.#base;
  }

  /** Bytes of frames kept. */
  get bytes(): number {
    return this.#addedSince(this.#start);
  }

  /** Adds a frame that covers the head: one that begins at or before it and ends after it. Throws for any other. */
  push(frame: Frame): void {
    if (!covers(frame, this.head)) throw new RangeError("a frame that does not continue the log");
    this.#append({ kind: "frame", frame, end: frame.position, before: this.#added }, frame.bytes.length);
  }

  /** Records that events are gone and the channel goes on at `to`. */
  jump(to: Position, reason: GapReason): void {
    const from = this.head;
    const order = comparePositions(to, from);
    if (order > 0) {
      this.#append({ kind: "gap", from, end: to, before: this.#added, reason }, 0);
    } else if (order < 0) {
      // Another numbering in the place of the one we had: nothing of the old one can be ordered with it.
      this.#entries = [];
      this.#start = 0;
      this.#base = to;
    }
  }

  /** What comes next for a reader who has everything up to `cursor`. */
  read(cursor: Position): Read {
    const base = this.#base;
    if (comparePositions(cursor, base) < 0) {
      const reason = cursor.epoch === base.epoch ? "retention" : "epoch";
      return { kind: "gap", to: base, reason, recorded: false };
    }
    if (comparePositions(cursor, this.head) > 0) {
      // What is there was numbered anew. Whoever may just be ahead of us looks at `isBehind` first.
      return { kind: "gap", to: base, reason: "epoch", recorded: false };
    }
    const entry = this.#entries[this.#indexAfter(cursor)];
    if (entry === undefined) return { kind: "up_to_date" };
    if (entry.kind === "frame") return { kind: "frame", frame: entry.frame };
    const recorded = comparePositions(entry.from, cursor) === 0;
    return { kind: "gap", to: entry.end, reason: entry.reason, recorded };
  }

  /** Whether a reader at `cursor` has more of this numbering than the log: the log may yet come so far. */
  isBehind(cursor: Position): boolean {
    const { epoch, offset } = this.head;
    return cursor.epoch === epoch && cursor.offset > offset;
  }

  /** Bytes of the frames that a reader at `cursor` has not had. */
  bytesAfter(cursor: Position): number {
    return this.#addedSince(this.#indexAfter(cursor));
  }

  /** Whether a reader at `cursor` would still find everything after so many entries with so many bytes came. */
  hasRoom(cursor: Position, entries: number, bytes: number): boolean {
    const unread = this.#entries.length - this.#indexAfter(cursor);
    // The newest entry stays, however large: one who has read everything loses nothing.
    if (unread === 0) return true;
    return unread + entries <= this.limits.entries && this.bytesAfter(cursor) + bytes <= this.limits.bytes;
  }

  /** Whether what a reader at `cursor` has not had would fill one part in `parts` of the log at most. */
  fillsAtMost(cursor: Position, parts: number): boolean {
    const unread = this.#entries.length - this.#indexAfter(cursor);
    return unread <= Math.floor(this.limits.entries / parts) && this.bytesAfter(cursor) <= Math.floor(this.limits.bytes / parts);
  }

  #at(index: number): Entry {
    const entry = this.#entries[index];
    if (entry === undefined) throw new RangeError(`no entry ${index}`);
    return entry;
  }

  /** The first entry that ends after `cursor`. */
  #indexAfter(cursor: Position): number {
    let low = this.#start;
    let high = this.#entries.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (comparePositions(this.#at(middle).end, cursor) <= 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Bytes of the entries from `index` on. */
  #addedSince(index: number): number {
    const first = this.#entries[index];
    return first === undefined ? 0 : this.#added - first.before;
  }

  #append(entry: Entry, bytes: number): void {
    this.#added += bytes;
    this.#entries.push(entry);
    const count = (): number => this.#entries.length - this.#start;
    // The newest entry stays, however large.
    while (count() > 1 && (this.bytes > this.limits.bytes || count() > this.limits.entries)) this.#dropOldest();
    if (this.#start > 64 && this.#start * 2 > this.#entries.length) {
      this.#entries.splice(0, this.#start);
      this.#start = 0;
    }
  }

  #dropOldest(): void {
    const oldest = this.#at(this.#start);
    this.#base = oldest.end;
    // The place stays until the array is cut, but must not keep the frame alive.
    this.#entries[this.#start++] = { kind: "gap", from: oldest.end, end: oldest.end, before: 0, reason: "retention" };
  }
}

/** Whether a receiver at `position` takes `frame`: the delivery rule. */
export function covers(frame: Frame, position: Position): boolean {
  const { epoch, after, last } = frame.header;
  return epoch === position.epoch && after <= position.offset && position.offset < last;
}
