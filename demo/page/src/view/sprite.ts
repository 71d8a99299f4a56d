/** A node of the tree on the screen: what it is made of, where it is, and how it is drawn. */
import type { Point } from "../model/layout.js";
import type { PeerInfo } from "../model/topology.js";
import { setText, svg } from "./dom.js";

/** Half the width of the name below our own node. */
const YOU_HALF = 18;

/** A node on the screen: the number of a peer, or the server. */
export type NodeKey = number | "server";

export interface Sprite {
  readonly group: SVGGElement;
  readonly link: SVGPathElement;
  mark: SVGElement;
  info: PeerInfo;
  where: "fan" | "stage";
  /** Where it is drawn now. */
  now: Pose;
  from: Pose;
  to: Pose;
  startMs: number;
  forMs: number;
  /** The feeder whose end of the link it is, and where that end was when the feeder changed. */
  feeder: NodeKey;
  oldEnd: Point | undefined;
  isLeaving: boolean;
}

export interface Pose extends Point {
  readonly radius: number;
  readonly scale: number;
}

/** The server's node. */
export function makeServer(): SVGGElement {
  const group = svg("g", { class: "server", role: "treeitem", tabindex: 0, "aria-level": 1, "aria-label": "The server" });
  const text = svg("text", { "text-anchor": "middle", y: 4 });
  setText(text, "server");
  group.append(svg("rect", { x: -31, y: -12, width: 62, height: 24, rx: 12 }), text);
  return group;
}

/** Puts a node where it is now, inside of a frame of this width. */
export function drawNode({ group, mark, now, info }: Sprite, width: number): void {
  group.setAttribute("transform", `translate(${now.x.toFixed(1)} ${now.y.toFixed(1)}) scale(${now.scale.toFixed(3)})`);
  const { radius } = now;
  if (info.node === "browser") {
    // A square as large to the eye as the circle.
    const side = radius * 1.8;
    setAll(mark, { x: -side / 2, y: -side / 2, width: side, height: side, rx: side * 0.22 });
  } else {
    setAll(mark, { r: radius });
  }
  const ring = group.querySelector("circle.you-ring");
  if (ring !== null) setAll(ring, { r: radius + 4.5 });
  // The name stays inside of the frame.
  const aside = Math.max(YOU_HALF - now.x, Math.min(0, width - YOU_HALF - now.x));
  group.querySelector("g.you-mark")?.setAttribute("transform", `translate(${aside.toFixed(1)} ${(radius + 8).toFixed(1)})`);
}

function setAll(element: Element, attributes: Readonly<Record<string, number>>): void {
  for (const [key, value] of Object.entries(attributes)) {
    const text = value.toFixed(2);
    if (element.getAttribute(key) !== text) element.setAttribute(key, text);
  }
}

/** Whether going from one to the other would not be seen. */
export function isClose(a: Pose, b: Pose): boolean {
  return (
    Math.abs(a.x - b.x) < 0.5 && Math.abs(a.y - b.y) < 0.5 && Math.abs(a.radius - b.radius) < 0.2 && a.scale === b.scale
  );
}

export function mix(a: Pose, b: Pose, share: number): Pose {
  return {
    x: lerp(a.x, b.x, share),
    y: lerp(a.y, b.y, share),
    radius: lerp(a.radius, b.radius, share),
    scale: lerp(a.scale, b.scale, share),
  };
}

export function lerp(a: number, b: number, share: number): number {
  return a + (b - a) * share;
}

/** Slow, fast, slow. */
export function ease(t: number): number {
  return t < 0.5 ? 4 * t * t * t : 1 - (-2 * t + 2) ** 3 / 2;
}
