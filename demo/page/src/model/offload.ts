/** What the server sends, against what sending to everyone would take, over the last seconds. */
import type { ServerCounters } from "./demo-state.js";

export interface Offload {
  /** Frames the server sends, bytes/s. */
  readonly dataPerS: number;
  /** Signaling and the like, bytes/s. */
  readonly controlPerS: number;
  /** Frames it would send if it fed everyone, bytes/s. */
  readonly directPerS: number;
  readonly eventsPerS: number;
  /** The share of the frames' bytes that the peers carry, 0 to 1; undefined while nothing is sent. */
  readonly share: number | undefined;
  /** The same since the server started. */
  readonly shareSinceStart: number | undefined;
  /** Bytes that the server did not have to send since it started. */
  readonly savedBytes: number;
}

interface Sample {
  readonly atMs: number;
  readonly counters: ServerCounters;
}

/** Turns counters that are read now and then into rates. */
export class OffloadMeter {
  readonly #windowMs: number;
  /** Bounded by the window. */
  #samples: Sample[] = [];

  constructor(windowMs: number) {
    this.#windowMs = windowMs;
  }

  /** Rates over the window; undefined until there are two readings. */
  add(atMs: number, counters: ServerCounters): Offload | undefined {
    const newest = this.#samples.at(-1)?.counters;
    // Counters that went back: another server.
    if (newest !== undefined && counters.directDataBytes < newest.directDataBytes) this.#samples = [];
    this.#samples.push({ atMs, counters });
    // One sample older than the window is kept, so that the window is always filled.
    while ((this.#samples[1]?.atMs ?? Infinity) <= atMs - this.#windowMs) this.#samples.shift();
    const first = this.#samples[0];
    if (first === undefined || first.atMs === atMs) return undefined;
    const seconds = (atMs - first.atMs) / 1000;
    const per = (pick: (counters: ServerCounters) => number): number =>
      Math.max(0, pick(counters) - pick(first.counters)) / seconds;
    const dataPerS = per(({ dataBytes }) => dataBytes);
    const directPerS = per(({ directDataBytes }) => directDataBytes);
    return {
      dataPerS,
      controlPerS: per(({ controlBytes }) => controlBytes),
      directPerS,
      eventsPerS: per(({ events }) => events),
      share: offloadShare(dataPerS, directPerS),
      shareSinceStart: offloadShare(counters.dataBytes, counters.directDataBytes),
      savedBytes: Math.max(0, counters.directDataBytes - counters.dataBytes),
    };
  }
}

/** The share that somebody else carried; never below 0; undefined of nothing. */
export function offloadShare(sent: number, direct: number): number | undefined {
  return direct > 0 ? Math.min(1, Math.max(0, 1 - sent / direct)) : undefined;
}
