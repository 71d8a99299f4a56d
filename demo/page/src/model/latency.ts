/** Percentiles of the latencies of the last seconds. */

/** The value that `share` of the sorted values do not exceed (nearest rank); undefined of none. */
export function percentile(sorted: readonly number[], share: number): number | undefined {
  if (sorted.length === 0) return undefined;
  const rank = Math.ceil(share * sorted.length);
  return sorted[Math.min(sorted.length, Math.max(1, rank)) - 1];
}

export interface LatencyFigures {
  readonly p50: number | undefined;
  readonly p99: number | undefined;
}

/** Most samples kept; the oldest go first. Ten seconds at 500 events/s. */
const SAMPLES_MAX = 5_000;

/** Latencies of the last `windowMs`. */
export class LatencyWindow {
  readonly #windowMs: number;
  /** In the order they came; a ring. */
  #samples: { readonly atMs: number; readonly ms: number }[] = [];

  constructor(windowMs: number) {
    this.#windowMs = windowMs;
  }

  add(atMs: number, ms: number): void {
    // Twice the bound, then cut: a shift per sample would cost more.
    if (this.#samples.length >= 2 * SAMPLES_MAX) this.#samples = this.#samples.slice(-SAMPLES_MAX);
    this.#samples.push({ atMs, ms });
  }

  /** Of the samples not older than the window, or than `lastMs` if given. */
  figures(nowMs: number, lastMs = this.#windowMs): LatencyFigures {
    const recent = this.#samples.filter(({ atMs }) => atMs > nowMs - this.#windowMs).slice(-SAMPLES_MAX);
    this.#samples = recent;
    const sorted = recent
      .filter(({ atMs }) => atMs > nowMs - lastMs)
      .map(({ ms }) => ms)
      .sort((a, b) => a - b);
    return { p50: percentile(sorted, 0.5), p99: percentile(sorted, 0.99) };
  }
}
