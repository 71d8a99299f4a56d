import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { peer } from "./fixtures.js";
import { IncidentWatch, PATIENCE_MS, SETTLE_MS } from "./incident.js";

describe("after a relay was killed", () => {
  const before = [peer(1, undefined), peer(2, 1), peer(3, 2), peer(4, 2)];
  const watch = (): IncidentWatch => new IncidentWatch({ killed: 2, announced: 2, before, nowMs: 0, missingBefore: 5 });
  const orphan = { place: "orphan" } as const;

  test("its children are waited for", () => {
    const incident = watch();
    assert.equal(incident.observe(100, before, 5).kind, "moving");
    const half = incident.observe(200, [peer(1, undefined), peer(3, 1), peer(4, undefined, orphan)], 5);
    assert.deepEqual(half, { kind: "moving", killed: 2, children: 2, left: 1 });
  });

  test("the time is that of the first tree with all of them fed", () => {
    const incident = watch();
    const healed = [peer(1, undefined), peer(3, 1), peer(4, undefined, { place: "direct" })];
    assert.equal(incident.observe(300, healed, 5).kind, "healed");
    const closed = incident.observe(300 + SETTLE_MS, healed, 5);
    assert.deepEqual(closed, { kind: "closed", killed: 2, children: 2, afterMs: 300, lost: 0 });
  });

  test("events that never came are said", () => {
    const incident = watch();
    incident.observe(300, [peer(1, undefined)], 5);
    const closed = incident.observe(300 + SETTLE_MS, [peer(1, undefined)], 8);
    assert.equal(closed.kind === "closed" && closed.lost, 3);
  });

  test("children that never find a feeder are not waited for in vain", () => {
    const incident = watch();
    const stuck = [peer(1, undefined), peer(3, undefined, orphan)];
    assert.deepEqual(incident.observe(PATIENCE_MS + 1, stuck, 5), { kind: "overdue", killed: 2, children: 2, left: 1 });
  });
});
