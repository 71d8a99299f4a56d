import assert from "node:assert/strict";
import { test } from "node:test";
import { Feeder } from "./feeder.js";

const SECOND_US = 1_000_000;

function at(offset: number): { epoch: number; offset: number } {
  return { epoch: 7, offset };
}

test("a parent takes over when it has shown to have what we had and what it had", () => {
  const ahead = new Feeder(at(9), at(4), false, 0);
  assert.ok(!ahead.hasCaughtUp(at(8)) && ahead.hasCaughtUp(at(9)));
  ahead.shows(at(12));
  assert.ok(ahead.hasCaughtUp(at(9)));
  const behind = new Feeder(at(4), at(9), false, 0);
  behind.shows(at(8));
  assert.ok(!behind.hasCaughtUp(at(20)));
  behind.shows(at(9));
  assert.ok(behind.hasCaughtUp(at(20)));
});

test("one that takes its time to answer is waited for as if it were a second away", () => {
  const away = (us: number): number => new Feeder(at(0), at(0), false, us).roundTripUs;
  assert.deepEqual([0, SECOND_US, 9 * SECOND_US].map(away), [0, SECOND_US, SECOND_US]);
});

test("one that moves on lacks nothing for long, and one that stands still does", () => {
  const feeder = new Feeder(at(0), at(0), true, 0);
  for (let second = 1; second < 10; second++) {
    assert.ok(feeder.lacksFor(second * SECOND_US, at(second * 10)) <= SECOND_US);
    feeder.shows(at(second * 10 - 1));
    feeder.shows(at(second * 10));
  }
  assert.equal(feeder.lacksFor(10 * SECOND_US, at(100)), 0);
  assert.equal(feeder.lacksFor(14 * SECOND_US, at(140)), 4 * SECOND_US);
  feeder.shows(at(100));
  assert.equal(feeder.lacksFor(15 * SECOND_US, at(150)), 0);
});
