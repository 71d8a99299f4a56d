/** From the list of peers to a tree that can be drawn, whatever the list says. */
import type { PeerInfo } from "./topology.js";

/** A peer, or the place that a dead one has left, with those below. */
export interface Branch {
  readonly peer: number;
  /** Undefined: it is gone, and its children are on their way elsewhere. */
  readonly info: PeerInfo | undefined;
  readonly children: readonly Branch[];
}

export interface Arrangement {
  /** Tier 1, with everything below. */
  readonly roots: readonly Branch[];
  /** Fed by the server without being its pillars: joining, direct, or below a peer that nobody knows. */
  readonly staged: readonly PeerInfo[];
}

/** Where peers stood when they last had a place: the feeder, or undefined for the server. Outlives the peers. */
export type Memory = ReadonlyMap<number, number | undefined>;

/**
 * Branches are in the order of the peers' numbers, so that a tree that does not change is drawn the same. Peers that
 * have lost their feeder stay where they were, with all that hangs on them, until they have another place.
 */
export function arrange(peers: readonly PeerInfo[], memory: Memory = new Map()): Arrangement {
  const byPeer = new Map(peers.map((info) => [info.peer, info]));
  const inOrder = [...byPeer.values()].sort((a, b) => a.peer - b.peer);
  const feeders = new Set(inOrder.map(({ parent }) => parent));
  /** Below whom: a peer, dead or alive; the server; or beside it. */
  const homes = new Map<number, number | "server">();
  const ghosts: number[] = [];
  for (const info of inOrder) {
    const home = homeOf(info, memory, feeders.has(info.peer));
    if (home === undefined) continue;
    homes.set(info.peer, home);
    for (let dead = home; dead !== "server" && !byPeer.has(dead) && !homes.has(dead); ) {
      if (!memory.has(dead)) break;
      const above: number | "server" = memory.get(dead) ?? "server";
      homes.set(dead, above);
      ghosts.push(dead);
      dead = above;
    }
  }
  const below = new Map<number | "server", number[]>();
  for (const [peer, home] of [...homes].sort(([a], [b]) => a - b)) {
    const siblings = below.get(home);
    if (siblings === undefined) below.set(home, [peer]);
    else siblings.push(peer);
  }
  const placed = new Set<number>();
  const grow = (peer: number): Branch => {
    placed.add(peer);
    return { peer, info: byPeer.get(peer), children: (below.get(peer) ?? []).map(grow) };
  };
  const roots = (below.get("server") ?? []).map(grow);
  // What hangs in the air, or on itself, is staged.
  return { roots, staged: inOrder.filter(({ peer }) => !placed.has(peer)) };
}

function homeOf(info: PeerInfo, memory: Memory, feedsOthers: boolean): number | "server" | undefined {
  switch (info.place) {
    case "root":
      return info.parent ?? "server";
    case "child":
      return info.parent ?? memory.get(info.peer);
    case "orphan":
      return info.parent ?? lastHome(info.peer, memory);
    case "waiting":
    case "linking":
    case "direct":
      // One that feeds others stays with them.
      return feedsOthers ? lastHome(info.peer, memory) : undefined;
  }
}

function lastHome(peer: number, memory: Memory): number | "server" | undefined {
  return memory.has(peer) ? (memory.get(peer) ?? "server") : undefined;
}

/** The peers from one up to its root, itself first. */
export function pathToServer(peers: ReadonlyMap<number, PeerInfo>, peer: number): number[] {
  const path: number[] = [];
  const seen = new Set<number>();
  for (let next: number | undefined = peer; next !== undefined && !seen.has(next); next = peers.get(next)?.parent) {
    if (!peers.has(next)) break;
    seen.add(next);
    path.push(next);
  }
  return path;
}

/** Everybody below a peer, without itself. */
export function descendants(peers: readonly PeerInfo[], peer: number): Set<number> {
  const below = new Set<number>();
  let edge = [peer];
  while (edge.length > 0) {
    const parents = new Set(edge);
    edge = peers
      .filter((info) => info.parent !== undefined && parents.has(info.parent) && !below.has(info.peer))
      .map((info) => info.peer);
    for (const found of edge) below.add(found);
  }
  return below;
}
