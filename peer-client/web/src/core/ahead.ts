/** What came before its turn: frames behind one that is lost or late, and the holes before them. */
import { BEFORE_FIRST, type Frame, type Nack, type Position, comparePositions, formatPosition } from "../codec/index.js";
import { covers } from "./log.js";

/** Holes that are asked for at a time. */
const HOLES_MAX = 8;

/** How often a hole is asked for. After that it is up to the server. */
const TIMES_MAX = 6;

interface Asked {
  readonly at: number;
  readonly times: number;
}

/** A frame and what is to come before it. */
interface Waiting {
  readonly frame: Frame;
  readonly before: Position;
}

/** Frames that wait for others. */
export class Ahead {
  /**
   * By where they begin, and by what is to come before them: that is the same but for the first frame of a numbering, which
   * waits for all that is known to be missing of the one before.
   */
  #frames: Waiting[] = [];
  #bytes = 0;
  /** How far whoever feeds us says that it has sent. */
  #end: Position | undefined;
  /** What was asked for, by where it begins. */
  #asked = new Map<string, Asked>();

  /** How many bytes of frames wait. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Keeps a frame until we have everything up to `before`. There is room for a window and the frame with which that is exceeded:
   * nobody who keeps to it sends more. False if there is none.
   */
  put(frame: Frame, before: Position, windowBytes: number): boolean {
    if (this.#bytes >= windowBytes) return false;
    if (!this.holds(frame, before)) {
      this.#bytes += frame.bytes.length;
      this.#frames.splice(this.#indexOf({ frame, before }), 0, { frame, before });
    }
    return true;
  }

  /** Whether a frame waits already, for the same. */
  holds(frame: Frame, before: Position): boolean {
    const found = this.#frames[this.#indexOf({ frame, before })];
    return found !== undefined && compare(found, { frame, before }) === 0;
  }

  /** What is to come before the first frame that waits. */
  get first(): Position | undefined {
    return this.#frames[0]?.before;
  }

  /**
   * Whoever feeds us has sent everything up to `position`. While something of our numbering is missing, how far the next one
   * is does not count.
   */
  endsAt(position: Position, ours: Position): void {
    const isLater = position.epoch > ours.epoch || (this.#end !== undefined && !isBefore(this.#end, position));
    if (!(this.lacks(ours) !== undefined && isLater)) this.#end = position;
  }

  /** Whoever said how far it has sent feeds us no more. */
  forgetEnd(): void {
    this.#end = undefined;
  }

  /** How far we know to be missing something. */
  goal(ours: Position): Position | undefined {
    const goal = this.first ?? this.#end;
    return goal !== undefined && isBefore(ours, goal) ? goal : undefined;
  }

  /** How far something of the numbering of `ours` is missing, by whoever feeds us. */
  lacks(ours: Position): Position | undefined {
    return this.#end?.epoch === ours.epoch && isBefore(ours, this.#end) ? this.#end : undefined;
  }

  /** The frame whose turn it is, where we have everything up to `ours`. */
  next(ours: Position): Frame | undefined {
    const lacks = this.lacks(ours) !== undefined;
    for (let next = this.#frames[0]; next !== undefined; next = this.#frames[0]) {
      const { frame, before } = next;
      const begins = beginsAnew(frame, ours);
      if (isBefore(ours, before) || (begins && lacks)) return undefined;
      this.#frames.shift();
      this.#bytes -= frame.bytes.length;
      if (begins || covers(frame, ours)) return frame;
    }
    return undefined;
  }

  /** Nothing that came is of use any more. */
  clear(): void {
    this.#frames = [];
    this.#bytes = 0;
    this.#end = undefined;
    this.#asked.clear();
  }

  /** The holes to ask for now, each with how often that was done before; a hole is asked for again after `pauseUs`. */
  ask(now: number, ours: Position, pauseUs: number): [hole: Nack, times: number][] {
    const holes = this.#holes(ours);
    const asked = this.#asked;
    this.#asked = new Map();
    return holes.flatMap((hole) => {
      const key = formatPosition(hole.after);
      const before = asked.get(key);
      const isDue = before === undefined || (before.times < TIMES_MAX && now >= dueAt(before, pauseUs));
      const times = before?.times ?? 0;
      this.#asked.set(key, isDue ? { at: now, times: times + 1 } : before);
      return isDue ? [[hole, times]] : [];
    });
  }

  /** When there is a hole to ask for again. */
  askAt(pauseUs: number): number | undefined {
    const open = [...this.#asked.values()].filter(({ times }) => times < TIMES_MAX);
    return open.length === 0 ? undefined : Math.min(...open.map((asked) => dueAt(asked, pauseUs)));
  }

  /** What lies between what we have and what we know to be there. */
  #holes(ours: Position): Nack[] {
    const holes: Nack[] = [];
    let after = ours;
    for (const { frame, before } of this.#frames) {
      if (isBefore(after, before)) holes.push({ after, to: before });
      if (isBefore(after, frame.position)) after = frame.position;
    }
    if (this.#end !== undefined && isBefore(after, this.#end)) holes.push({ after, to: this.#end });
    return holes.slice(0, HOLES_MAX);
  }

  /** Where a frame waits, or would. */
  #indexOf(waiting: Waiting): number {
    let low = 0;
    let high = this.#frames.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const other = this.#frames[middle];
      if (other !== undefined && compare(other, waiting) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** Whether a frame is the first one of a numbering after that of `ours`. */
export function beginsAnew({ header }: Frame, ours: Position): boolean {
  return header.epoch > ours.epoch && header.after === BEFORE_FIRST;
}

function compare(a: Waiting, b: Waiting): number {
  return comparePositions(a.frame.positionBefore, b.frame.positionBefore) || comparePositions(a.before, b.before);
}

function dueAt({ at }: Asked, pauseUs: number): number {
  return Math.floor(at + pauseUs);
}

function isBefore(a: Position, b: Position): boolean {
  return comparePositions(a, b) < 0;
}
