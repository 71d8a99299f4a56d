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

/** Below first, as everybody expects; then outwards, and last where the link comes from. For the right half of the fan. */
const DIRECTIONS: readonly Point[] = [90, 0, 45, 135, 180, 270, 315, 225].map((degrees) => {
  const angle = (degrees / 180) * Math.PI;
  return { x: Math.cos(angle), y: Math.sin(angle) };
});

/** From the node's middle to the name's. Of places that hide as few, the first; near before far. */
export function placeLabel(own: Disc, all: readonly Disc[], server: Point, size: Size): Point {
  const others = all.filter((disc) => disc !== own);
  const side = own.x < server.x ? -1 : 1;
  let best: Point = { x: 0, y: 0 };
  let fewest = Infinity;
  for (const gap of GAPS) {
    const clear = own.radius + RING + gap;
    for (const direction of DIRECTIONS) {
      const at = inside(size, {
        x: own.x + side * direction.x * (clear + LABEL_HALF.width),
        y: own.y + direction.y * (clear + LABEL_HALF.height),
      });
      const hidden = touches(at, { ...own, radius: own.radius + RING }) ? Infinity : hiddenBy(at, others, server);
      if (hidden < fewest) [best, fewest] = [{ x: at.x - own.x, y: at.y - own.y }, hidden];
    }
  }
  return best;
}

/** The middle of a name, moved into the frame. */
export function inside({ width, height }: Size, { x, y }: Point): Point {
  return {
    x: Math.max(LABEL_HALF.width, Math.min(width - LABEL_HALF.width, x)),
    y: Math.max(LABEL_HALF.height, Math.min(height - LABEL_HALF.height, y)),
  };
}

/** How many nodes a name with this middle would hide. */
function hiddenBy(at: Point, others: readonly Disc[], server: Point): number {
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
