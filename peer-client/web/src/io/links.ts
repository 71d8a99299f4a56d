/**
 * The links of a page. Each has a connection of its own, and there are never more of them than so many: a link that
 * finds none free waits for one.
 */
import type { Signal } from "../codec/index.js";
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

/** A link that waits for a connection, and what the other end has signaled meanwhile: the hub bounds how much. */
interface Waiting {
  readonly offers: boolean;
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

  open(link: number, offers: boolean): void {
    if (this.#connections < this.#connectionsMax) this.#connect(link, offers);
    else this.#waiting.set(link, { offers, signals: [] });
  }

  /** Takes what the other end signaled, in any order. */
  signal(link: number, signal: Signal): void {
    this.#waiting.get(link)?.signals.push(signal);
    this.#links.get(link)?.signal(signal);
  }

  /** Closes a link, with a last message if it is open. */
  close(link: number, bye: Uint8Array | undefined): void {
    const transport = this.#links.get(link);
    this.#forget(link);
    transport?.close(bye);
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

  #connect(link: number, offers: boolean): RtcLink | undefined {
    let connection: RTCPeerConnection;
    try {
      connection = this.#openConnection();
    } catch {
      // No WebRTC, too many connections, or servers that this browser refuses.
      queueMicrotask(() => {
        this.#events.closed(link);
      });
      return undefined;
    }
    this.#connections++;
    this.#connectionsOpened++;
    const transport = this.#transport(link, connection, offers);
    this.#links.set(link, transport);
    return transport;
  }

  #transport(link: number, connection: RTCPeerConnection, offers: boolean): RtcLink {
    return new RtcLink(connection, offers, {
      signal: (signal) => {
        this.#events.signal(link, signal);
      },
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
        this.#forget(link);
        this.#events.closed(link);
      },
      released: () => {
        this.#connections--;
        this.#connectNext();
      },
    });
  }

  #connectNext(): void {
    const [next] = this.#waiting;
    if (next === undefined) return;
    const [link, { offers, signals }] = next;
    this.#waiting.delete(link);
    const transport = this.#connect(link, offers);
    for (const signal of signals) transport?.signal(signal);
  }

  #forget(link: number): void {
    this.#links.delete(link);
    this.#waiting.delete(link);
  }
}
