/**
 * A connection to another peer, and the data channels of the links that share it: one RTCPeerConnection, which is closed
 * when the last of its links has left.
 */
import type { Signal } from "../codec/index.js";
import { EarlyChannels, type Opened } from "./early-channels.js";
import { LossyChannel } from "./lossy-channel.js";
import { Negotiation } from "./negotiation.js";

export interface RtcConnectionEvents {
  /** To be brought to the other end. */
  signal(signal: Signal): void;
  /** It is closed: said once. */
  released(): void;
}

/** When what waits in the browser on a channel has come down to this, there is room. */
export const BUFFERED_BYTES_LOW = 64 << 10;

/** A link on a connection. */
export interface Rider {
  readonly link: number;
  /** Whether this end opens the data channel. */
  readonly offers: boolean;
  take(opened: Opened): void;
  /** Something has come for it on the lossy channel. */
  data(message: ArrayBuffer): void;
  /** The lossy channel has room again. */
  writable(): void;
  /** The connection is gone. */
  lost(): void;
}

export class RtcConnection {
  /** For what may be lost. */
  readonly lossy: LossyChannel;
  readonly #connection: RTCPeerConnection;
  readonly #events: RtcConnectionEvents;
  readonly #riders = new Map<number, Rider>();
  /** Those of them that have no data channel yet. */
  readonly #waiting = new Map<number, Rider>();
  readonly #early = new EarlyChannels();
  readonly #founder: number;
  readonly #negotiation: Negotiation;
  #isUp = false;
  #isDone = false;

  /** `founder`: the link that it is made for, by which the other end knows what is signaled. It is to join at once. */
  constructor(connection: RTCPeerConnection, founder: number, offers: boolean, events: RtcConnectionEvents) {
    this.#connection = connection;
    this.#founder = founder;
    this.#events = events;
    this.lossy = new LossyChannel(connection, BUFFERED_BYTES_LOW, {
      data: (link, message) => this.#riders.get(link)?.data(message),
      writable: () => {
        for (const rider of [...this.#riders.values()]) rider.writable();
      },
    });
    connection.onconnectionstatechange = () => {
      const { connectionState } = connection;
      if (connectionState === "failed" || connectionState === "closed") this.#fail();
    };
    connection.ondatachannel = ({ channel }) => {
      this.#onChannel(channel);
    };
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

  /** A link comes. False: the connection is gone. */
  join(rider: Rider): boolean {
    if (this.#isDone) return false;
    this.#riders.set(rider.link, rider);
    const early = rider.offers ? undefined : this.#early.take(rider.link);
    if (early !== undefined) {
      rider.take(early);
    } else if (rider.offers && (this.#isUp || rider.link === this.#founder)) {
      this.#open(rider);
    } else {
      this.#waiting.set(rider.link, rider);
    }
    return true;
  }

  /** The other end has been heard of, so it knows that the connection is up: channels that this end opens are seen. */
  heard(): void {
    if (this.#isUp) return;
    this.#isUp = true;
    for (const rider of [...this.#waiting.values()]) {
      if (!rider.offers) continue;
      this.#waiting.delete(rider.link);
      this.#open(rider);
    }
  }

  /** A link needs it no more. Without the one that it is made for nobody hears what is signaled. */
  leave(rider: Rider): void {
    this.#riders.delete(rider.link);
    this.#waiting.delete(rider.link);
    if (this.#riders.size === 0 || (rider.link === this.#founder && !this.#isUp)) this.#fail();
  }

  #open(rider: Rider): void {
    try {
      rider.take({ channel: this.#connection.createDataChannel(String(rider.link)), received: [] });
    } catch {
      // Too many channels, or a connection that is closing: the link does not come up.
      queueMicrotask(() => {
        rider.lost();
      });
    }
  }

  #onChannel(channel: RTCDataChannel): void {
    const link = /^[0-9]+$/.test(channel.label) ? Number(channel.label) : NaN;
    if (Number.isNaN(link) || !channel.ordered) {
      channel.close();
      return;
    }
    const rider = this.#waiting.get(link);
    if (rider !== undefined && !rider.offers) {
      this.#waiting.delete(link);
      rider.take({ channel, received: [] });
    } else {
      this.#early.put(link, channel);
    }
  }

  #fail(): void {
    if (this.#isDone) return;
    this.#isDone = true;
    this.#negotiation.end();
    // A connection that nobody refers to can be collected.
    this.#connection.onconnectionstatechange = this.#connection.ondatachannel = null;
    this.lossy.end();
    this.#early.clear();
    const riders = [...this.#riders.values()];
    this.#riders.clear();
    this.#waiting.clear();
    this.#connection.close();
    this.#events.released();
    for (const rider of riders) rider.lost();
  }
}
