import assert from "node:assert/strict";
import { test } from "node:test";
import { changeText } from "./change.js";

test("regression: what was allowed is said where less was done than asked for", () => {
  assert.equal(changeText(10, 3, 200), "Added 3 native peers: the demo runs at most 200.");
  assert.equal(changeText(10, 3, undefined), "Added 3 native peers: there is no room for more.");
  assert.equal(changeText(-10, -4, 200), "Removed 4 native peers: there were no more.");
});

test("what was done is said", () => {
  assert.equal(changeText(10, 10, 200), "Added 10 native peers.");
  assert.equal(changeText(1, 1, 200), "Added 1 native peer.");
  assert.equal(changeText(-10, -10, 200), "Removed 10 native peers.");
});
