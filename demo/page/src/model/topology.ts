/** The tree as the server reports it: `GET /v1/topology/{channel}`. */
import { Fields } from "./json.js";

const PLACES = ["root", "direct", "waiting", "linking", "child", "orphan"] as const;
const NODES = ["native", "browser"] as const;

/**
 * Where a peer stands. `root`: tier 1. `child`: fed by its parent. `direct`: the server feeds it for good. `waiting`,
 * `linking`: the server feeds it until its link is up. `orphan`: it has just lost its parent.
 */
export type Place = (typeof PLACES)[number];

/** What a peer is; undefined: one that takes no part in the mesh and did not say. */
export type NodeKind = (typeof NODES)[number] | undefined;

export interface PeerInfo {
  readonly peer: number;
  /** Undefined: the server. */
  readonly parent: number | undefined;
  readonly tier: number;
  readonly place: Place;
  readonly node: NodeKind;
  /** How many it feeds. */
  readonly children: number;
  /** How many it would feed. */
  readonly childrenMax: number;
}

/** Throws a ShapeError. */
export function parseTopology(json: unknown): PeerInfo[] {
  return new Fields(json, "").objects("peers").map((fields) => ({
    peer: fields.number("peer"),
    parent: fields.numberOrNull("parent"),
    tier: fields.number("tier"),
    place: fields.word("place", PLACES),
    node: fields.wordOrNull("node", NODES),
    children: fields.number("children"),
    childrenMax: fields.number("children_max"),
  }));
}

/** How many peers there are of each kind, for the legend. */
export interface Census {
  /** Peers of tier 1, tier 2, and so on, that stand in the tree. */
  readonly tiers: readonly number[];
  /** Peers that the server feeds because no other can, or may. */
  readonly direct: number;
  /** Peers that the server feeds until their link is up. */
  readonly joining: number;
  readonly orphans: number;
  readonly browsers: number;
}

export function takeCensus(peers: readonly PeerInfo[]): Census {
  const tiers: number[] = [];
  for (const { place, tier } of peers) {
    if (place !== "root" && place !== "child") continue;
    const index = Math.max(0, tier - 1);
    while (tiers.length <= index) tiers.push(0);
    tiers[index] = (tiers[index] ?? 0) + 1;
  }
  const count = (matches: (peer: PeerInfo) => boolean): number => peers.filter(matches).length;
  return {
    tiers,
    direct: count(({ place }) => place === "direct"),
    joining: count(({ place }) => place === "waiting" || place === "linking"),
    orphans: count(({ place }) => place === "orphan"),
    browsers: count(({ node }) => node === "browser"),
  };
}

/** While the mesh is off nobody waits for a place: the server feeds them. */
export function withoutPlaces(peers: readonly PeerInfo[]): PeerInfo[] {
  return peers.map((info) => (info.place === "waiting" ? { ...info, place: "direct" } : info));
}
