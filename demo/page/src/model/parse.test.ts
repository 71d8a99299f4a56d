import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseCiEvent } from "./ci-event.js";
import { parseDemoState } from "./demo-state.js";
import { ShapeError } from "./json.js";
import { Ledger } from "./ledger.js";
import { parseTopology, takeCensus } from "./topology.js";

const encoder = new TextEncoder();

function body(value: unknown): Uint8Array {
  return encoder.encode(JSON.stringify(value));
}

const STATE = {
  channel: "builds",
  rate_per_s: 20,
  rate_max_per_s: 500,
  native_peers: 24,
  native_peers_max: 200,
  relays: 9,
  tier1: 3,
  is_mesh_on: true,
  killed: [],
  frozen: [7],
  liars: [],
  server: { events: 1, frames: 2, data_bytes: 3, control_bytes: 4, direct_data_bytes: 5 },
  swarm: { delivered: 7, missing: 0, duplicates: 0, out_of_order: 0, latency_ms: { p50: 3.1, p99: null } },
  incidents: [],
};

describe("a build event", () => {
  test("is read from its body", () => {
    const fields = { status: "passed", repo: "rust", branch: "main", duration_ms: 8_100 };
    assert.deepEqual(parseCiEvent("build.x.failed", body(fields)), {
      status: "passed",
      repo: "rust",
      branch: "main",
      durationMs: 8_100,
    });
  });

  test("is read from its routing key where the body says nothing", () => {
    const event = parseCiEvent("build.rust.failed", body({}));
    assert.deepEqual([event.status, event.repo, event.branch], ["failed", "build.rust.failed", ""]);
  });

  test("that is none is shown by its routing key", () => {
    for (const bytes of [new Uint8Array([0xff, 0]), body(null), body([1]), body("text"), new Uint8Array()]) {
      const event = parseCiEvent("deploy", bytes);
      assert.deepEqual([event.status, event.repo, event.durationMs], ["other", "deploy", undefined]);
    }
  });

  test("with fields of the wrong kind does no harm", () => {
    const fields = { status: "constructor", repo: 7, branch: "x".repeat(500), duration_ms: -1 };
    const event = parseCiEvent("build.rust.toString", body(fields));
    assert.equal(event.status, "other");
    assert.equal(event.repo, "build.rust.toString");
    assert.equal(event.branch.length, 80);
    assert.equal(event.durationMs, undefined);
  });
});

describe("the server's answers", () => {
  test("state", () => {
    const state = parseDemoState(STATE);
    assert.equal(state.server.directDataBytes, 5);
    assert.equal(state.swarm.p50Ms, 3.1);
    assert.equal(state.swarm.p99Ms, undefined);
    assert.deepEqual([state.isMeshOn, state.frozen, state.cards], [true, [7], []]);
    const quiet = { ...STATE, swarm: { ...STATE.swarm, latency_ms: { p50: 0, p99: 0 } } };
    assert.equal(parseDemoState(quiet).swarm.p50Ms, undefined);
  });

  test("without a field name the field", () => {
    assert.throws(() => parseDemoState({ ...STATE, server: { ...STATE.server, data_bytes: "3" } }), /server\.data_bytes/);
    assert.throws(() => parseDemoState({ ...STATE, frozen: ["7"] }), /list of numbers at `frozen`/);
    assert.throws(() => parseDemoState({ ...STATE, is_mesh_on: 1 }), /boolean at `is_mesh_on`/);
    assert.throws(() => parseDemoState(undefined), ShapeError);
    assert.throws(() => parseTopology({ peers: [{ peer: 1 }] }), /peers\[0\]\.tier/);
    assert.throws(() => parseTopology({ peers: {} }), /list at `peers`/);
  });

  test("the tree, and a census of it", () => {
    const entry = { peer: 1, parent: null, tier: 1, place: "root", node: "native", children: 1, children_max: 8 };
    const peers = parseTopology({
      channel: "builds",
      peers: [
        entry,
        { ...entry, peer: 2, parent: 1, tier: 2, place: "child", node: "browser" },
        { ...entry, peer: 3, tier: 0, place: "direct", node: null },
        { ...entry, peer: 4, tier: 0, place: "linking" },
        { ...entry, peer: 5, tier: 2, place: "orphan" },
      ],
    });
    assert.equal(peers[0]?.parent, undefined);
    assert.equal(peers[2]?.node, undefined);
    assert.deepEqual(takeCensus(peers), { tiers: [1, 1], direct: 1, joining: 1, orphans: 1, browsers: 1 });
    assert.throws(() => parseTopology({ peers: [{ ...entry, place: "attic" }] }), /place/);
  });
});

describe("the page's books", () => {
  const at = (offset: number, epoch = 1): { epoch: number; offset: number } => ({ epoch, offset });

  test("count what came", () => {
    const ledger = new Ledger();
    for (const [offset, seq] of [[10, 1], [11, 2], [13, 3]] as const) ledger.onEvent(at(offset), seq);
    assert.deepEqual(ledger.books, { received: 3, missing: 0, duplicates: 0 });
  });

  test("see what is missing by the publisher's numbers, not by holes in the offsets", () => {
    const ledger = new Ledger();
    ledger.onEvent(at(10), 5);
    ledger.onEvent(at(11), 8);
    assert.equal(ledger.books.missing, 2);
  });

  test("see what comes twice", () => {
    const ledger = new Ledger();
    ledger.onEvent(at(10), 5);
    ledger.onEvent(at(10), 5);
    assert.deepEqual(ledger.books, { received: 1, missing: 0, duplicates: 1 });
  });

  test("begin a new count with a new epoch, a new publisher and a fresh start", () => {
    const ledger = new Ledger();
    ledger.onEvent(at(10), 5);
    ledger.onEvent(at(0, 2), 900);
    ledger.onEvent(at(1, 2), 1);
    ledger.onFreshStart();
    ledger.onEvent(at(50, 2), 77);
    assert.deepEqual(ledger.books, { received: 4, missing: 0, duplicates: 0 });
  });

  test("count a gap once", () => {
    const numbered = new Ledger();
    numbered.onEvent(at(10), 5);
    numbered.onGap(at(10), at(12));
    numbered.onEvent(at(13), 8);
    assert.equal(numbered.books.missing, 2);
    const plain = new Ledger();
    plain.onEvent(at(10), undefined);
    plain.onGap(at(10), at(12));
    plain.onEvent(at(13), undefined);
    assert.equal(plain.books.missing, 2);
  });
});
