/**
 * A link's transport: one ordered, reliable data channel of a connection, which it may share with other links, and for what
 * may be lost the connection's lossy one.
 *
 * It leaves its connection on every path, and says nothing after `closed`.
 */
import { mayBeLost } from "../codec/index.js";
import type { Opened } from "./early-channels.js";
import { BUFFERED_BYTES_LOW, type Rider, type RtcConnection } from "./rtc-connection.js";

/** Largest message taken; the native peers' limit too. What peers send is a quarter of it. */
const MESSAGE_BYTES_MAX = 64 << 10;
/** While more than this waits in the browser on either channel, nothing is added: the core's log is the queue. */
const BUFFERED_BYTES_HIGH = 256 << 10;
/** How long a goodbye may take to leave before the channel is given up, which may drop it. */
const LINGER_MS = 100;

export interface RtcLinkEvents {
  opened(): void;
  data(bytes: Uint8Array): void;
  /** There is room again, after `trySend` refused. */
  writable(): void;
  /** Gone, or could not be set up; not said after `close`. */
  closed(): void;
}

export class RtcLink implements Rider {
  readonly link: number;
  readonly offers: boolean;
  readonly connection: RtcConnection;
  readonly #events: RtcLinkEvents;
  #channel: RTCDataChannel | undefined;
  #isOpen = false;
  #isDone = false;

  constructor(connection: RtcConnection, link: number, offers: boolean, events: RtcLinkEvents) {
    this.connection = connection;
    this.link = link;
    this.offers = offers;
    this.#events = events;
    if (!connection.join(this)) {
      queueMicrotask(() => {
        this.lost();
      });
    }
  }

  /** Whether `trySend` takes something; if it is open and does not, `writable` follows. */
  get isWritable(): boolean {
    if (this.#channel?.readyState !== "open") return false;
    return Math.max(this.#channel.bufferedAmount, this.connection.lossy.bufferedAmount) < BUFFERED_BYTES_HIGH;
  }

  /** False: not open, or no room. */
  trySend(bytes: Uint8Array): boolean {
    if (!this.isWritable) return false;
    const { lossy } = this.connection;
    try {
      if (lossy.isOpen && mayBeLost(bytes)) lossy.send(this.link, bytes);
      else this.#channel?.send(bytes as Uint8Array<ArrayBuffer>);
      return true;
    } catch {
      // Closing; its event is under way.
      return false;
    }
  }

  /** Closes the link, with a last message if it is open. */
  close(bye: Uint8Array | undefined): void {
    if (this.#isDone) return;
    const saysBye = bye !== undefined && this.trySend(bye);
    const channel = this.#channel;
    this.#end();
    if (!saysBye || channel === undefined) {
      this.#leave();
      return;
    }
    // A channel closes when what it holds has been sent; a connection drops it.
    const leave = (): void => {
      clearTimeout(timer);
      channel.onclose = null;
      this.#leave();
    };
    const timer = setTimeout(leave, LINGER_MS);
    channel.onclose = leave;
    channel.close();
  }

  /** The same, before this returns: the last message may not arrive, but the end of the connection does. */
  closeNow(bye: Uint8Array): void {
    if (this.#isDone) return;
    this.trySend(bye);
    this.#end();
    this.#leave();
  }

  /** The connection gives it its data channel. */
  take({ channel, received }: Opened): void {
    this.#channel = channel;
    channel.binaryType = "arraybuffer";
    channel.bufferedAmountLowThreshold = BUFFERED_BYTES_LOW;
    channel.onopen = () => {
      this.#onOpen(received);
    };
    channel.onbufferedamountlow = () => {
      this.#events.writable();
    };
    channel.onmessage = (message: MessageEvent<unknown>) => {
      this.#onMessage(message.data);
    };
    channel.onclose = () => {
      this.lost();
    };
    // A channel that the other end opened can be open already, or closed again, and need not say so.
    queueMicrotask(() => {
      if (channel.readyState === "open") this.#onOpen(received);
      else if (channel.readyState !== "connecting") this.lost();
    });
  }

  data(message: ArrayBuffer): void {
    if (this.#isOpen) this.#onMessage(message);
  }

  writable(): void {
    if (this.#isOpen && !this.#isDone) this.#events.writable();
  }

  #onOpen(received: Opened["received"]): void {
    if (this.#isDone || this.#isOpen) return;
    this.#isOpen = true;
    if (this.offers) this.connection.heard();
    this.#events.opened();
    for (const data of received) this.#onMessage(data);
  }

  #onMessage(data: unknown): void {
    if (this.#isDone) return;
    this.connection.heard();
    if (!(data instanceof ArrayBuffer)) {
      // Text; an empty message is as malformed, and closes the link with a word to the hub.
      this.#events.data(new Uint8Array(0));
    } else if (data.byteLength > MESSAGE_BYTES_MAX) {
      this.lost();
    } else {
      this.#events.data(new Uint8Array(data));
    }
  }

  /** It is gone, or could not be set up. */
  lost(): void {
    if (this.#isDone) return;
    this.#end();
    this.#leave();
    this.#events.closed();
  }

  #leave(): void {
    this.#channel?.close();
    this.connection.leave(this);
  }

  /** Takes off all handlers. */
  #end(): void {
    this.#isDone = true;
    const channel = this.#channel;
    if (channel === undefined) return;
    channel.onopen = channel.onmessage = channel.onclose = channel.onbufferedamountlow = null;
  }
}
