/** What a client can tell about itself. */
import type { Position } from "./codec/position.js";
import type { Peer } from "./core/peer.js";
import type { Child, PeerStats } from "./core/stats.js";
import type { Resting } from "./io/manners.js";

export interface ClientStats extends Readonly<PeerStats> {
  /** What the server calls the page; undefined while there is no connection to it. */
  readonly peer: number | undefined;
  /** The server that there is a connection to, or the next one. */
  readonly server: string | undefined;
  /** Times that the connection to a server was made again. */
  readonly reconnects: number;
  /** The server's clock minus the page's, in microseconds; good to half a round trip. */
  readonly clockOffsetUs: number | undefined;
  /** How many others the page feeds at most, per channel, as things are now. */
  readonly childrenMax: number;
  /** Why the page feeds nobody now; undefined: it does, as far as it may. */
  readonly resting: Resting | undefined;
  /** Links to other peers, of all channels, that there are now or that wait for a connection. */
  readonly links: number;
  /** Connections to other peers, which links share, that there are now; one that is being closed counts. */
  readonly connections: number;
  /** Connections to other peers that there have been. */
  readonly connectionsOpened: number;
  /** Every subscription. */
  readonly channels: readonly ChannelStats[];
}

export interface ChannelStats {
  readonly channel: string;
  /** What the page has. */
  readonly position: Position | undefined;
  /** 1 is fed by the server for good, n by a peer of n - 1, 0 has no place in the tree. */
  readonly tier: number;
  /** The peer that feeds the page; undefined: the server. */
  readonly parent: number | undefined;
  /** The peers that the page feeds, and the bytes handed to each. */
  readonly children: readonly Child[];
}

/** @internal */
export function channelStats(peer: Peer, channel: string): ChannelStats {
  return {
    channel,
    position: peer.position(channel),
    tier: peer.tier(channel),
    parent: peer.parent(channel),
    children: peer.children(channel),
  };
}
