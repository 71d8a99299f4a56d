/**
 * Whether who feeds a subscription does so: when something came last, and who says that there is more.
 *
 * Means are kept in whole nanoseconds, and times are in whole microseconds: so every implementation comes to the same.
 */
import { type Position, comparePositions } from "../codec/index.js";

/** A standby that is ahead for this long is the faster one, and not by chance of a packet. Unvalidated. */
const AHEAD_US = 50_000;

/** If it is so this many times in a row, the two are exchanged. Unvalidated. */
const AHEAD_TIMES = 4;

/** But not sooner than this after they last were. */
const EXCHANGE_EVERY_US = 3_000_000;

/** Somebody has more than we have. */
export interface Lead {
  /** What they have. */
  readonly goal: Position;
  /** Since when we know. */
  readonly since: number;
  /** When it is more than what is still on its way. */
  readonly due: number;
  /** Whether somebody else was asked for it already. */
  readonly isSecond: boolean;
}

/** What a subscription knows of how the channel moves on. */
export class Watch {
  /** When a parent last brought a frame or a fresh head. */
  #progress: number;
  /** How long that takes on average. */
  #pauseNs = 0;
  /** Somebody is ahead of us. */
  #lead: Lead | undefined;
  #usual = new Usual();
  /** How many times in a row the standby was ahead for longer than a loss-free way accounts for. */
  #ahead = 0;
  /** When parent and standby were last swapped. */
  #swapped: number;

  constructor(now: number) {
    this.#progress = now;
    this.#swapped = now;
  }

  /** A parent has brought a frame or a fresh head. */
  progressed(now: number): void {
    this.#pauseNs = Math.floor((this.#pauseNs * 7 + (now - this.#progress) * 1000) / 8);
    this.#progress = now;
  }

  /**
   * When a parent that brings nothing until then is asked about: after many times what is usual, but not before the
   * server would say a head, and not much later.
   */
  silentAt(headIntervalUs: number): number {
    return this.#progress + clamp(Math.floor((this.#pauseNs * 10) / 1000), headIntervalUs, (headIntervalUs * 5) / 2);
  }

  /** Somebody has more than we have; gives when to see whether it has come. The earliest of such times counts. */
  leads(now: number, goal: Position, due: number): number {
    const since = this.#lead?.since ?? now;
    if (this.#lead === undefined || due < this.#lead.due) this.#lead = { goal, since, due, isSecond: false };
    return this.#lead.due;
  }

  /** Somebody else was asked for what is missing. If more is known to be, that is still so. */
  askedFor(now: number, position: Position, due: number): void {
    const known = this.#lead?.goal ?? position;
    const goal = comparePositions(known, position) > 0 ? known : position;
    this.#lead = { goal, since: now, due, isSecond: true };
  }

  /** We are this far. True if that is what somebody else had. */
  reached(now: number, position: Position): boolean {
    const lead = this.#lead;
    if (lead === undefined || comparePositions(lead.goal, position) > 0) return false;
    this.#lead = undefined;
    if (!lead.isSecond) this.learn(now - lead.since);
    return true;
  }

  /** The standby was ahead for so long; not at all, if that is nothing. */
  learn(aheadUs: number): void {
    this.#usual.learn(aheadUs);
    this.#ahead = aheadUs >= AHEAD_US ? this.#ahead + 1 : 0;
  }

  /** Whether the standby is the better parent, by what it has shown again and again. */
  shouldExchange(now: number): boolean {
    return this.#ahead >= AHEAD_TIMES && now - this.#swapped >= EXCHANGE_EVERY_US;
  }

  /** Parent and standby have been swapped. */
  swapped(now: number): void {
    this.#progress = now;
    this.#swapped = now;
    this.#ahead = 0;
    this.#usual = new Usual();
  }

  /** The time has come to see: what is missing, if it is. */
  overdue(now: number): Lead | undefined {
    const lead = this.#lead;
    if (lead === undefined || lead.due > now) return undefined;
    this.#lead = undefined;
    return lead;
  }

  /** For how long a standby may be ahead of us, at least `leastUs`. */
  patience(leastUs: number, mostUs: number): number {
    return clamp(this.#usual.boundUs ?? Math.floor(mostUs / 2), leastUs, mostUs);
  }
}

/**
 * How long it usually takes until we have what a standby has: a smoothed mean and deviation, as TCP keeps of its round
 * trips.
 */
class Usual {
  #meanNs: number | undefined;
  #deviationNs = 0;

  learn(sampleUs: number): void {
    const sample = sampleUs * 1000;
    if (this.#meanNs === undefined) {
      this.#meanNs = sample;
      this.#deviationNs = sample / 2;
      return;
    }
    this.#deviationNs = Math.floor((this.#deviationNs * 3 + Math.abs(this.#meanNs - sample)) / 4);
    this.#meanNs = Math.floor((this.#meanNs * 7 + sample) / 8);
  }

  get boundUs(): number | undefined {
    return this.#meanNs === undefined ? undefined : Math.floor((this.#meanNs + 4 * this.#deviationNs) / 1000);
  }
}

function clamp(value: number, least: number, most: number): number {
  return Math.min(Math.max(value, least), most);
}
