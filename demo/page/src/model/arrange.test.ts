import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Branch, arrange, descendants, pathToServer } from "./arrange.js";
import { peer } from "./fixtures.js";

function shape(branch: Branch): unknown {
  const name = branch.info === undefined ? `ghost ${branch.peer}` : String(branch.peer);
  return branch.children.length === 0 ? name : [name, ...branch.children.map(shape)];
}

describe("arrange", () => {
  test("puts everyone below their feeder, in the order of their numbers", () => {
    const { roots, staged } = arrange([peer(4, 1), peer(2, undefined), peer(1, undefined), peer(3, 1), peer(5, 4)]);
    assert.deepEqual(roots.map(shape), [["1", "3", ["4", "5"]], "2"]);
    assert.deepEqual(staged, []);
  });

  test("stages those that the server feeds for the time being, or for good", () => {
    const { roots, staged } = arrange([
      peer(1, undefined),
      peer(2, undefined, { place: "waiting" }),
      peer(3, undefined, { place: "linking" }),
      peer(4, undefined, { place: "direct", node: undefined }),
    ]);
    assert.deepEqual(roots.map(shape), ["1"]);
    assert.deepEqual(staged.map((info) => info.peer), [2, 3, 4]);
  });

  test("keeps orphans where they were, below the place that their parent has left", () => {
    const orphan = { place: "orphan" } as const;
    const memory = new Map([
      [2, 1],
      [3, 2],
      [4, 3],
    ]);
    const { roots, staged } = arrange([peer(1, undefined), peer(3, undefined, orphan), peer(4, 3)], memory);
    assert.deepEqual(roots.map(shape), [["1", ["ghost 2", ["3", "4"]]]]);
    assert.deepEqual(staged, []);
  });

  test("keeps children of a parent that is not listed any more", () => {
    const memory = new Map([[9, undefined]]);
    assert.deepEqual(arrange([peer(3, 9)], memory).roots.map(shape), [["ghost 9", "3"]]);
  });

  test("keeps a peer with its children while it is given another parent", () => {
    const memory = new Map([[2, 1]]);
    const peers = [peer(1, undefined), peer(2, undefined, { place: "linking" }), peer(3, 2)];
    assert.deepEqual(arrange(peers, memory).roots.map(shape), [["1", ["2", "3"]]]);
  });

  test("stages what hangs in the air or on itself", () => {
    const { roots, staged } = arrange([peer(1, undefined), peer(2, 3), peer(3, 2), peer(4, 77)]);
    assert.deepEqual(roots.map(shape), ["1"]);
    assert.deepEqual(staged.map((info) => info.peer), [2, 3, 4]);
  });

  test("takes the last of two entries for the same peer", () => {
    const { roots } = arrange([peer(1, undefined), peer(2, undefined), peer(2, 1)]);
    assert.deepEqual(roots.map(shape), [["1", "2"]]);
  });
});

describe("the way to the server", () => {
  const peers = [peer(1, undefined), peer(2, 1), peer(3, 2), peer(4, 2), peer(5, 6), peer(6, 5)];
  const byPeer = new Map(peers.map((info) => [info.peer, info]));

  test("leads up to tier 1", () => {
    assert.deepEqual(pathToServer(byPeer, 3), [3, 2, 1]);
    assert.deepEqual(pathToServer(byPeer, 99), []);
  });

  test("ends in a circle, too", () => {
    assert.deepEqual(pathToServer(byPeer, 5), [5, 6]);
  });

  test("the other way finds everybody below", () => {
    assert.deepEqual([...descendants(peers, 1)], [2, 3, 4]);
    assert.deepEqual([...descendants(peers, 3)], []);
    assert.deepEqual([...descendants(peers, 5)].sort(), [5, 6]);
  });
});
