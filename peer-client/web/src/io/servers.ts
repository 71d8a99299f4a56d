/** Which server a client connects to next: they take turns, and each has a backoff of its own. */
import { Backoff } from "./backoff.js";

interface Turn {
  readonly url: string;
  readonly backoff: Backoff;
  /** When this server may be tried again, in microseconds. */
  dueUs: number;
}

export class Servers {
  readonly #random: () => number;
  readonly #turns: Turn[];
  #current = 0;

  /** In an order of its own for each client, so that an audience spreads over all of them. */
  constructor(urls: readonly string[], random: () => number) {
    this.#random = random;
    const places = urls.map((url) => ({ url, place: random() }));
    places.sort((one, other) => one.place - other.place);
    this.#turns = places.map(({ url }) => ({ url, backoff: new Backoff(random), dueUs: -Infinity }));
  }

  /** The one that is current; undefined after all have forbidden to come back. */
  get current(): string | undefined {
    return this.#turns[this.#current]?.url;
  }

  /** A connection to the current server ended after this time; it may not be made again for at least `retryAfterMs`. */
  failed(nowUs: number, lastedMs: number, retryAfterMs: number): void {
    const turn = this.#turns[this.#current];
    if (turn !== undefined) turn.dueUs = nowUs + turn.backoff.next(lastedMs, retryAfterMs) * 1000;
  }

  /** The current server wants this client never again. */
  forbidden(): void {
    this.#turns.splice(this.#current, 1);
    // The one before: the next in turn is the one after it.
    this.#current = Math.max(0, this.#current === 0 ? this.#turns.length - 1 : this.#current - 1);
  }

  /**
   * Turns to the server that may be tried first, of several the next in the order. Gives the time to wait, in milliseconds;
   * undefined if there is no server left.
   */
  turn(nowUs: number): number | undefined {
    const [earlier, count] = [this.#current, this.#turns.length];
    let soonestUs = Infinity;
    for (let step = 1; step <= count; step++) {
      const at = (earlier + step) % count;
      const dueUs = Math.max(nowUs, this.#turns[at]?.dueUs ?? Infinity);
      if (dueUs >= soonestUs) continue;
      soonestUs = dueUs;
      this.#current = at;
    }
    if (count === 0) return undefined;
    const waitMs = (soonestUs - nowUs) / 1000;
    // Whoever was with a server that is gone turns to the next; not all in the same moment.
    return this.#current === earlier ? waitMs : Math.max(waitMs, new Backoff(this.#random).next(0, 0));
  }
}
