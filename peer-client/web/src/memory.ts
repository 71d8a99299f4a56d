/** How far an application is in a channel, kept over reloads of the page. */
import { type Position, formatPosition, parsePosition } from "./codec/position.js";

/** What is kept at most so much later than it happened. */
const DELAY_MS = 250;

/** As far as it is used here. */
export type Store = Pick<Storage, "getItem" | "setItem">;

/** What outlives a page. */
export interface Stores {
  /** This tab's, until it is closed. */
  readonly tab: Store;
  /** That of all tabs. */
  readonly browser: Store;
}

/**
 * Each tab keeps its own position, so that no tab makes another one skip anything. A tab that has none begins at the one
 * that any tab kept last.
 */
export class Memory {
  readonly #stores: Stores;
  readonly #key: string;
  readonly #failed: (reason: string) => void;
  #kept: string | undefined;
  #next: string | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #hasFailed = false;

  /** `failed` is called once if the browser keeps nothing. */
  constructor(stores: Stores, name: string, channel: string, failed: (reason: string) => void) {
    this.#stores = stores;
    this.#key = `tiercast:${name}:${channel}`;
    this.#failed = failed;
  }

  /** Where to go on. */
  get position(): Position | undefined {
    const { tab, browser } = this.#stores;
    return this.#read(tab) ?? this.#read(browser);
  }

  /** The application has taken everything up to here. */
  keep(position: Position): void {
    const text = formatPosition(position);
    if (this.#hasFailed) return;
    if (text === (this.#next ?? this.#kept)) return;
    this.#next = text;
    this.#timer ??= setTimeout(() => {
      this.flush();
    }, DELAY_MS);
  }

  /** Keeps at once what has not been kept yet. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#next === undefined) return;
    this.#kept = this.#next;
    this.#next = undefined;
    this.#write(this.#kept);
  }

  #read(store: Store): Position | undefined {
    try {
      return parsePosition(store.getItem(this.#key) ?? "");
    } catch {
      // Nothing, or nothing of ours.
      return undefined;
    }
  }

  #write(text: string): void {
    try {
      this.#stores.tab.setItem(this.#key, text);
      this.#stores.browser.setItem(this.#key, text);
    } catch (error) {
      this.#hasFailed = true;
      this.#failed(String(error));
    }
  }
}
