/**
 * What has come over one session or link and has not been processed yet.
 *
 * Checking a signature takes a moment, and what comes after it has to wait: the order in which things were sent is
 * the order in which they count.
 */
import { type Item, readItems } from "../codec/index.js";

/**
 * Most bytes that wait. A parent stays within its window, far below this; a server that sends faster than signatures
 * can be checked is left, and asked again from where we are.
 */
export const INBOX_BYTES_MAX = 16 << 20;

/** An item whose signature is being checked. */
export interface Waiting {
  readonly ticket: number;
  readonly item: Item;
}

export class Inbox {
  /** While there is one, nothing after it is read. */
  waiting: Waiting | undefined;
  /** The link is gone; to be seen to after what had come before. */
  isClosed = false;
  #messages: Uint8Array[] = [];
  #bytes = 0;
  #items: Item[] = [];

  /** False if it is full; nothing was kept then. */
  tryPush(message: Uint8Array): boolean {
    if (this.#bytes + message.length > INBOX_BYTES_MAX) return false;
    this.#messages.push(message);
    this.#bytes += message.length;
    return true;
  }

  /** The next item; throws a DecodeError for a message that is malformed anywhere. */
  next(): Item | undefined {
    const item = this.#items.shift();
    if (item !== undefined) return item;
    const message = this.#messages.shift();
    if (message === undefined) return undefined;
    this.#bytes -= message.length;
    this.#items = readItems(message);
    return this.#items.shift();
  }

  /** Forgets everything. */
  clear(): void {
    this.waiting = undefined;
    this.isClosed = false;
    this.#messages = [];
    this.#bytes = 0;
    this.#items = [];
  }
}
