/**
 * The fan: the server at the top, each tier an arc below it, every peer below the one that feeds it. Peers that the
 * server feeds for the time being stand in rows beside the server.
 */
import { type HierarchyPointNode, hierarchy, tree } from "d3-hierarchy";
import type { Arrangement, Branch } from "./arrange.js";
import type { PeerInfo } from "./topology.js";

export interface Size {
  readonly width: number;
  readonly height: number;
}

export interface Point {
  readonly x: number;
  readonly y: number;
}

/** A peer and where it stands. */
export interface Spot extends Point {
  readonly peer: number;
  /** Undefined: it is dead, and its children have not left yet. */
  readonly info: PeerInfo | undefined;
  /** Whom its link comes from; undefined: the server. */
  readonly feeder: number | undefined;
  readonly radius: number;
  /** `fan`: below its feeder. `stage`: beside the server. */
  readonly where: "fan" | "stage";
}

/** An arc of the fan. */
export interface Arc {
  readonly depth: number;
  readonly rx: number;
  readonly ry: number;
}

export interface Layout {
  readonly server: Point;
  readonly spots: readonly Spot[];
  readonly arcs: readonly Arc[];
  /** From the server to the end of the row of staged peers; undefined if there is none. */
  readonly stageEnd: Point | undefined;
  /** Half the fan's opening, radians. */
  readonly halfAngle: number;
}

const MARGIN = 14;
/** Room below the fan for a name. */
const LABEL = 20;
const RADIUS_MAX = 8;
const RADIUS_MIN = 2.4;
/** Peers that feed others are drawn larger. */
const RELAY_SCALE = 1.15;
const SERVER_CLEARANCE = 54;
/** Half the opening of a full fan. */
const HALF_ANGLE_MAX = (79 / 180) * Math.PI;
/** Widest angle between two neighbours in tier 1, so that few peers do not stand at opposite ends. */
const ANGLE_PER_UNIT_MAX = (40 / 180) * Math.PI;
/** How far apart neighbours would like to be; closer ones stand in several rows. */
const COMFORT = 12;
const ROWS_MAX = 3;

type Node = HierarchyPointNode<Branch | undefined>;

export function layOut({ roots, staged }: Arrangement, { width, height }: Size): Layout {
  const stage = layOutStage(staged.length, width);
  const server = { x: width / 2, y: MARGIN + 12 + Math.max(0, stage.rows - 1) * stage.step };
  const top = tree<Branch | undefined>()
    .nodeSize([1, 1])
    .separation((a, b) => (a.parent === b.parent ? 1 : 1.3) / a.depth)(
    hierarchy<Branch | undefined>(undefined, (branch) => (branch === undefined ? roots : branch.children)),
  );
  const nodes = top.descendants().filter((node) => node.depth > 0);
  const left = Math.min(0, ...nodes.map(({ x }) => x));
  const right = Math.max(0, ...nodes.map(({ x }) => x));
  const halfAngle = Math.min(HALF_ANGLE_MAX, ((right - left) * ANGLE_PER_UNIT_MAX) / 2);
  const reach = { rx: width / 2 - MARGIN, ry: height - server.y - MARGIN - LABEL };
  const tiers = groupByDepth(nodes).map((members, index) =>
    layOutTier(members, partOf(index + 1, Math.max(2, top.height)), { reach, halfAngle, left, right }),
  );

  const spots: Spot[] = tiers.flatMap(({ rx, ry, radius, places }) =>
    places.map(({ node, angle, out }) => ({
      peer: branchOf(node).peer,
      info: branchOf(node).info,
      feeder: node.parent?.data?.peer,
      where: "fan",
      x: server.x + (rx + out) * Math.sin(angle),
      y: server.y + (ry + out) * Math.cos(angle),
      radius: node.children === undefined ? radius : radius * RELAY_SCALE,
    })),
  );
  for (const [index, info] of staged.entries()) {
    const column = index % stage.columns;
    const row = Math.floor(index / stage.columns);
    spots.push({
      peer: info.peer,
      info,
      feeder: undefined,
      where: "stage",
      x: server.x + SERVER_CLEARANCE + column * stage.step,
      y: server.y - row * stage.step,
      radius: stage.radius,
    });
  }
  const columns = Math.min(staged.length, stage.columns);
  return {
    server,
    spots,
    arcs: tiers.map(({ rx, ry }, index) => ({ depth: index + 1, rx, ry })),
    stageEnd:
      columns === 0 ? undefined : { x: server.x + SERVER_CLEARANCE + (columns - 1) * stage.step, y: server.y },
    halfAngle: Math.min(HALF_ANGLE_MAX, halfAngle + 0.06),
  };
}

interface Fan {
  readonly reach: { readonly rx: number; readonly ry: number };
  readonly halfAngle: number;
  /** The outermost of the positions that d3 gave. */
  readonly left: number;
  readonly right: number;
}

interface Tier {
  readonly rx: number;
  readonly ry: number;
  readonly radius: number;
  /** `out`: how far beyond the arc, where there are several rows. */
  readonly places: readonly { readonly node: Node; readonly angle: number; readonly out: number }[];
}

/** Sets a tier's peers along its arc, below their feeders, none too close to the next. */
function layOutTier(members: readonly Node[], part: number, { reach, halfAngle, left, right }: Fan): Tier {
  const bend = evenBend(reach.rx, reach.ry, halfAngle);
  const wayLength = bend.wayLength * part;
  const extent = right - left;
  const wanted = members.map(({ x }) => (extent === 0 ? 0.5 : (x - left) / extent) * wayLength);
  const gap = members.length > 1 ? Math.min(COMFORT, wayLength / (members.length - 1)) : COMFORT;
  const ways = spread(wanted, gap, wayLength);
  // In several rows neighbours may be nearer to each other along the arc.
  const pitch = Math.min(2 * COMFORT, ...ways.slice(1).map((way, index) => way - (ways[index] ?? 0)));
  const rows = pitch < COMFORT * 0.92 ? Math.min(ROWS_MAX, Math.ceil(COMFORT / pitch)) : 1;
  const room = rows > 1 ? Math.min(COMFORT, pitch * rows * 0.86) : pitch;
  const radius = Math.min(RADIUS_MAX, Math.max(RADIUS_MIN, room * 0.42));
  const rowStep = rows > 1 ? radius * 2 + 2 : 0;
  const depth = (rows - 1) * rowStep * part;
  return {
    rx: part * reach.rx - depth,
    ry: part * reach.ry - depth,
    radius,
    places: members.map((node, index) => ({
      node,
      angle: wayLength === 0 ? 0 : bend.angleAt((ways[index] ?? 0) / wayLength),
      out: (index % rows) * rowStep,
    })),
  };
}

/**
 * The positions nearest to those wanted, in their order, at least `gap` apart, between 0 and `end`. There must be
 * room for all.
 */
export function spread(wanted: readonly number[], gap: number, end: number): number[] {
  // Without the gaps, what is left to do is to put numbers in order: neighbours that are not pool their mean.
  const pools: { sum: number; count: number }[] = [];
  for (const [index, want] of wanted.entries()) {
    let pool = { sum: want - index * gap, count: 1 };
    for (let last = pools.at(-1); last && last.sum / last.count > pool.sum / pool.count; last = pools.at(-1)) {
      pools.pop();
      pool = { sum: pool.sum + last.sum, count: pool.count + last.count };
    }
    pools.push(pool);
  }
  const highest = Math.max(0, end - (wanted.length - 1) * gap);
  const starts = pools.flatMap(({ sum, count }) => new Array<number>(count).fill(sum / count));
  return starts.map((start, index) => Math.min(highest, Math.max(0, start)) + index * gap);
}

/** The nodes of each depth from 1 on, from left to right. */
function groupByDepth(nodes: readonly Node[]): Node[][] {
  const tiers: Node[][] = [];
  for (const node of nodes) {
    const tier = tiers[node.depth - 1];
    if (tier === undefined) tiers[node.depth - 1] = [node];
    else tier.push(node);
  }
  return tiers;
}

/** How far out a tier is, 1 being the rim. The outer tiers are fuller, so they get the longer arcs. */
function partOf(depth: number, tiers: number): number {
  return (depth / tiers) ** 0.8;
}

/** How the staged peers stand: as large as fits in three rows. */
function layOutStage(count: number, width: number): { columns: number; rows: number; step: number; radius: number } {
  const room = Math.max(40, width / 2 - SERVER_CLEARANCE - MARGIN);
  const step = count * 16 <= room * 2 ? 16 : count * 11 <= room * 4 ? 11 : 8;
  const columns = Math.max(1, Math.floor(room / step) + 1);
  return { columns, rows: Math.ceil(count / columns), step, radius: step * 0.34 };
}

interface Bend {
  /** Length of the whole arc. */
  readonly wayLength: number;
  /** The angle after a share of the way, from the left end. */
  readonly angleAt: (share: number) => number;
}

/** Walks along an ellipse from one end of the fan to the other: equal shares are equal ways. */
function evenBend(rx: number, ry: number, halfAngle: number): Bend {
  const steps = 96;
  const ways = [0];
  for (let step = 0; step < steps; step++) {
    const angle = ((2 * step + 1) / steps - 1) * halfAngle;
    const way = Math.hypot(rx * Math.cos(angle), ry * Math.sin(angle)) * ((2 * halfAngle) / steps);
    ways.push((ways[step] ?? 0) + way);
  }
  const wayLength = ways[steps] ?? 0;
  const angleAt = (share: number): number => {
    const wanted = share * wayLength;
    const found = ways.findIndex((way) => way >= wanted);
    const step = found === -1 ? steps : Math.max(1, found);
    const from = ways[step - 1] ?? 0;
    const to = ways[step] ?? wayLength;
    const part = to > from ? (wanted - from) / (to - from) : 0;
    return ((2 * (step - 1 + part)) / steps - 1) * halfAngle;
  };
  return { wayLength, angleAt };
}

function branchOf(node: Node): Branch {
  if (node.data === undefined) throw new Error("only the top of the tree is no peer");
  return node.data;
}

/** The curve from a feeder to the one it feeds: it leaves and arrives in the direction away from the server. */
export function linkCurve(server: Point, from: Point, to: Point): readonly [Point, Point, Point, Point] {
  const away = ({ x, y }: Point): number => Math.hypot(x - server.x, y - server.y);
  // Half of the way outwards; however far it is sideways, the curve does not swing out.
  const length = Math.max((away(to) - away(from)) * 0.5, Math.hypot(to.x - from.x, to.y - from.y) * 0.12);
  const out = direction(server, from) ?? direction(from, to) ?? { x: 0, y: 1 };
  const back = direction(server, to) ?? { x: 0, y: 1 };
  return [
    from,
    { x: from.x + out.x * length, y: from.y + out.y * length },
    { x: to.x - back.x * length, y: to.y - back.y * length },
    to,
  ];
}

/** A point of a cubic curve. */
export function pointOn([a, b, c, d]: readonly [Point, Point, Point, Point], t: number): Point {
  const s = 1 - t;
  const weigh = (p: number, q: number, r: number, w: number): number =>
    s * s * s * p + 3 * s * s * t * q + 3 * s * t * t * r + t * t * t * w;
  return { x: weigh(a.x, b.x, c.x, d.x), y: weigh(a.y, b.y, c.y, d.y) };
}

function direction(from: Point, to: Point): Point | undefined {
  const length = Math.hypot(to.x - from.x, to.y - from.y);
  return length < 1 ? undefined : { x: (to.x - from.x) / length, y: (to.y - from.y) / length };
}
