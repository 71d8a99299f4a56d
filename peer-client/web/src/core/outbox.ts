/** The control messages that wait for one session or link. */

/**
 * Most messages that wait. Whoever does not read this many small messages does not read at all, and is closed:
 * control messages, unlike frames, cannot be fetched again from a log.
 */
export const OUTBOX_MESSAGES_MAX = 1_024;

/** A bounded queue of encoded control messages. */
export class Outbox {
  readonly #messages: Uint8Array[] = [];

  /** False if it is full; nothing was kept then. */
  tryPush(message: Uint8Array): boolean {
    if (this.#messages.length >= OUTBOX_MESSAGES_MAX) return false;
    this.#messages.push(message);
    return true;
  }

  pop(): Uint8Array | undefined {
    return this.#messages.shift();
  }
}
