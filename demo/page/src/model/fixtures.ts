/** Peers for tests. */
import type { PeerInfo } from "./topology.js";

export function peer(number: number, parent: number | undefined, rest: Partial<PeerInfo> = {}): PeerInfo {
  return {
    peer: number,
    parent,
    tier: parent === undefined ? 1 : 2,
    place: parent === undefined ? "root" : "child",
    node: "native",
    children: 0,
    childrenMax: 8,
    ...rest,
  };
}

/** A tree of `count` peers in which everyone feeds `fanOut`, and the server the first `roots`. */
export function fullTree(count: number, roots: number, fanOut: number): PeerInfo[] {
  return Array.from({ length: count }, (_, index) => {
    const parent = index < roots ? undefined : Math.floor((index - roots) / fanOut) + 1;
    return peer(index + 1, parent);
  });
}
