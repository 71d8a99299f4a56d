/** This page as a peer: what the rest of the page knows of it. */
import type { Position } from "../model/position.js";

export type OwnState =
  | { readonly kind: "connecting" }
  | { readonly kind: "connected" }
  /** The connection is gone; it is tried again at `retryAtMs` (performance.now), if that is known. */
  | { readonly kind: "reconnecting"; readonly retryAtMs: number | undefined }
  /** It has ended and is not tried again. */
  | { readonly kind: "ended"; readonly reason: string };

export interface OwnChild {
  readonly peer: number;
  /** Bytes of frames handed to it over the present link. */
  readonly bytes: number;
}

export interface OwnSnapshot {
  readonly state: OwnState;
  /** What it is called in the tree; undefined until the server has said. */
  readonly peer: number | undefined;
  /** 0: no place yet. */
  readonly tier: number;
  /** Undefined: the server. */
  readonly parent: number | undefined;
  readonly children: readonly OwnChild[];
  /** Bytes handed to children since the peer was started. */
  readonly relayedBytes: number;
  readonly reconnects: number;
  /** The server's clock minus the page's, microseconds; good to half a round trip. */
  readonly clockOffsetUs: number | undefined;
}

/** One event, as it came. */
export interface ReceivedEvent {
  readonly position: Position;
  readonly routingKey: string;
  readonly body: Uint8Array;
  /** The publisher's consecutive number, by which holes can be seen; undefined if it gives none. */
  readonly number: number | undefined;
  /** When it was published, or else sealed by the server; microseconds since the Unix epoch. */
  readonly sentUs: number;
}

export interface OwnPeerListener {
  onEvent(event: ReceivedEvent): void;
  /** Events after `from` and up to `to` are gone for good. */
  onGap(from: Position, to: Position): void;
}

export interface OwnPeer {
  snapshot(): OwnSnapshot;
  /** Leaves the tree for good. */
  close(): void;
}

export interface OwnPeerOptions {
  readonly channel: string;
  /** Whether to take part in the mesh; if not, the server feeds the page and nobody learns its address. */
  readonly relay: boolean;
  /** After which event to go on; undefined: the newest. */
  readonly since: Position | undefined;
}

/** Starts a peer. It reconnects by itself. */
export type StartOwnPeer = (options: OwnPeerOptions, listener: OwnPeerListener) => OwnPeer;

/** Whether this browser can open links at all. */
export function canLink(): boolean {
  return typeof RTCPeerConnection === "function";
}
