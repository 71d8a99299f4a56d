/**
 * The links of a page. Links between the same two peers share a connection where the server says so, and there are never
 * more connections than so many: a link that finds none free waits for one.
 */
import type { Signal } from "../codec/index.js";
import { RtcConnection } from "./rtc-connection.js";
import { RtcLink } from "./rtc-link.js";

export interface LinksEvents {
  /** To be brought to the other end. */
  signal(link: number, signal: Signal): void;
  opened(link: number): void;
  data(link: number, bytes: Uint8Array): void;
  /** There is room again, after `trySend` refused. */
  writable(link: number): void;
  /** Gone, or could not be set up; not said after `close`. */
  closed(link: number): void;
}

/** A link that waits for a connection, and what the other end has signaled meanwhile: the server bounds how much. */
interface Waiting {
  readonly offers: boolean;
  /** The link that waits likewise and whose connection it is to share. */
  readonly via: number | undefined;
  readonly signals: Signal[];
}

export class Links {
  readonly #openConnection: () => RTCPeerConnection;
  readonly #connectionsMax: number;
  readonly #events: LinksEvents;
  readonly #links = new Map<number, RtcLink>();
  /** The first comes first. */
  readonly #waiting = new Map<number, Waiting>();
  #connections = 0;
  #connectionsOpened = 0;

  /** `openConnection` throws where there can be none. */
  constructor(openConnection: () => RTCPeerConnection, connectionsMax: number, events: LinksEvents) {
    this.#openConnection = openConnection;
    this.#connectionsMax = connectionsMax;
    this.#events = events;
  }

  /** Connections that there are now; one that is being closed counts. */
  get connections(): number {
    return this.#connections;
  }

  /** Connections that there have been. */
  get connectionsOpened(): number {
    return this.#connectionsOpened;
  }

  get(link: number): RtcLink | undefined {
    return this.#links.get(link);
  }

  /** How many links there are, and wait. */
  get size(): number {
    return this.#links.size + this.#waiting.size;
  }

  /** Sets up a link; `via`: with the connection of that link. */
  open(link: number, offers: boolean, via: number | undefined): void {
    const other = via === undefined ? undefined : this.#links.get(via);
    const waits = via === undefined ? undefined : this.#waiting.get(via);
    if (other !== undefined) this.#join(other.connection, link, offers);
    else if (waits !== undefined) this.#waiting.set(link, { offers, via: waits.via ?? via, signals: [] });
    else if (via !== undefined) this.#fail(link);
    else if (this.#connections < this.#connectionsMax) this.#connect(link, offers);
    else this.#waiting.set(link, { offers, via, signals: [] });
  }

  /** Takes what the other end signaled, in any order. */
  signal(link: number, signal: Signal): void {
    this.#waiting.get(link)?.signals.push(signal);
    this.#links.get(link)?.connection.signal(signal);
  }

  /** Closes a link, with a last message if it is open. */
  close(link: number, bye: Uint8Array | undefined): void {
    const transport = this.#links.get(link);
    this.#links.delete(link);
    this.#waiting.delete(link);
    transport?.close(bye);
    for (const sharer of this.#waitingFor(link)) {
      this.#waiting.delete(sharer);
      this.#fail(sharer);
    }
  }

  /** Closes every link, and gives those that there were. `isLeaving`: nothing runs after it, so nothing can wait. */
  closeAll(bye: Uint8Array, isLeaving: boolean): number[] {
    const links = [...this.#links.keys(), ...this.#waiting.keys()];
    this.#waiting.clear();
    for (const transport of this.#links.values()) {
      if (isLeaving) transport.closeNow(bye);
      else transport.close(bye);
    }
    this.#links.clear();
    return links;
  }

  #connect(link: number, offers: boolean): void {
    let transport: RTCPeerConnection;
    try {
      transport = this.#openConnection();
    } catch {
      // No WebRTC, too many connections, or servers that this browser refuses.
      this.#fail(link);
      return;
    }
    this.#connections++;
    this.#connectionsOpened++;
    const connection = new RtcConnection(transport, link, offers, {
      signal: (signal) => {
        this.#events.signal(link, signal);
      },
      released: () => {
        this.#connections--;
        this.#connectNext();
      },
    });
    this.#join(connection, link, offers);
  }

  #join(connection: RtcConnection, link: number, offers: boolean): void {
    const transport = new RtcLink(connection, link, offers, {
      opened: () => {
        this.#events.opened(link);
      },
      data: (bytes) => {
        this.#events.data(link, bytes);
      },
      writable: () => {
        this.#events.writable(link);
      },
      closed: () => {
        this.#links.delete(link);
        this.#events.closed(link);
      },
    });
    this.#links.set(link, transport);
  }

  /** While there is room, the first of those that wait gets a connection. Where it gets none, the next one is tried. */
  #connectNext(): void {
    while (this.#connections < this.#connectionsMax) {
      const next = [...this.#waiting].find(([, { via }]) => via === undefined);
      if (next === undefined) return;
      this.#connectWaiting(...next);
    }
  }

  /** One that waits gets a connection, and so do those that are to share it. */
  #connectWaiting(link: number, { offers, signals }: Waiting): void {
    const sharers = this.#waitingFor(link).map((sharer) => [sharer, this.#waiting.get(sharer)?.offers ?? false] as const);
    for (const waiting of [link, ...sharers.map(([sharer]) => sharer)]) this.#waiting.delete(waiting);
    this.#connect(link, offers);
    for (const signal of signals) this.signal(link, signal);
    for (const [sharer, sharerOffers] of sharers) this.open(sharer, sharerOffers, link);
  }

  #waitingFor(link: number): number[] {
    return [...this.#waiting].filter(([, { via }]) => via === link).map(([sharer]) => sharer);
  }

  /** There is nothing that could carry a link. */
  #fail(link: number): void {
    queueMicrotask(() => {
      this.#events.closed(link);
    });
  }
}
