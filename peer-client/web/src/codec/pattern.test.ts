import assert from "node:assert/strict";
import { test } from "node:test";
import { readVectors } from "../testing/vectors.js";
import { Pattern, PatternError } from "./pattern.js";

const vectors = readVectors("patterns.json") as { match: [string, string, boolean][]; invalid: string[] };

test("patterns match as in AMQP", () => {
  for (const [pattern, key, expected] of vectors.match) {
    assert.equal(new Pattern(pattern).matches(key), expected, `${pattern} ${key}`);
  }
});

test("texts that are no patterns are refused", () => {
  for (const text of [...vectors.invalid, "a".repeat(256)]) {
    assert.throws(() => new Pattern(text), PatternError, text);
  }
});
