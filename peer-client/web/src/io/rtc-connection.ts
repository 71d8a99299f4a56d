/**
 * A connection to another peer, and the data channels of the links that share it: one RTCPeerConnection, which is closed
 * when the last of its links has left.
 */
import type { Signal } from "../codec/index.js";
import { type Channels, linkOf, openChannels } from "./channels.js";
import { EarlyChannels } from "./early-channels.js";
import { Negotiation } from "./negotiation.js";

export interface RtcConnectionEvents {
  /** To be brought to the other end. */
  signal(signal: Signal): void;
  /** It is closed: said once. */
  released(): void;
}

/** A link on a connection. */
export interface Rider {
  readonly link: number;
  /** Whether this end opens the data channels. */
  readonly offers: boolean;
  take(channels: Channels): void;
  /** The connection is gone. */
  lost(): void;
}

export class RtcConnection {
  readonly #connection: RTCPeerConnection;
  readonly #events: RtcConnectionEvents;
  readonly #riders = new Map<number, Rider>();
  /** Those of them that have no data channels yet. */
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
    if (rider.offers && (this.#isUp || rider.link === this.#founder)) {
      this.#open(rider);
    } else {
      this.#waiting.set(rider.link, rider);
      this.#give(rider.link);
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
      rider.take(openChannels(this.#connection, rider.link));
    } catch {
      // Too many channels, or a connection that is closing: the link does not come up.
      queueMicrotask(() => {
        rider.lost();
      });
    }
  }

  #onChannel(channel: RTCDataChannel): void {
    const found = linkOf(channel);
    if (found === undefined || !this.#mayCome(found.link)) {
      channel.close();
      return;
    }
    this.#early.put(found.link, found.kind, channel);
    this.#give(found.link);
  }

  /** Whether the other end is to open channels for a link: for one that is not here yet, it may be. */
  #mayCome(link: number): boolean {
    const rider = this.#riders.get(link);
    return rider === undefined || (!rider.offers && this.#waiting.has(link));
  }

  /** Gives a link the channels that the other end has opened for it, if it waits for them and both are there. */
  #give(link: number): void {
    const rider = this.#waiting.get(link);
    if (rider === undefined || rider.offers) return;
    const channels = this.#early.take(link);
    if (channels === undefined) return;
    this.#waiting.delete(link);
    rider.take(channels);
  }

  #fail(): void {
    if (this.#isDone) return;
    this.#isDone = true;
    this.#negotiation.end();
    // A connection that nobody refers to can be collected.
    this.#connection.onconnectionstatechange = this.#connection.ondatachannel = null;
    this.#early.clear();
    const riders = [...this.#riders.values()];
    this.#riders.clear();
    this.#waiting.clear();
    this.#connection.close();
    this.#events.released();
    for (const rider of riders) rider.lost();
  }
}
