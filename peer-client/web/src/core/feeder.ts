/** A parent as its child sees it: how far it has shown to be, and whether it sends or stands by. */
import { type Position, comparePositions } from "../codec/index.js";

/** One who feeds us, or could. */
export class Feeder {
  /** Whether it was told to send no frames. */
  isHeld: boolean;
  /** How long it took to answer `join`, in microseconds. */
  readonly roundTripUs: number;
  /** Bytes of frames that came since it was last told how far we are. */
  unsaidBytes = 0;
  /** How many times in a row it has not brought what it had shown. */
  brokenPromises = 0;
  /** It may take over once it has shown that it has this, and we have it as well. */
  readonly #goal: Position;
  #shown: Position;
  /** What it lacked, and since when. */
  #lacks: { readonly position: Position; readonly since: number } | undefined;

  /** One that is at `position`, where we have `ours`. */
  constructor(position: Position, ours: Position, isHeld: boolean, roundTripUs: number) {
    this.#goal = isBefore(position, ours) ? ours : position;
    this.#shown = position;
    this.isHeld = isHeld;
    this.roundTripUs = roundTripUs;
  }

  /** How far it has shown to be. */
  get shown(): Position {
    return this.#shown;
  }

  /** It has shown that it is this far. */
  shows(position: Position): void {
    if (isBefore(this.#shown, position)) this.#shown = position;
  }

  /** Whether it can feed one who has `ours`. */
  hasCaughtUp(ours: Position): boolean {
    return !isBefore(this.#shown, this.#goal) && !isBefore(ours, this.#goal);
  }

  /**
   * For how long it has lacked what we, who are at `ours` now, had then; in microseconds. To be asked again and again.
   */
  lacksFor(now: number, ours: Position): number {
    const stillLacks = this.#lacks !== undefined && isBefore(this.#shown, this.#lacks.position);
    if (!stillLacks) this.#lacks = isBefore(this.#shown, ours) ? { position: ours, since: now } : undefined;
    return this.#lacks === undefined ? 0 : now - this.#lacks.since;
  }
}

function isBefore(a: Position, b: Position): boolean {
  return comparePositions(a, b) < 0;
}
