/** What a page knows of its user, as a test has it. */
import type { Surroundings, SurroundingsListener } from "../io/surroundings.js";

export class FakeSurroundings implements Surroundings {
  readonly #listeners = new Set<SurroundingsListener>();
  #isHidden = false;
  #isMetered = false;

  get listeners(): number {
    return this.#listeners.size;
  }

  readonly isHidden = (): boolean => this.#isHidden;
  readonly isMetered = (): boolean => this.#isMetered;

  readonly watch = (listener: SurroundingsListener, until: AbortSignal): void => {
    this.#listeners.add(listener);
    until.addEventListener("abort", () => this.#listeners.delete(listener));
  };

  set({ isHidden = this.#isHidden, isMetered = this.#isMetered }): void {
    this.#isHidden = isHidden;
    this.#isMetered = isMetered;
    for (const listener of this.#listeners) listener.changed();
  }

  leave(): void {
    for (const listener of this.#listeners) listener.left();
  }

  return(): void {
    for (const listener of this.#listeners) listener.returned();
  }
}
