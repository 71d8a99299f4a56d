/** Where the name of a node goes: beside it, where it hides the fewest others. */
import type { Point, Size } from "./layout.js";

/** Half the width and height of a name. */
export const LABEL_HALF: Size = { width: 16, height: 8 };
/** From the edge of a node to the ring around the one that has a name. */
export const RING = 4.5;
/** From the ring to the name: close to it, or as far away as it takes to pass over a row of others. */
const GAPS = [3.5, 14] as const;
/** Half the width and height of the server, which no name may hide. */
export const SERVER_HALF: Size = { width: 31, height: 12 };

interface Disc extends Point {
  readonly radius: number;
}

/** Below first, as everybody expects; then beside, above, and askew. */
const DIRECTIONS: readonly Point[] = [90, 0, 180, 270, 45, 135, 315, 225].map((degrees) => {
  const angle = (degrees / 180) * Math.PI;
  return { x: Math.cos(angle), y: Math.sin(angle) };
});

/** From the node's middle to the name's. Of places that hide as few, the first; near before far. No name lies on its own. */
export function placeLabel(own: Disc, all: readonly Disc[], server: Point, size: Size): Point {
  const others = all.filter((disc) => disc !== own);
  let best: Point = { x: 0, y: offsetOf(own.radius, GAPS[0]).y };
  let fewest = Infinity;
  for (const gap of GAPS) {
    const reach = offsetOf(own.radius, gap);
    for (const direction of DIRECTIONS) {
      const offset = { x: direction.x * reach.x, y: direction.y * reach.y };
      const hidden = hiddenBy({ x: own.x + offset.x, y: own.y + offset.y }, others, server, size);
      if (hidden < fewest) [best, fewest] = [offset, hidden];
    }
  }
  return best;
}

function offsetOf(radius: number, gap: number): Point {
  const clear = radius + RING + gap;
  return { x: clear + LABEL_HALF.width, y: clear + LABEL_HALF.height };
}

/** How many nodes a name with this middle would hide. Infinite where there is no room for it. */
function hiddenBy(at: Point, others: readonly Disc[], server: Point, { width, height }: Size): number {
  const isInside =
    at.x >= LABEL_HALF.width &&
    at.x <= width - LABEL_HALF.width &&
    at.y >= LABEL_HALF.height &&
    at.y <= height - LABEL_HALF.height;
  if (!isInside) return Infinity;
  const hidesServer =
    Math.abs(at.x - server.x) < LABEL_HALF.width + SERVER_HALF.width &&
    Math.abs(at.y - server.y) < LABEL_HALF.height + SERVER_HALF.height;
  return others.filter((disc) => touches(at, disc)).length + (hidesServer ? others.length + 1 : 0);
}

/** Whether a disc reaches into the name with this middle. */
export function touches(at: Point, { x, y, radius }: Disc): boolean {
  const beside = Math.max(0, Math.abs(x - at.x) - LABEL_HALF.width);
  const above = Math.max(0, Math.abs(y - at.y) - LABEL_HALF.height);
  return Math.hypot(beside, above) < radius;
}
