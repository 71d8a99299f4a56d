/** Data channels that the other end has opened before the server's word about their links has come. */

/** Channels that are kept; the oldest of more is closed. */
const CHANNELS_MAX = 16;
/** How long they are kept: as long as a link may take to come up. */
const KEPT_MS = 10_000;
/** What may come on one meanwhile: a `join` of some 120 bytes, and a few pings. */
const RECEIVED_BYTES_MAX = 4 << 10;
/** What a message weighs beside its bytes. */
const MESSAGE_OVERHEAD_BYTES = 64;

/** A channel, and what has come on it so far: a browser does not keep that for whoever takes the channel. */
export interface Opened {
  readonly channel: RTCDataChannel;
  readonly received: readonly ArrayBuffer[];
}

interface Early extends Opened {
  readonly received: ArrayBuffer[];
  readonly timer: ReturnType<typeof setTimeout>;
}

export class EarlyChannels {
  /** The oldest comes first. */
  readonly #links = new Map<number, Early>();

  /** Keeps the channel of a link; closes it if there is one. */
  put(link: number, channel: RTCDataChannel): void {
    if (this.#links.has(link)) {
      channel.close();
      return;
    }
    const timer = setTimeout(() => {
      this.#refuse(link);
    }, KEPT_MS);
    const received: ArrayBuffer[] = [];
    this.#links.set(link, { channel, received, timer });
    this.#listen(link, channel, received);
    const [oldest] = this.#links.keys();
    if (this.#links.size > CHANNELS_MAX && oldest !== undefined) this.#refuse(oldest);
  }

  /** The channel of a link, if it is there. */
  take(link: number): Opened | undefined {
    const early = this.#links.get(link);
    this.#forget(link);
    return early;
  }

  /** Forgets all. */
  clear(): void {
    for (const link of [...this.#links.keys()]) this.#forget(link);
  }

  /** Keeps what comes. */
  #listen(link: number, channel: RTCDataChannel, received: ArrayBuffer[]): void {
    let room = RECEIVED_BYTES_MAX;
    channel.binaryType = "arraybuffer";
    channel.onmessage = ({ data }: MessageEvent<unknown>) => {
      room -= data instanceof ArrayBuffer ? data.byteLength + MESSAGE_OVERHEAD_BYTES : Infinity;
      if (room < 0) this.#refuse(link);
      else received.push(data as ArrayBuffer);
    };
  }

  #refuse(link: number): void {
    this.take(link)?.channel.close();
  }

  #forget(link: number): void {
    const early = this.#links.get(link);
    if (early === undefined) return;
    clearTimeout(early.timer);
    early.channel.onmessage = null;
    this.#links.delete(link);
  }
}
