/** When a page does nothing for others: while nobody looks at it, and while its line is dear. */
import type { Surroundings } from "./surroundings.js";

/** Why a page feeds nobody. */
export type Resting = "hidden" | "metered";

export class Manners {
  readonly #surroundings: Surroundings;
  readonly #hiddenAfterMs: number;
  readonly #changed: () => void;
  #resting: Resting | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** A page is hidden for as long before it counts; one that is so from the beginning rests at once. */
  constructor(surroundings: Surroundings, hiddenAfterMs: number, changed: () => void) {
    this.#surroundings = surroundings;
    this.#hiddenAfterMs = hiddenAfterMs;
    this.#changed = changed;
    if (surroundings.isMetered()) this.#resting = "metered";
    else if (surroundings.isHidden()) this.#resting = "hidden";
  }

  get resting(): Resting | undefined {
    return this.#resting;
  }

  /** Looks at the surroundings again. */
  look(): void {
    const isHidden = this.#surroundings.isHidden();
    if (!isHidden) this.end();
    if (this.#surroundings.isMetered()) this.#rest("metered");
    else if (!isHidden) this.#rest(undefined);
    else if (this.#resting !== "hidden") this.#wait();
  }

  /** Waits for nothing more. */
  end(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #wait(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#rest(this.#surroundings.isMetered() ? "metered" : "hidden");
    }, this.#hiddenAfterMs);
  }

  #rest(resting: Resting | undefined): void {
    if (resting === this.#resting) return;
    this.#resting = resting;
    this.#changed();
  }
}
