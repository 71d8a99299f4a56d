/** What is said of a peer, in words. */
import { formatPeer, plural } from "../model/format.js";
import type { PeerInfo } from "../model/topology.js";

export function placeText({ place, tier }: PeerInfo): string {
  switch (place) {
    case "root":
    case "child":
      return `tier ${tier}`;
    case "direct":
      return "fed by the server for good";
    case "waiting":
      return "waiting for a place";
    case "linking":
      return "opening its link";
    case "orphan":
      return "lost its parent, moving";
  }
}

export function kindText({ node }: PeerInfo): string {
  return node === undefined ? "plain client" : `${node} peer`;
}

export function feederText({ parent }: PeerInfo): string {
  return parent === undefined ? "the server" : `peer ${formatPeer(parent)}`;
}

/** One sentence, for those who hear the tree. */
export function describePeer(info: PeerInfo, isYou: boolean): string {
  const who = isYou ? `Peer ${formatPeer(info.peer)}, you` : `Peer ${formatPeer(info.peer)}`;
  return `${who}, ${kindText(info)}, ${placeText(info)}, fed by ${feederText(info)}, ${plural(info.children, "child", "children")}`;
}
