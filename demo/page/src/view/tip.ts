/** What is said of the node that is pointed at. */
import type { Point } from "../model/layout.js";
import { formatPeer, plural } from "../model/format.js";
import type { PeerInfo } from "../model/topology.js";
import { byId, html } from "./dom.js";
import { feederText, kindText, placeText } from "./peer-text.js";
import type { NodeKey } from "./sprite.js";

/** Children named one by one. */
const NAMED_MAX = 8;

export class Tip {
  readonly #tip = byId("tip", HTMLElement);
  readonly #stage = byId("stage", HTMLElement);
  #written = "";

  hide(): void {
    this.#tip.hidden = true;
    this.#written = "";
  }

  show(key: NodeKey, at: Point, peers: readonly PeerInfo[], you: number | undefined): void {
    const lines = key === "server" ? serverLines(peers) : peerLines(key, peers, you);
    if (lines === undefined) {
      this.hide();
      return;
    }
    const text = JSON.stringify(lines);
    if (text !== this.#written) {
      this.#written = text;
      this.#tip.replaceChildren(html("b", "", lines.title), tableOf(lines.rows));
    }
    this.#tip.hidden = false;
    this.#moveTo(at);
  }

  /** Beside the node, on the side where there is room, and never outside of the tree's frame. */
  #moveTo({ x, y }: Point): void {
    const { clientWidth, clientHeight } = this.#stage;
    const { offsetWidth, offsetHeight } = this.#tip;
    const isRight = x + 18 + offsetWidth <= clientWidth - 4;
    const isLeft = x - 18 - offsetWidth >= 4;
    const left = isRight ? x + 18 : isLeft ? x - 18 - offsetWidth : clamp(x - offsetWidth / 2, 4, clientWidth - offsetWidth - 4);
    const beside = clamp(y - offsetHeight / 2, 4, clientHeight - offsetHeight - 4);
    const below = y + 26 + offsetHeight <= clientHeight ? y + 26 : y - 26 - offsetHeight;
    const top = isRight || isLeft ? beside : clamp(below, 4, clientHeight - offsetHeight - 4);
    this.#tip.style.transform = `translate(${Math.round(left)}px, ${Math.round(top)}px)`;
  }
}

interface Lines {
  readonly title: string;
  readonly rows: readonly (readonly [string, string])[];
}

function serverLines(peers: readonly PeerInfo[]): Lines {
  const fed = peers.filter(({ parent }) => parent === undefined).length;
  return { title: "The server", rows: [["feeds", `${plural(fed, "peer")} of ${peers.length}`]] };
}

function peerLines(key: number, peers: readonly PeerInfo[], you: number | undefined): Lines | undefined {
  const info = peers.find(({ peer }) => peer === key);
  if (info === undefined) return undefined;
  const children = peers.filter(({ parent }) => parent === key).map(({ peer }) => peer);
  const named = children.slice(0, NAMED_MAX).map(formatPeer).join(", ");
  const more = children.length > NAMED_MAX ? ` and ${children.length - NAMED_MAX} more` : "";
  return {
    title: `Peer ${formatPeer(info.peer)}${info.peer === you ? ": you" : ""}`,
    rows: [
      ["is a", kindText(info)],
      ["place", placeText(info)],
      ["fed by", feederText(info)],
      ["feeds", children.length === 0 ? "nobody" : `${named}${more}`],
      ["room for", `${info.childrenMax} in all`],
    ],
  };
}

function tableOf(rows: Lines["rows"]): HTMLElement {
  const list = html("dl");
  for (const [name, value] of rows) list.append(html("dt", "", name), html("dd", "", value));
  return list;
}

function clamp(value: number, min: number, max: number): number {
  return Math.max(min, Math.min(max, value));
}
