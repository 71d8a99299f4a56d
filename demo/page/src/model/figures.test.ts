import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { ServerCounters } from "./demo-state.js";
import { formatByteRate, formatBytes, formatCompact, formatCount, formatDuration, formatMs, formatPercent, formatRate, plural, sentence } from "./format.js";
import { LatencyWindow, percentile } from "./latency.js";
import { OffloadMeter, offloadShare } from "./offload.js";
import { rateSteps, stepOf } from "./rate-scale.js";
import { Series, linePath, niceCeil } from "./series.js";

/** With ordinary spaces, as tests are to be read. */
function plain(text: string): string {
  return text.replaceAll("\u202f", " ");
}

describe("figures as they are read", () => {
  test("counts are grouped, and cut short where there is little room", () => {
    assert.equal(plain(formatCount(0)), "0");
    assert.equal(plain(formatCount(999)), "999");
    assert.equal(plain(formatCount(1_234_567)), "1 234 567");
    assert.equal(plain(formatCompact(9_999)), "9 999");
    assert.equal(plain(formatCompact(34_400)), "34 k");
    assert.equal(plain(formatCompact(1_240_000)), "1.2 M");
    assert.equal(plural(1, "child", "children"), "1 child");
    assert.equal(plural(0, "child", "children"), "0 children");
  });

  test("bytes have two digits at least", () => {
    const cases: [number, string][] = [
      [0, "0 B"],
      [850, "850 B"],
      [999.6, "1.0 kB"],
      [5_640, "5.6 kB"],
      [9_960, "10 kB"],
      [82_000, "82 kB"],
      [999_600, "1.0 MB"],
      [1_230_000_000, "1.2 GB"],
      [5e15, "5000 TB"],
    ];
    for (const [bytes, text] of cases) assert.equal(plain(formatBytes(bytes)), text);
    assert.equal(plain(formatByteRate(5_640)), "5.6 kB/s");
  });

  test("a share is never rounded up to all", () => {
    assert.equal(formatPercent(undefined), "–");
    assert.equal(formatPercent(0), "0");
    assert.equal(formatPercent(0.936), "93");
    assert.equal(formatPercent(0.29), "29");
    assert.equal(formatPercent(0.9934), "99.3");
    assert.equal(formatPercent(0.99999), "99.9");
    assert.equal(formatPercent(1), "100");
    assert.equal(formatPercent(-0.2), "0");
  });

  test("an error and its fix are one sentence", () => {
    assert.equal(sentence("the rate is out of range", "choose 1 to 500"), "The rate is out of range: choose 1 to 500.");
    assert.equal(sentence("The server does not answer.", undefined), "The server does not answer.");
  });

  test("times and rates", () => {
    assert.deepEqual([0.004, 0.42, 3.14, 9.96, 640.4, undefined].map(formatMs), ["0.00", "0.42", "3.1", "10", "640", "–"]);
    assert.deepEqual([0, 0.4, 5, 9.96, 498.2].map(formatRate), ["0", "0.4", "5", "10", "498"]);
    assert.deepEqual([400, 48_000, 134_000, 3_780_000].map((ms) => plain(formatDuration(ms))), ["0 s", "48 s", "2 m 14 s", "1 h 03 m"]);
  });
});

describe("percentiles", () => {
  test("are of the nearest rank", () => {
    const hundred = Array.from({ length: 100 }, (_, index) => index + 1);
    assert.equal(percentile(hundred, 0.5), 50);
    assert.equal(percentile(hundred, 0.99), 99);
    assert.equal(percentile([7], 0.99), 7);
    assert.equal(percentile([7], 0), 7);
    assert.equal(percentile([], 0.5), undefined);
  });

  test("are taken over the window only", () => {
    const window = new LatencyWindow(10_000);
    window.add(0, 1_000);
    window.add(9_000, 2);
    window.add(11_500, 4);
    assert.deepEqual(window.figures(12_000), { p50: 2, p99: 4 });
    assert.deepEqual(window.figures(12_000, 1_000), { p50: 4, p99: 4 });
    assert.deepEqual(window.figures(60_000), { p50: undefined, p99: undefined });
  });

  test("forget the oldest when more comes than is kept", () => {
    const window = new LatencyWindow(10_000);
    for (let ms = 0; ms < 20_000; ms++) window.add(0, ms);
    const { p50 } = window.figures(0);
    assert.ok(p50 !== undefined && p50 > 15_000, `${p50}`);
  });
});

describe("offload", () => {
  const counters = (dataBytes: number, directDataBytes: number): ServerCounters => ({
    events: dataBytes / 100,
    dataBytes,
    controlBytes: dataBytes / 10,
    directDataBytes,
  });

  test("needs two readings", () => {
    assert.equal(new OffloadMeter(10_000).add(0, counters(0, 0)), undefined);
  });

  test("is what the server did not send, over the window and since the start", () => {
    const meter = new OffloadMeter(10_000);
    meter.add(0, counters(1_000, 1_000));
    const offload = meter.add(2_000, counters(2_000, 11_000));
    assert.deepEqual(offload, {
      dataPerS: 500,
      controlPerS: 50,
      directPerS: 5_000,
      eventsPerS: 5,
      share: 0.9,
      shareSinceStart: 1 - 2 / 11,
      savedBytes: 9_000,
    });
  });

  test("forgets what is older than the window", () => {
    const meter = new OffloadMeter(10_000);
    meter.add(0, counters(0, 0));
    for (let second = 1; second <= 30; second++) meter.add(second * 1_000, counters(second * 10, second * 100));
    assert.equal(meter.add(31_000, counters(310, 3_200))?.dataPerS, 10);
  });

  test("begins anew with another server", () => {
    const meter = new OffloadMeter(10_000);
    meter.add(0, counters(5_000, 50_000));
    assert.equal(meter.add(1_000, counters(10, 100)), undefined);
    assert.equal(meter.add(2_000, counters(20, 200))?.dataPerS, 10);
  });

  test("of nothing is not known, and never below 0", () => {
    assert.equal(offloadShare(0, 0), undefined);
    assert.equal(offloadShare(20, 10), 0);
    assert.equal(offloadShare(0, 10), 1);
  });
});

describe("the rate slider", () => {
  test("goes from 1 to the server's maximum", () => {
    const steps = rateSteps(500);
    assert.equal(steps[0], 1);
    assert.equal(steps.at(-1), 500);
    assert.deepEqual(rateSteps(70).slice(-2), [60, 70]);
    assert.deepEqual(rateSteps(1), [1]);
  });

  test("finds the nearest step", () => {
    const steps = rateSteps(500);
    for (const [index, step] of steps.entries()) assert.equal(stepOf(steps, step), index);
    assert.equal(steps[stepOf(steps, 21)], 20);
    assert.equal(steps[stepOf(steps, 10_000)], 500);
    assert.equal(steps[stepOf(steps, 0)], 1);
  });
});

describe("charts", () => {
  test("an axis ends at a round number", () => {
    assert.deepEqual([0, 0.4, 1, 21, 62, 0.84, 101].map(niceCeil), [1, 0.4, 1, 30, 80, 1, 150]);
  });

  test("a series keeps the newest", () => {
    const series = new Series(3);
    for (const value of [1, 9, undefined, 4]) series.push(value);
    assert.deepEqual(series.values, [9, undefined, 4]);
    assert.equal(series.max, 9);
  });

  test("a line ends at the right edge, and breaks where nothing was measured", () => {
    const box = { width: 100, height: 10, length: 11, top: 10 };
    assert.equal(linePath([0, 10], box), "M90 10L100 0");
    assert.equal(linePath([5, undefined, 5], box), "M80 5M100 5");
    assert.equal(linePath([99], box), "M100 0");
    assert.equal(linePath([], box), "");
  });
});
