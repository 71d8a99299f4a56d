/**
 * The lossy data channel of a connection, for what is asked for again when it is missing. Its links share it: each message
 * comes behind the number of its link.
 *
 * Both ends make it, under a stream that is agreed on. What one end sends before the other has its own is lost, as it may be.
 */
import { mayBeLost } from "../codec/index.js";

/** Its stream. The other channels take the next ones that are free. */
const STREAM = 0;
/** Bytes of the number of a link before each message. */
const LINK_BYTES = 8;

export interface LossyChannelEvents {
  data(link: number, message: ArrayBuffer): void;
  /** There is room again. */
  writable(): void;
}

export class LossyChannel {
  readonly #channel: RTCDataChannel;

  /** There is room again when what waits in the browser has come down to `lowBytes`. */
  constructor(connection: RTCPeerConnection, lowBytes: number, events: LossyChannelEvents) {
    const init = { negotiated: true, id: STREAM, ordered: false, maxRetransmits: 0 };
    this.#channel = connection.createDataChannel("lossy", init);
    this.#channel.binaryType = "arraybuffer";
    this.#channel.bufferedAmountLowThreshold = lowBytes;
    this.#channel.onbufferedamountlow = () => {
      events.writable();
    };
    this.#channel.onmessage = ({ data }: MessageEvent<unknown>) => {
      if (!(data instanceof ArrayBuffer) || data.byteLength < LINK_BYTES) return;
      const message = data.slice(LINK_BYTES);
      // What may not be lost does not come this way, however large it is.
      if (mayBeLost(new Uint8Array(message))) events.data(Number(new DataView(data).getBigUint64(0)), message);
    };
  }

  get isOpen(): boolean {
    return this.#channel.readyState === "open";
  }

  get bufferedAmount(): number {
    return this.#channel.bufferedAmount;
  }

  send(link: number, message: Uint8Array): void {
    const wrapped = new Uint8Array(LINK_BYTES + message.length);
    new DataView(wrapped.buffer).setBigUint64(0, BigInt(link));
    wrapped.set(message, LINK_BYTES);
    this.#channel.send(wrapped);
  }

  /** Takes off all handlers. */
  end(): void {
    this.#channel.onmessage = this.#channel.onbufferedamountlow = null;
  }
}
