import assert from "node:assert/strict";
import { test } from "node:test";
import { Backoff } from "./backoff.js";

test("the ceiling doubles from half a second to twenty", () => {
  const backoff = new Backoff(() => 1);
  const delays = Array.from({ length: 8 }, () => backoff.next(0, 0));
  assert.deepEqual(delays, [500, 1_000, 2_000, 4_000, 8_000, 16_000, 20_000, 20_000]);
});

test("any time below the ceiling may come", () => {
  assert.equal(new Backoff(() => 0).next(0, 0), 0);
});

test("a session that lasted as long as the longest wait starts it anew", () => {
  const backoff = new Backoff(() => 1);
  backoff.next(0, 0);
  backoff.next(0, 0);
  assert.equal(backoff.next(19_999, 0), 2_000);
  assert.equal(backoff.next(20_000, 0), 500);
});

test("regression: one that is cut every half minute waits no longer than the first time", () => {
  const backoff = new Backoff(() => 1);
  const delays = Array.from({ length: 20 }, () => backoff.next(30_000, 0));
  assert.deepEqual(new Set(delays), new Set([500]));
});

test("it is never earlier than the server asked for", () => {
  assert.equal(new Backoff(() => 0).next(0, 7_000), 7_000);
});
