/** What a piece of code has received, as it tells itself. */
import { inspect } from "node:util";

/** Longer than anything takes on a busy machine: what has not come by then never will. */
const PATIENCE_MS = 60_000;

/** What a piece of code has received: that adds to it, and the test waits for it. */
export class Received<T> {
  readonly #all: T[] = [];
  readonly #watchers = new Set<() => void>();

  /** Adds something. May be given away as it is: `subscription.on("event", received.add)`. */
  readonly add = (received: T): void => {
    this.#all.push(received);
    for (const look of [...this.#watchers]) look();
  };

  /** What there is, in order. */
  get soFar(): readonly T[] {
    return [...this.#all];
  }

  /**
   * Waits until something is there of which `isLast` says so, and gives what there is up to it. `what` is for people: it is in the
   * error, with what has come, if that takes more than a minute.
   */
  async until(what: string, isLast: (received: T) => boolean): Promise<T[]> {
    let last = this.#all.findIndex(isLast);
    if (last < 0) {
      await this.#changed(what, () => (last = this.#all.findIndex(isLast)) >= 0);
    }
    return this.#all.slice(0, last + 1);
  }

  async #changed(what: string, isSo: () => boolean): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const look = (): void => {
        if (!isSo()) return;
        end();
        resolve();
      };
      const timer = setTimeout(() => {
        end();
        reject(new Error(`not received within ${PATIENCE_MS} ms: ${what}, but ${inspect(this.#all)}`));
      }, PATIENCE_MS);
      const end = (): void => {
        clearTimeout(timer);
        this.#watchers.delete(look);
      };
      this.#watchers.add(look);
    });
  }
}
