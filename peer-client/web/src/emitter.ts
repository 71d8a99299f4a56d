/** Calls listeners, by the type of what there is to say. */

export class Emitter<Events extends Readonly<Record<string, unknown>>> {
  readonly #listeners = new Map<keyof Events, Set<(value: never) => void>>();
  /** What is being told, and what listeners have caused meanwhile. */
  readonly #untold: (() => void)[] = [];

  /** Calls `listener` with each value of this type, until the function that it returns is called. */
  on<K extends keyof Events>(type: K, listener: (value: Events[K]) => void): () => void {
    const listeners = this.#listeners.get(type) ?? new Set();
    this.#listeners.set(type, listeners);
    listeners.add(listener);
    return () => {
      listeners.delete(listener);
    };
  }

  has(type: keyof Events): boolean {
    return (this.#listeners.get(type)?.size ?? 0) > 0;
  }

  /** Whether listeners are being told something right now. */
  get isTelling(): boolean {
    return this.#untold.length > 0;
  }

  /** What comes of it while listeners are told something is told after that: all of them hear everything in order. */
  emit<K extends keyof Events>(type: K, value: Events[K]): void {
    this.#untold.push(() => {
      this.#tell(type, value);
    });
    if (this.#untold.length > 1) return;
    for (let tell = this.#untold[0]; tell !== undefined; tell = this.#untold[0]) {
      tell();
      this.#untold.shift();
    }
  }

  /** A listener that throws hinders nobody else: what it threw is reported as if it had run by itself. */
  #tell<K extends keyof Events>(type: K, value: Events[K]): void {
    for (const listener of this.#listeners.get(type) ?? []) {
      try {
        (listener as (value: Events[K]) => void)(value);
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }
}
