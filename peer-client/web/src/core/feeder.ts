/** A parent as its child sees it: how far it has shown to be, and whether it sends or stands by. */
import { type Position, comparePositions } from "../codec/index.js";

/**
 * A parent is given up where it leaves more than one hole in so many frames: a bad line, or one that replaces what it should
 * pass on.
 */
const FRAMES_PER_HOLE = 7;

/** And where that has lasted for so many holes more than that: chance makes no such series on a line that is worth having. */
const HOLES_BORNE = 10;

/** An answer that takes longer was not on its way for so long: the parent or we were busy, or it wants to be waited for. */
const ROUND_TRIP_MAX_US = 1_000_000;

/** One who feeds us, or could. */
export class Feeder {
  /** Whether it was told to send no frames. */
  isHeld: boolean;
  /** How long it took to answer `join`, in microseconds, a second at most. */
  readonly roundTripUs: number;
  /** Bytes of frames that came since it was last told how far we are. */
  unsaidBytes = 0;
  /** How many times in a row it has not brought what it had shown. */
  brokenPromises = 0;
  /** It may take over once it has shown that it has this, and we have it as well. */
  readonly #goal: Position;
  #shown: Position;
  #said: Position | undefined;
  /** How far the holes that it left outweigh the frames that it brought. */
  #losses = 0;
  /** What it lacked, and since when. */
  #lacks: { readonly position: Position; readonly since: number } | undefined;

  /** One that is at `position`, where we have `ours`. */
  constructor(position: Position, ours: Position, isHeld: boolean, roundTripUs: number) {
    this.#goal = isBefore(position, ours) ? ours : position;
    this.#shown = position;
    this.isHeld = isHeld;
    this.roundTripUs = Math.min(roundTripUs, ROUND_TRIP_MAX_US);
  }

  /** How far it has shown to be. */
  get shown(): Position {
    return this.#shown;
  }

  /** What it last said by `have`. */
  get said(): Position | undefined {
    return this.#said;
  }

  /** It says by `have` that it is this far. */
  says(position: Position): void {
    this.#said = position;
    this.shows(position);
  }

  /** It has shown that it is this far. */
  shows(position: Position): void {
    if (isBefore(this.#shown, position)) this.#shown = position;
  }

  /** Whether it can feed one who has `ours`. */
  hasCaughtUp(ours: Position): boolean {
    return !isBefore(this.#shown, this.#goal) && !isBefore(ours, this.#goal);
  }

  /** It has brought a frame that nobody else had brought. */
  brings(): void {
    this.#losses = Math.max(this.#losses - 1, 0);
  }

  /** It has left a hole. True if that happens too often. */
  leavesHole(): boolean {
    this.#losses += FRAMES_PER_HOLE;
    return this.#losses >= HOLES_BORNE * FRAMES_PER_HOLE;
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
