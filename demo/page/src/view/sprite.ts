/** A node of the tree on the screen: what it is made of, where it is, and how it is drawn. */
import { LABEL_HALF, RING, SERVER_HALF, inside } from "../model/label.js";
import type { Point, Size } from "../model/layout.js";
import type { PeerInfo } from "../model/topology.js";
import { setText, svg } from "./dom.js";

/** A node on the screen: the number of a peer, or the server. */
export type NodeKey = number | "server";

export interface Sprite {
  readonly group: SVGGElement;
  readonly link: SVGPathElement;
  mark: SVGElement;
  info: PeerInfo;
  where: "fan" | "stage";
  /** From its middle to that of its name; undefined: it has none. */
  label: Point | undefined;
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
  group.append(pill(SERVER_HALF), text);
  return group;
}

/** The name of our own node, around its middle. */
export function makeYouLabel(): SVGGElement {
  const label = svg("g", { class: "you-mark", "aria-hidden": "true" });
  const text = svg("text", { class: "you-text", "text-anchor": "middle", y: 3.5 });
  setText(text, "you");
  label.append(pill(LABEL_HALF), text);
  return label;
}

/** The ground of a name, around the middle. */
function pill({ width, height }: Size): SVGRectElement {
  return svg("rect", { x: -width, y: -height, width: 2 * width, height: 2 * height, rx: height });
}

/** Puts a node where it is now, and its name inside of a frame of this size. */
export function drawNode({ group, mark, now, info, label }: Sprite, size: Size): void {
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
  if (ring !== null) setAll(ring, { r: radius + RING });
  if (label === undefined) return;
  // Inside of the frame on the way, too.
  const { x, y } = inside(size, { x: now.x + label.x, y: now.y + label.y });
  const way = `translate(${(x - now.x).toFixed(1)} ${(y - now.y).toFixed(1)})`;
  group.querySelector("g.you-mark")?.setAttribute("transform", way);
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
