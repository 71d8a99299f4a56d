/**
 * What a child may ask for again: so much at once, and half as much as the channel carries. Whoever asks for more would take
 * its parent's uplink from the others.
 */
import type { Position } from "../codec/index.js";
import type { FrameLog } from "./log.js";

/** What a child may still ask for again, in bytes of frames; below zero where the last answer was more than what was left. */
export class Allowance {
  readonly #max: number;
  #left: number;
  /** What the channel carried until here has been counted. */
  #counted: Position;

  /** Of a child that has everything up to `position`. */
  constructor(position: Position, max: number) {
    this.#counted = position;
    this.#max = max;
    this.#left = max;
  }

  /** Adds what the log has got meanwhile. Whether anything is left then. */
  isLeft(log: FrameLog): boolean {
    const half = Math.floor(log.bytesAfter(this.#counted) / 2);
    this.#left = Math.min(this.#max, this.#left + half);
    this.#counted = log.head;
    return this.#left > 0;
  }

  spend(bytes: number): void {
    this.#left -= bytes;
  }
}
