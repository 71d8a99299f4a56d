/**
 * A windowed cursor over a log: what one receiver has been sent, at most a window ahead of what it has said that it has.
 */
import { type Frame, type Head, type Position, comparePositions } from "../codec/index.js";
import type { FrameLog, Read } from "./log.js";

/**
 * What is under way is remembered in this many parts of a window: a receiver costs the same few bytes whatever window it
 * asks for and however small the frames are. That is finer than the quarters in which receivers acknowledge.
 */
const PARTS = 8;

/** Frames that were sent one after the other and are acknowledged together. */
interface Part {
  end: Position;
  bytes: number;
}

/** How far a receiver has been sent a log. */
export class Cursor {
  readonly #windowBytes: number;
  #position: Position;
  #inFlight: Part[] = [];
  #inFlightBytes = 0;
  #headTimeUs = 0;

  /** A cursor for a receiver that has everything up to `position`. */
  constructor(position: Position, windowBytes: number) {
    this.#position = position;
    this.#windowBytes = windowBytes;
  }

  /** What the receiver has, or will have when all that was sent has arrived. */
  get position(): Position {
    return this.#position;
  }

  /**
   * What comes next for the receiver; nothing while a window is under way (it may then fall off the log, and is told so
   * when it goes on), nor while it is ahead of the log.
   */
  read(log: FrameLog): Read {
    const waits = this.#inFlightBytes >= this.#windowBytes || log.isBehind(this.#position);
    return waits ? { kind: "up_to_date" } : log.read(this.#position);
  }

  /** This frame, which came next, was sent. */
  sent(frame: Frame): void {
    const end = frame.position;
    const bytes = frame.bytes.length;
    this.#position = end;
    this.#inFlightBytes += bytes;
    const last = this.#inFlight.at(-1);
    if (last !== undefined && last.bytes + bytes <= Math.floor(this.#windowBytes / PARTS)) {
      last.end = end;
      last.bytes += bytes;
    } else {
      this.#inFlight.push({ end, bytes });
    }
  }

  /** The receiver learns that it goes on at `to`. That weighs nothing. */
  skip(to: Position): void {
    if (comparePositions(to, this.#position) < 0) {
      // A numbering that sorts before the old one: no position in it acknowledges anything of the old one.
      this.#inFlight = [];
      this.#inFlightBytes = 0;
    }
    this.#position = to;
  }

  /**
   * The receiver says that it has everything up to `position`, whoever sent it that: what lies before is neither under
   * way any more nor to be sent.
   */
  acknowledge(log: FrameLog, position: Position): void {
    for (let first = this.#inFlight[0]; first !== undefined; first = this.#inFlight[0]) {
      if (comparePositions(first.end, position) > 0) break;
      this.#inFlightBytes -= first.bytes;
      this.#inFlight.shift();
    }
    // A numbering that is newer than the log's says nothing about where in the log the receiver is.
    if (comparePositions(position, this.#position) > 0 && position.epoch <= log.head.epoch) this.#position = position;
  }

  /** A head that the receiver has not been sent and that says nothing about what is still to come. */
  nextHead(head: Head | undefined): Head | undefined {
    if (head === undefined || head.timeUs <= this.#headTimeUs) return undefined;
    if (comparePositions(head.position, this.#position) > 0) return undefined;
    this.#headTimeUs = head.timeUs;
    return head;
  }
}
