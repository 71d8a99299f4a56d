import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { arrange } from "./arrange.js";
import { fullTree, peer } from "./fixtures.js";
import { type Layout, type Size, layOut, linkCurve, pointOn, spread } from "./layout.js";
import type { PeerInfo } from "./topology.js";

const DESKTOP: Size = { width: 980, height: 480 };
const PHONE: Size = { width: 376, height: 440 };

function layOutPeers(peers: readonly PeerInfo[], size: Size): Layout {
  return layOut(arrange(peers), size);
}

/** Of all pairs, the smallest distance between the edges of two nodes. */
function tightest({ spots }: Layout): number {
  let least = Infinity;
  for (const [index, a] of spots.entries()) {
    for (const b of spots.slice(index + 1)) {
      least = Math.min(least, Math.hypot(a.x - b.x, a.y - b.y) - a.radius - b.radius);
    }
  }
  return least;
}

describe("the fan", () => {
  const trees: [string, PeerInfo[]][] = [
    ["one peer", fullTree(1, 1, 8)],
    ["two peers", fullTree(2, 2, 8)],
    ["12 peers", fullTree(12, 3, 8)],
    ["40 peers", fullTree(40, 4, 8)],
    ["200 peers, eight each", fullTree(200, 8, 8)],
    ["200 peers, four each", fullTree(200, 8, 4)],
    ["200 peers in a chain of relays", fullTree(200, 3, 3)],
    ["200 peers that join", fullTree(200, 1, 8).map((info) => peer(info.peer, undefined, { place: "waiting" }))],
    ["100 in the tree and 100 direct", fullTree(200, 6, 8).map((info, index) => (index < 100 ? info : peer(info.peer, undefined, { place: "direct" })))],
  ];
  for (const [name, peers] of trees) {
    for (const [device, size] of Object.entries({ desktop: DESKTOP, phone: PHONE })) {
      test(`of ${name} fits a ${device}`, () => {
        const layout = layOutPeers(peers, size);
        assert.equal(layout.spots.length, peers.length);
        for (const { x, y, radius } of layout.spots) {
          assert.ok(x - radius >= 0 && x + radius <= size.width, `x ${x}`);
          assert.ok(y - radius >= 0 && y + radius <= size.height, `y ${y}`);
        }
      });
    }
    test(`of ${name} has no two nodes on each other on a desktop`, () => {
      assert.ok(tightest(layOutPeers(peers, DESKTOP)) > 0, `${tightest(layOutPeers(peers, DESKTOP))}`);
    });
  }

  test("has the server alone at the top when nobody is there", () => {
    const layout = layOutPeers([], DESKTOP);
    assert.deepEqual(layout.spots, []);
    assert.equal(layout.server.x, DESKTOP.width / 2);
    assert.equal(layout.stageEnd, undefined);
  });

  test("puts each tier further out than the one that feeds it", () => {
    const { spots, server } = layOutPeers(fullTree(60, 4, 8), DESKTOP);
    const at = new Map(spots.map((spot) => [spot.peer, spot]));
    for (const spot of spots) {
      const parent = spot.feeder === undefined ? undefined : at.get(spot.feeder);
      if (parent === undefined) continue;
      assert.ok(Math.hypot(spot.x - server.x, spot.y - server.y) > Math.hypot(parent.x - server.x, parent.y - server.y));
    }
  });

  test("is drawn the same whatever the order of the list", () => {
    const peers = fullTree(40, 4, 8);
    assert.deepEqual(layOutPeers([...peers].reverse(), DESKTOP), layOutPeers(peers, DESKTOP));
  });
});

describe("spread", () => {
  test("leaves alone what is far enough apart", () => {
    assert.deepEqual(spread([0, 20, 50], 10, 100), [0, 20, 50]);
  });

  test("moves neighbours apart by as little as needed, both alike", () => {
    assert.deepEqual(spread([50, 50], 10, 100), [45, 55]);
    assert.deepEqual(spread([50, 50, 50], 10, 100), [40, 50, 60]);
  });

  test("keeps to the ends, and to the order", () => {
    assert.deepEqual(spread([0, 0, 0], 10, 100), [0, 10, 20]);
    assert.deepEqual(spread([100, 100, 100], 10, 100), [80, 90, 100]);
    assert.deepEqual(spread([3, 4], 100, 100), [0, 100]);
    assert.deepEqual(spread([], 10, 100), []);
  });
});

test("a link runs from the one who feeds to the one who is fed", () => {
  const from = { x: 10, y: 40 };
  const to = { x: 60, y: 90 };
  const curve = linkCurve({ x: 0, y: 0 }, from, to);
  assert.deepEqual(pointOn(curve, 0), from);
  assert.deepEqual(pointOn(curve, 1), to);
});
