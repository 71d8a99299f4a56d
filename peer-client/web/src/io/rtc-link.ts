/**
 * A link's transport: two data channels of a connection, which it may share with other links. What may be lost goes on the
 * lossy one, all else on the reliable one; the end of either is that of the link.
 *
 * It leaves its connection on every path, and says nothing after `closed`.
 */
import { mayBeLost } from "../codec/index.js";
import type { Channels } from "./channels.js";
import type { Rider, RtcConnection } from "./rtc-connection.js";

/** Largest message taken; the native peers' limit too. What peers send is a quarter of it. */
const MESSAGE_BYTES_MAX = 64 << 10;
/** While more than this waits in the browser on either channel, nothing is added: the core's log is the queue. */
const BUFFERED_BYTES_HIGH = 256 << 10;
/** When it has come down to this, more is added. */
const BUFFERED_BYTES_LOW = 64 << 10;
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
  #channels: Channels | undefined;
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
    if (this.#channels === undefined) return false;
    const { reliable, lossy } = this.#channels;
    return reliable.readyState === "open" && hasRoom(reliable) && hasRoom(lossy);
  }

  /** False: not open, or no room. */
  trySend(bytes: Uint8Array): boolean {
    if (this.#channels === undefined || !this.isWritable) return false;
    try {
      channelOf(this.#channels, bytes).send(bytes as Uint8Array<ArrayBuffer>);
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
    const channel = this.#channels?.reliable;
    this.#end();
    if (!saysBye || channel === undefined) {
      this.#leave();
      return;
    }
    // A channel closes when what it holds has been sent; a connection drops it. The lossy one closes after it, lest the other
    // end takes that for the end of the link.
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

  /** The connection gives it its data channels. */
  take(channels: Channels): void {
    this.#channels = channels;
    const { reliable, lossy } = channels;
    this.#listen(reliable);
    this.#listen(lossy);
    reliable.onopen = () => {
      this.#onOpen(channels);
    };
    // Channels that the other end opened can be open already, or closed again, and need not say so.
    queueMicrotask(() => {
      if (isClosed(reliable) || isClosed(lossy)) this.lost();
      else if (reliable.readyState === "open") this.#onOpen(channels);
    });
  }

  #listen(channel: RTCDataChannel): void {
    channel.binaryType = "arraybuffer";
    channel.bufferedAmountLowThreshold = BUFFERED_BYTES_LOW;
    channel.onbufferedamountlow = () => {
      this.#events.writable();
    };
    channel.onmessage = (message: MessageEvent<unknown>) => {
      this.#onMessage(message.data);
    };
    channel.onclose = () => {
      this.lost();
    };
  }

  #onOpen({ received }: Channels): void {
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
    this.#channels?.reliable.close();
    this.#channels?.lossy.close();
    this.connection.leave(this);
  }

  /** Takes off all handlers. */
  #end(): void {
    this.#isDone = true;
    if (this.#channels === undefined) return;
    const { reliable, lossy } = this.#channels;
    for (const channel of [reliable, lossy]) {
      channel.onopen = channel.onmessage = channel.onclose = channel.onbufferedamountlow = null;
    }
  }
}

/** The channel on which a message goes. */
function channelOf({ reliable, lossy }: Channels, message: Uint8Array): RTCDataChannel {
  return lossy.readyState === "open" && mayBeLost(message) ? lossy : reliable;
}

function hasRoom({ bufferedAmount }: RTCDataChannel): boolean {
  return bufferedAmount < BUFFERED_BYTES_HIGH;
}

function isClosed({ readyState }: RTCDataChannel): boolean {
  return readyState === "closing" || readyState === "closed";
}
