import assert from "node:assert/strict";
import { test } from "node:test";
import type { OwnSnapshot, OwnState } from "../own/own-peer.js";
import { pillOf } from "./connection.js";

function own(state: OwnState, tier = 0): OwnSnapshot {
  const nobody = { peer: 1, parent: undefined, children: [], relayedBytes: 0, reconnects: 0, clockOffsetUs: undefined };
  return { ...nobody, state, tier };
}

const UP = { link: { kind: "up" }, own: own({ kind: "connected" }, 2), relays: true, canLink: true } as const;

test("a page that relays has a green dot", () => {
  assert.deepEqual(pillOf(UP), ["good", "Connected, tier 2"]);
});

test("regression: a page that does not relay has none", () => {
  assert.deepEqual(pillOf({ ...UP, relays: false }), ["calm", "Not relaying"]);
});

test("regression: a page that has no place yet has none", () => {
  const unplaced = own({ kind: "connected" }, 0);
  assert.deepEqual(pillOf({ ...UP, own: unplaced }), ["wait", "Finding a place"]);
});

test("what is missing comes before what was chosen", () => {
  const gone = { kind: "gone", retryAtMs: 0, message: "" } as const;
  assert.deepEqual(pillOf({ ...UP, link: gone, relays: false }), ["bad", "Server gone"]);
  assert.deepEqual(pillOf({ ...UP, canLink: false, relays: false }), ["warn", "No WebRTC"]);
  const lost = own({ kind: "reconnecting", retryAtMs: undefined });
  assert.deepEqual(pillOf({ ...UP, own: lost, relays: false }), ["warn", "Rejoining…"]);
});
