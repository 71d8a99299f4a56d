/** This page as a peer, in a sentence, and its books beside those of the native peers. */
import type { SwarmFigures } from "../model/demo-state.js";
import { NONE, formatBytes, formatCompact, formatCount, formatMs, formatPeer, plural } from "../model/format.js";
import type { LatencyFigures } from "../model/latency.js";
import type { Books } from "../model/ledger.js";
import type { OwnSnapshot } from "../own/own-peer.js";
import { byId, setText } from "./dom.js";

export interface OwnFigures {
  readonly own: OwnSnapshot;
  readonly books: Books;
  readonly latency: LatencyFigures;
  /** Of all peers that this page has been. */
  readonly relayedBytes: number;
  readonly reconnects: number;
  readonly relays: boolean;
  readonly canLink: boolean;
}

/** Children named one by one; the others are counted. */
const NAMED_MAX = 4;

export class YouView {
  readonly #line = byId("you-line", HTMLElement);
  readonly #children = byId("you-children", HTMLElement);
  readonly #swarmTitle = byId("swarm-title", HTMLElement);

  showOwn(figures: OwnFigures): void {
    setText(this.#line, lineText(figures));
    setText(this.#children, childrenText(figures));
    const { books, latency } = figures;
    setText(byId("own-received", HTMLElement), formatCount(books.received));
    setBad(byId("own-missing", HTMLElement), books.missing);
    setBad(byId("own-duplicates", HTMLElement), books.duplicates);
    setText(byId("own-latency", HTMLElement), latencyText(latency.p50, latency.p99));
    setText(byId("own-reconnects", HTMLElement), formatCount(figures.reconnects));
  }

  /** Undefined: not known, as the server does not answer. */
  showSwarm(swarm: SwarmFigures | undefined, nativePeers: number): void {
    setText(this.#swarmTitle, swarm === undefined ? "Native peers" : plural(nativePeers, "native peer"));
    setText(byId("swarm-received", HTMLElement), swarm === undefined ? NONE : formatCompact(swarm.delivered));
    setBad(byId("swarm-missing", HTMLElement), swarm?.missing);
    setBad(byId("swarm-duplicates", HTMLElement), swarm?.duplicates);
    setText(byId("swarm-latency", HTMLElement), latencyText(swarm?.p50Ms, swarm?.p99Ms));
  }
}

function lineText({ own, relays, canLink }: OwnFigures): string {
  switch (own.state.kind) {
    case "connecting":
      return "Joining as a peer…";
    case "reconnecting":
      return "Not connected: rejoining where it left off.";
    case "ended":
      return `Not taking part. ${own.state.reason}`;
    case "connected":
      break;
  }
  const name = own.peer === undefined ? "You are connected" : `You are peer ${formatPeer(own.peer)}`;
  if (!canLink) return `${name}, fed by the server: this browser has no WebRTC.`;
  if (!relays) return `${name}, fed by the server.`;
  const feeder = own.parent === undefined ? "the server" : `peer ${formatPeer(own.parent)}`;
  return own.tier === 0 ? `${name}, fed by ${feeder} for now.` : `${name} in tier ${own.tier}, fed by ${feeder}.`;
}

function childrenText({ own, relayedBytes, relays, canLink }: OwnFigures): string {
  if (own.state.kind !== "connected" || !relays || !canLink) {
    return relayedBytes > 0 ? `Relayed so far: ${formatBytes(relayedBytes)}.` : "";
  }
  if (own.children.length === 0) {
    return relayedBytes > 0 ? `No children now; ${formatBytes(relayedBytes)} relayed so far.` : "No children yet.";
  }
  const named = own.children.slice(0, NAMED_MAX).map(({ peer, bytes }) => `peer ${formatPeer(peer)} (${formatBytes(bytes)})`);
  const others = own.children.length - named.length;
  if (others > 0) named.push(plural(others, "other"));
  return `You feed ${named.join(", ")}; ${formatBytes(relayedBytes)} relayed in all.`;
}

function latencyText(p50: number | undefined, p99: number | undefined): string {
  return p50 === undefined && p99 === undefined ? NONE : `${formatMs(p50)} / ${formatMs(p99)}\u202fms`;
}

/** A count that ought to be 0. */
function setBad(element: HTMLElement, count: number | undefined): void {
  setText(element, count === undefined ? NONE : formatCount(count));
  element.classList.toggle("good", count === 0);
  element.classList.toggle("bad", count !== undefined && count > 0);
}
