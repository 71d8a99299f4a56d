/** When to come back to a server: exponential backoff with full jitter. */

/** The longest wait before the first attempt. */
const CEILING_FIRST_MS = 500;
/** The longest wait at all. */
const CEILING_MAX_MS = 20_000;
/**
 * A session that lasted this long starts the backoff anew. As long as the longest wait: whoever is cut each time just
 * after this comes back no more often than one who waits that long each time.
 */
const STABLE_MS = CEILING_MAX_MS;

export class Backoff {
  readonly #random: () => number;
  readonly #ceilingMaxMs: number;
  #ceilingMs = CEILING_FIRST_MS;

  /** `random` gives numbers from 0 to 1; no wait is longer than `ceilingMaxMs`. */
  constructor(random: () => number, ceilingMaxMs = CEILING_MAX_MS) {
    this.#random = random;
    this.#ceilingMaxMs = ceilingMaxMs;
  }

  /** How long to wait after a session that lasted `lastedMs`, and never less than the server asked for. */
  next(lastedMs: number, retryAfterMs: number): number {
    if (lastedMs >= STABLE_MS) this.#ceilingMs = CEILING_FIRST_MS;
    const delayMs = this.#random() * this.#ceilingMs;
    this.#ceilingMs = Math.min(this.#ceilingMaxMs, this.#ceilingMs * 2);
    // Spread, too: those that were told the same time were told it together.
    return retryAfterMs > 0 ? retryAfterMs + delayMs : delayMs;
  }
}
