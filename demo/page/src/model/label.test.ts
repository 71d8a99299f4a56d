import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { arrange } from "./arrange.js";
import { fullTree } from "./fixtures.js";
import { LABEL_HALF, placeLabel, touches } from "./label.js";
import { type Size, layOut } from "./layout.js";

const DESKTOP: Size = { width: 820, height: 400 };
const PHONE: Size = { width: 376, height: 440 };
const SERVER = { x: 410, y: 26 };

describe("the name of a node", () => {
  test("is below it if nobody is there", () => {
    const offset = placeLabel({ x: 400, y: 200, radius: 8 }, [], SERVER, DESKTOP);
    assert.ok(Math.abs(offset.x) < 1e-9);
    assert.ok(offset.y > 8 + LABEL_HALF.height);
  });

  test("is on the outer side of it if somebody stands below", () => {
    for (const [x, side] of [
      [200, -1],
      [600, 1],
    ] as const) {
      const offset = placeLabel({ x, y: 200, radius: 8 }, [{ x, y: 224, radius: 8 }], SERVER, DESKTOP);
      assert.deepEqual([Math.sign(offset.x), offset.y], [side, 0]);
    }
  });

  test("stays inside of the frame and off the server", () => {
    for (const [x, y] of [
      [8, 390],
      [812, 390],
      [8, 8],
      [370, 30],
    ] as const) {
      const offset = placeLabel({ x, y, radius: 8 }, [], SERVER, DESKTOP);
      const at = { x: x + offset.x, y: y + offset.y };
      assert.ok(!touches(at, { x, y, radius: 8 }), "beside the node itself");
      assert.ok(at.x >= LABEL_HALF.width && at.x <= DESKTOP.width - LABEL_HALF.width, `x ${at.x}`);
      assert.ok(at.y >= LABEL_HALF.height && at.y <= DESKTOP.height - LABEL_HALF.height, `y ${at.y}`);
      assert.ok(Math.abs(at.x - SERVER.x) > LABEL_HALF.width + 31 || Math.abs(at.y - SERVER.y) > LABEL_HALF.height + 12);
    }
  });

  for (const [count, size, most] of [
    [60, DESKTOP, 0],
    [60, PHONE, 0],
    [200, DESKTOP, 0],
    [200, PHONE, 3],
  ] as const) {
    test(`hides at most ${most} of ${count} nodes on ${size.width} pixels`, () => {
      const { spots, server } = layOut(arrange(fullTree(count, 8, 4)), size);
      for (const own of spots) {
        const others = spots.filter((spot) => spot !== own);
        const offset = placeLabel(own, spots, server, size);
        const at = { x: own.x + offset.x, y: own.y + offset.y };
        const hidden = others.filter((spot) => touches(at, spot)).length;
        assert.ok(hidden <= most, `peer ${own.peer} hides ${hidden}`);
      }
    });
  }
});
