import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { DemoState } from "./demo-state.js";
import { FAULTS, whyNoSwitch, whyNot } from "./faults.js";

const STATE: DemoState = {
  channel: "builds",
  ratePerS: 10,
  ratePerSMax: 500,
  nativePeers: 24,
  nativePeersMax: 200,
  relays: 9,
  tier1: 3,
  isMeshOn: true,
  killed: [],
  frozen: [],
  liars: [],
  server: { events: 0, dataBytes: 0, controlBytes: 0, directDataBytes: 0 },
  swarm: { delivered: 0, missing: 0, duplicates: 0, outOfOrder: 0, p50Ms: undefined, p99Ms: undefined },
  cards: [],
};

/** The buttons that cannot be had. */
function refused(rest: Partial<DemoState>): string[] {
  return FAULTS.filter((fault) => whyNot(fault, { ...STATE, ...rest }) !== undefined).map(({ id }) => id);
}

describe("a fault", () => {
  test("can be had where there is somebody to strike", () => {
    assert.deepEqual(refused({}), []);
    assert.deepEqual(refused({ nativePeers: 0, relays: 0, tier1: 0 }), ["kill", "kill-tier1", "kill-share", "freeze", "lie"]);
    assert.deepEqual(refused({ relays: 0 }), ["kill", "freeze", "lie"]);
    assert.deepEqual(refused({ isMeshOn: false, relays: 0, tier1: 0 }), ["kill", "kill-tier1", "freeze", "lie"]);
  });

  test("of everybody waits for those who are frozen", () => {
    assert.deepEqual(refused({ frozen: [7] }), ["restart"]);
    assert.match(whyNoSwitch({ ...STATE, frozen: [7] }) ?? "", /frozen/);
    assert.equal(whyNoSwitch(STATE), undefined);
  });
});
