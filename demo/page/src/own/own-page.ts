/** This page's peers, one after the other: turning relaying on or off replaces the peer, and nothing is lost between. */
import { type CiEvent, parseCiEvent } from "../model/ci-event.js";
import { type Books, Ledger } from "../model/ledger.js";
import type { Position } from "../model/position.js";
import { type OwnPeer, type OwnSnapshot, type ReceivedEvent, canLink } from "./own-peer.js";
import { startOwnPeer } from "./start.js";

const RELAY_KEY = "tiercast.relay";

const NOT_STARTED: OwnSnapshot = {
  state: { kind: "connecting" },
  peer: undefined,
  tier: 0,
  parent: undefined,
  children: [],
  relayedBytes: 0,
  reconnects: 0,
  clockOffsetUs: undefined,
};

/** An event that this page was given. */
export interface OwnEvent {
  readonly event: CiEvent;
  readonly routingKey: string;
  /** From being published to now. */
  readonly latencyMs: number;
}

export class OwnPage {
  readonly #ledger = new Ledger();
  readonly #onEvent: (event: OwnEvent) => void;
  #channel: string;
  #peer: OwnPeer | undefined;
  #relays = readChoice();
  #isMeshOn = true;
  #position: Position | undefined;
  /** Of the peers before this one. */
  #relayedBefore = 0;
  #reconnectsBefore = 0;
  #clockOffsetUs = 0;

  constructor(channel: string, onEvent: (event: OwnEvent) => void) {
    this.#channel = channel;
    this.#onEvent = onEvent;
  }

  /** What the user chose; kept over visits. */
  get relays(): boolean {
    return this.#relays;
  }

  /** Whether it takes part now: if the user lets it, the browser can, and there is a mesh. */
  get takesPart(): boolean {
    return this.#relays && this.#isMeshOn && canLink();
  }

  get books(): Books {
    return this.#ledger.books;
  }

  get relayedBytes(): number {
    return this.#relayedBefore + this.snapshot().relayedBytes;
  }

  get reconnects(): number {
    return this.#reconnectsBefore + this.snapshot().reconnects;
  }

  snapshot(): OwnSnapshot {
    const snapshot = this.#peer?.snapshot() ?? NOT_STARTED;
    this.#clockOffsetUs = snapshot.clockOffsetUs ?? this.#clockOffsetUs;
    return snapshot;
  }

  start(): void {
    const peer = startOwnPeer(
      { channel: this.#channel, relay: this.takesPart, since: this.#position },
      {
        onEvent: (event) => {
          this.#receive(event);
        },
        onGap: (from, to) => {
          this.#position = to;
          this.#ledger.onGap(from, to);
        },
      },
    );
    this.#peer = peer;
  }

  /** Reconnects with or without relaying. */
  setRelay(relays: boolean): void {
    if (relays === this.#relays) return;
    const before = this.takesPart;
    this.#relays = relays;
    writeChoice(relays);
    if (this.takesPart !== before) this.#restart();
  }

  /** Nobody relays while the mesh is off. */
  setMesh(isOn: boolean): void {
    if (isOn === this.#isMeshOn) return;
    const before = this.takesPart;
    this.#isMeshOn = isOn;
    if (this.takesPart !== before) this.#restart();
  }

  /** Moves to another channel, if it is another. */
  setChannel(channel: string): void {
    if (channel === this.#channel) return;
    this.#channel = channel;
    this.#position = undefined;
    this.#ledger.onFreshStart();
    this.#restart();
  }

  #restart(): void {
    const { relayedBytes, reconnects } = this.snapshot();
    this.#relayedBefore += relayedBytes;
    this.#reconnectsBefore += reconnects;
    this.#peer?.close();
    this.#peer = undefined;
    this.start();
  }

  #receive({ position, routingKey, body, number, sentUs }: ReceivedEvent): void {
    this.#position = position;
    this.#ledger.onEvent(position, number);
    const latencyMs = Math.max(0, (this.#serverNowUs() - sentUs) / 1000);
    this.#onEvent({ event: parseCiEvent(routingKey, body), routingKey, latencyMs });
  }

  /** The server's clock. On the same machine it is ours, and the estimate would only add its error. */
  #serverNowUs(): number {
    const nowUs = (performance.timeOrigin + performance.now()) * 1000;
    return isLoopback() ? nowUs : nowUs + this.#clockOffsetUs;
  }
}

function isLoopback(): boolean {
  return ["localhost", "127.0.0.1", "[::1]"].includes(location.hostname);
}

/** Relaying is on unless it was turned off; a page that may not keep anything asks again each time. */
function readChoice(): boolean {
  try {
    return localStorage.getItem(RELAY_KEY) !== "off";
  } catch {
    return true;
  }
}

function writeChoice(relays: boolean): void {
  try {
    localStorage.setItem(RELAY_KEY, relays ? "on" : "off");
  } catch {
    // Nothing may be kept: the choice holds for this visit.
  }
}
