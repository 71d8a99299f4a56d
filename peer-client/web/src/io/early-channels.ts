/**
 * Data channels that the other end has opened and no link has taken yet: they came before the server's word about their
 * link, or one came without the other.
 */
import type { Channels, Kind } from "./channels.js";

/** Links whose channels are kept; the oldest of more are closed. */
const LINKS_MAX = 16;
/** How long they are kept: as long as a link may take to come up. */
const KEPT_MS = 10_000;
/** What may come on a reliable channel meanwhile: a `join` of some 120 bytes, and a few pings. */
const RECEIVED_BYTES_MAX = 4 << 10;
/** What a message weighs beside its bytes. */
const MESSAGE_OVERHEAD_BYTES = 64;

interface Early {
  readonly channels: Map<Kind, RTCDataChannel>;
  readonly received: ArrayBuffer[];
  receivedBytes: number;
  readonly timer: ReturnType<typeof setTimeout>;
}

export class EarlyChannels {
  /** The oldest comes first. */
  readonly #links = new Map<number, Early>();

  /** Keeps a channel; closes it if there is one like it. */
  put(link: number, kind: Kind, channel: RTCDataChannel): void {
    const early = this.#links.get(link) ?? this.#expect(link);
    if (early.channels.has(kind)) {
      channel.close();
      return;
    }
    early.channels.set(kind, channel);
    if (kind === "reliable") this.#listen(link, early, channel);
  }

  /** The channels of a link, if both are there. */
  take(link: number): Channels | undefined {
    const early = this.#links.get(link);
    const reliable = early?.channels.get("reliable");
    const lossy = early?.channels.get("lossy");
    if (early === undefined || reliable === undefined || lossy === undefined) return undefined;
    this.#forget(link);
    return { reliable, lossy, received: early.received };
  }

  /** Forgets all. */
  clear(): void {
    for (const link of [...this.#links.keys()]) this.#forget(link);
  }

  #expect(link: number): Early {
    const timer = setTimeout(() => {
      this.#refuse(link);
    }, KEPT_MS);
    const early = { channels: new Map<Kind, RTCDataChannel>(), received: [], receivedBytes: 0, timer };
    this.#links.set(link, early);
    const [oldest] = this.#links.keys();
    if (this.#links.size > LINKS_MAX && oldest !== undefined) this.#refuse(oldest);
    return early;
  }

  /** Keeps what comes: a browser does not keep it for whoever takes the channel. */
  #listen(link: number, early: Early, channel: RTCDataChannel): void {
    channel.binaryType = "arraybuffer";
    channel.onmessage = ({ data }: MessageEvent<unknown>) => {
      const bytes = data instanceof ArrayBuffer ? data.byteLength + MESSAGE_OVERHEAD_BYTES : Infinity;
      early.receivedBytes += bytes;
      if (early.receivedBytes > RECEIVED_BYTES_MAX) this.#refuse(link);
      else early.received.push(data as ArrayBuffer);
    };
  }

  #refuse(link: number): void {
    const channels = this.#links.get(link)?.channels.values() ?? [];
    for (const channel of channels) channel.close();
    this.#forget(link);
  }

  #forget(link: number): void {
    const early = this.#links.get(link);
    clearTimeout(early?.timer);
    for (const channel of early?.channels.values() ?? []) channel.onmessage = null;
    this.#links.delete(link);
  }
}
