import assert from "node:assert/strict";
import { test } from "node:test";
import { Watch } from "./watch.js";

const LEAST_US = 60_000;
const MOST_US = 600_000;
const HEAD_US = 1_000_000;

function at(offset: number): { epoch: number; offset: number } {
  return { epoch: 7, offset };
}

test("patience follows what is usual within its bounds", () => {
  const watch = new Watch(0);
  assert.equal(watch.patience(LEAST_US, MOST_US), MOST_US / 2, "nothing is known yet");
  let now = 0;
  for (let offset = 0; offset < 50; offset++) {
    watch.leads(now, at(offset), now + MOST_US);
    now += 100_000;
    assert.ok(watch.reached(now, at(offset)));
  }
  assert.equal(Math.floor(watch.patience(LEAST_US, MOST_US) / 1000), 100, "always 100 ms");
  for (let offset = 50; offset < 100; offset++) {
    watch.leads(now, at(offset), now + MOST_US);
    watch.reached(now, at(offset));
  }
  assert.equal(watch.patience(LEAST_US, MOST_US), LEAST_US, "always at once");
});

test("means are kept in whole nanoseconds, as in Rust", () => {
  const watch = new Watch(0);
  let now = 0;
  const seen = [70_001, 93_337, 81_111, 64_003, 120_007, 99_991].map((sampleUs) => {
    watch.learn(sampleUs);
    watch.progressed((now += sampleUs * 4));
    return { patience: watch.patience(LEAST_US, MOST_US), silence: watch.silentAt(HEAD_US) - now };
  });
  assert.deepEqual(seen.map(({ patience }) => patience), [210_003, 201_255, 178_388, 160_973, 192_125, 187_797]);
  assert.deepEqual(seen.map(({ silence }) => silence), [1_000_000, 1_000_000, 1_081_876, 1_266_657, 1_708_360, 1_994_770]);
});

test("the earliest time counts until it is reached", () => {
  const watch = new Watch(0);
  assert.equal(watch.leads(0, at(5), 100), 100);
  assert.equal(watch.leads(10, at(9), 200), 100);
  assert.equal(watch.leads(20, at(7), 80), 80);
  assert.equal(watch.overdue(79), undefined);
  assert.deepEqual(watch.overdue(80)?.goal, at(7));
  watch.askedFor(80, at(7), 180);
  assert.ok(!watch.reached(90, at(6)) && watch.reached(90, at(7)));
  assert.equal(watch.overdue(300), undefined);
});

test("regression: what is known to be missing is not forgotten when somebody is asked who has less", () => {
  const watch = new Watch(0);
  watch.leads(0, at(9), 100);
  watch.askedFor(50, at(7), 150);
  assert.ok(!watch.reached(60, at(7)) && watch.reached(60, at(9)));
  assert.equal(watch.overdue(300), undefined);
});

test("a parent is silent after ten times what is usual, within bounds", () => {
  const watch = new Watch(0);
  assert.equal(watch.silentAt(HEAD_US), HEAD_US);
  let now = 0;
  for (let round = 0; round < 100; round++) watch.progressed((now += 150_000));
  const pause = watch.silentAt(HEAD_US) - now;
  assert.ok(pause > 1_490_000 && pause <= 1_500_000 && Number.isInteger(pause), `${pause}`);
  for (let round = 0; round < 100; round++) watch.progressed((now += HEAD_US));
  assert.equal(watch.silentAt(HEAD_US), now + 2_500_000);
});

test("a standby that is ahead again and again is the better parent, but not at once after a swap", () => {
  const watch = new Watch(0);
  const late = 10_000_000;
  for (let times = 1; times <= 4; times++) {
    assert.ok(!watch.shouldExchange(late));
    watch.learn(50_000);
  }
  assert.ok(watch.shouldExchange(late) && !watch.shouldExchange(2_999_999));
  watch.learn(0);
  assert.ok(!watch.shouldExchange(late), "not in a row");
});
