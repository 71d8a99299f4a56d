/**
 * A link's transport: one RTCPeerConnection with one ordered, reliable data channel, which the offerer opens.
 *
 * It closes its connection on every path, and says nothing after `closed`.
 */
import type { Signal } from "../codec/index.js";
import { Negotiation } from "./negotiation.js";

const LABEL = "tiercast";
/** Largest message taken; the native peers' limit too. What peers send is a quarter of it. */
const MESSAGE_BYTES_MAX = 64 << 10;
/** While more than this waits in the browser, nothing is added: the core's log is the queue. */
const BUFFERED_BYTES_HIGH = 256 << 10;
/** When it has come down to this, more is added. */
const BUFFERED_BYTES_LOW = 64 << 10;
/** How long a goodbye may take to leave before the connection is closed, which would drop it. */
const LINGER_MS = 100;

export interface RtcLinkEvents {
  /** To be brought to the other end. */
  signal(signal: Signal): void;
  opened(): void;
  data(bytes: Uint8Array): void;
  /** There is room again, after `trySend` refused. */
  writable(): void;
  /** Gone, or could not be set up; not said after `close`. */
  closed(): void;
  /** Its connection is closed: said once, whatever else is said. */
  released(): void;
}

export class RtcLink {
  readonly #connection: RTCPeerConnection;
  readonly #negotiation: Negotiation;
  readonly #events: RtcLinkEvents;
  #channel: RTCDataChannel | undefined;
  #isOpen = false;
  #isDone = false;

  constructor(connection: RTCPeerConnection, offers: boolean, events: RtcLinkEvents) {
    this.#connection = connection;
    this.#events = events;
    connection.onconnectionstatechange = () => {
      const { connectionState } = connection;
      if (connectionState === "failed" || connectionState === "closed") this.#fail();
    };
    connection.ondatachannel = ({ channel }) => {
      const isExpected = !offers && this.#channel === undefined && channel.label === LABEL && channel.ordered;
      if (isExpected) this.#use(channel);
      else this.#fail();
    };
    if (offers) this.#use(connection.createDataChannel(LABEL));
    const signal = (step: Signal): void => {
      if (!this.#isDone) events.signal(step);
    };
    this.#negotiation = new Negotiation(connection, offers, signal, () => {
      this.#fail();
    });
  }

  /** Takes what the other end signaled, in any order. */
  signal(signal: Signal): void {
    if (!this.#isDone) this.#negotiation.onSignal(signal);
  }

  /** Whether `trySend` takes something; if it is open and does not, `writable` follows. */
  get isWritable(): boolean {
    return this.#channel?.readyState === "open" && this.#channel.bufferedAmount < BUFFERED_BYTES_HIGH;
  }

  /** False: not open, or no room. */
  trySend(bytes: Uint8Array): boolean {
    if (!this.isWritable) return false;
    try {
      this.#channel?.send(bytes as Uint8Array<ArrayBuffer>);
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
      this.#release();
      return;
    }
    // A channel closes when what it holds has been sent; a connection drops it.
    const release = (): void => {
      clearTimeout(timer);
      channel.onclose = null;
      this.#release();
    };
    const timer = setTimeout(release, LINGER_MS);
    channel.onclose = release;
    channel.close();
  }

  /** The same, before this returns: the last message may not arrive, but the end of the connection does. */
  closeNow(bye: Uint8Array): void {
    if (this.#isDone) return;
    this.trySend(bye);
    this.#end();
    this.#release();
  }

  #use(channel: RTCDataChannel): void {
    this.#channel = channel;
    channel.binaryType = "arraybuffer";
    channel.bufferedAmountLowThreshold = BUFFERED_BYTES_LOW;
    channel.onopen = () => {
      this.#onOpen();
    };
    channel.onbufferedamountlow = () => {
      this.#events.writable();
    };
    channel.onmessage = (message: MessageEvent<unknown>) => {
      this.#onMessage(message.data);
    };
    channel.onclose = () => {
      this.#fail();
    };
    // A channel that the other end opened can be open already, and need not say so.
    if (channel.readyState === "open") {
      queueMicrotask(() => {
        this.#onOpen();
      });
    }
  }

  #onOpen(): void {
    if (this.#isDone || this.#isOpen) return;
    this.#isOpen = true;
    this.#events.opened();
  }

  #onMessage(data: unknown): void {
    if (!(data instanceof ArrayBuffer)) {
      // Text; an empty message is as malformed, and closes the link with a word to the hub.
      this.#events.data(new Uint8Array(0));
    } else if (data.byteLength > MESSAGE_BYTES_MAX) {
      this.#fail();
    } else {
      this.#events.data(new Uint8Array(data));
    }
  }

  #fail(): void {
    if (this.#isDone) return;
    this.#end();
    this.#release();
    this.#events.closed();
  }

  #release(): void {
    this.#connection.close();
    this.#events.released();
  }

  /** Takes off all handlers: a connection that nobody refers to can be collected. */
  #end(): void {
    this.#isDone = true;
    this.#negotiation.end();
    this.#connection.onconnectionstatechange = this.#connection.ondatachannel = null;
    const channel = this.#channel;
    if (channel === undefined) return;
    channel.onopen = channel.onmessage = channel.onclose = channel.onbufferedamountlow = null;
  }
}
