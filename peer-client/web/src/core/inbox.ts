/**
 * What has come over one session or link and has not been processed yet.
 *
 * Checking a signature takes a moment, and what comes after it has to wait: the order in which things were sent is
 * the order in which they count.
 */
import { FRAME_KIND, HEAD_KIND, type Item, readItems } from "../codec/index.js";

/**
 * Most bytes of frames and heads that wait. Whoever sends stays within our window, far below this. A server that feeds
 * several channels of very large frames may come near: what does not fit is dropped and asked for again.
 */
export const INBOX_BYTES_MAX = 8 << 20;
/** What a waiting message weighs beside its bytes. */
const MESSAGE_OVERHEAD_BYTES = 256;
/** What control messages may take besides: they cannot be asked for again. */
const CONTROL_BYTES_MAX = 1 << 20;

/** An item whose signature is being checked. */
export interface Waiting {
  readonly ticket: number;
  readonly item: Item;
}

export class Inbox {
  /** While there is one, nothing after it is read. */
  waiting: Waiting | undefined;
  /** Something was dropped, because there was no room. */
  isOverrun = false;
  /** The link is gone; to be seen to after what had come before. */
  isClosed = false;
  #messages: Uint8Array[] = [];
  #bytes = 0;
  #items: Item[] = [];

  /** Whether all that came has been processed. */
  get isIdle(): boolean {
    return this.waiting === undefined && this.#items.length === 0 && this.#messages.length === 0;
  }

  /** False if it is full; nothing was kept then. */
  tryPush(message: Uint8Array): boolean {
    const max = isStreamed(message) ? INBOX_BYTES_MAX : INBOX_BYTES_MAX + CONTROL_BYTES_MAX;
    const bytes = this.#bytes + weight(message);
    if (bytes > max) return false;
    this.#messages.push(message);
    this.#bytes = bytes;
    return true;
  }

  /** The next item; throws a DecodeError for a message that is malformed anywhere. */
  next(): Item | undefined {
    const item = this.#items.shift();
    if (item !== undefined) return item;
    const message = this.#messages.shift();
    if (message === undefined) return undefined;
    this.#bytes -= weight(message);
    this.#items = readItems(message);
    return this.#items.shift();
  }

  /** Forgets everything. */
  clear(): void {
    this.waiting = undefined;
    this.isOverrun = false;
    this.isClosed = false;
    this.#messages = [];
    this.#bytes = 0;
    this.#items = [];
  }
}

function weight(message: Uint8Array): number {
  return message.length + MESSAGE_OVERHEAD_BYTES;
}

/** Whether a message holds what can be asked for again. */
export function isStreamed(message: Uint8Array): boolean {
  return message[0] === FRAME_KIND || message[0] === HEAD_KIND;
}
