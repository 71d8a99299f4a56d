/** The control messages that wait for one session or link. */

/** What a waiting message weighs beside its bytes. */
const MESSAGE_OVERHEAD_BYTES = 64;

/**
 * A bounded queue of encoded control messages. Whoever lets it fill up does not read at all, and is closed: control
 * messages, unlike frames, cannot be fetched again from a log.
 */
export class Outbox {
  readonly #bytesMax: number;
  #messages: Uint8Array[] = [];
  #bytes = 0;

  /** An empty outbox for so many bytes. */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** False if it is full; nothing was kept then. */
  tryPush(message: Uint8Array): boolean {
    const bytes = this.#bytes + weight(message);
    if (bytes > this.#bytesMax) return false;
    this.#bytes = bytes;
    this.#messages.push(message);
    return true;
  }

  pop(): Uint8Array | undefined {
    const message = this.#messages.shift();
    if (message !== undefined) this.#bytes -= weight(message);
    return message;
  }

  clear(): void {
    this.#messages = [];
    this.#bytes = 0;
  }
}

function weight(message: Uint8Array): number {
  return message.length + MESSAGE_OVERHEAD_BYTES;
}
