import assert from "node:assert/strict";
import { test } from "node:test";
import { readVectors } from "../testing/vectors.js";
import { PatternSet } from "./pattern-set.js";
import { Pattern, PatternError, wordsOf } from "./pattern.js";

const vectors = readVectors("patterns.json") as { match: [string, string, boolean][]; invalid: string[] };

/** What `Pattern.matches` says, by trying everything. */
function matchesSlowly(pattern: readonly string[], key: readonly string[]): boolean {
  const [wanted, ...behind] = pattern;
  const [word, ...rest] = key;
  if (wanted === undefined) return word === undefined;
  if (wanted === "#") return matchesSlowly(behind, key) || (word !== undefined && matchesSlowly(pattern, rest));
  return word !== undefined && (wanted === "*" || wanted === word) && matchesSlowly(behind, rest);
}

/** All texts of at most so many of these words. */
function dotted(words: readonly string[], most: number): string[] {
  let texts: string[][] = [[]];
  const all = new Set([""]);
  for (let count = 0; count < most; count++) {
    texts = texts.flatMap((text) => words.map((word) => [...text, word]));
    for (const text of texts) all.add(text.join("."));
  }
  return [...all];
}

const PATTERNS = dotted(["a", "b", "", "*", "#"], 4);
const KEYS = dotted(["a", "b", "", "ab"], 4);

test("patterns match as in AMQP", () => {
  for (const [pattern, key, expected] of vectors.match) {
    assert.equal(new Pattern(pattern).matches(key), expected, `${pattern} ${key}`);
    assert.equal(new PatternSet([new Pattern(pattern)]).matches(key), expected, `{${pattern}} ${key}`);
  }
});

test("texts that are no patterns are refused", () => {
  for (const text of [...vectors.invalid, "a".repeat(256)]) {
    assert.throws(() => new Pattern(text), PatternError, text);
  }
});

test("a pattern matches what trying everything finds", () => {
  const keys = KEYS.map((key) => [key, wordsOf(key)] as const);
  for (const text of PATTERNS) {
    const [pattern, words] = [new Pattern(text), wordsOf(text)];
    for (const [key, keyWords] of keys) {
      assert.equal(pattern.matches(key), matchesSlowly(words, keyWords), `${text} ${key}`);
    }
  }
});

test("a set of patterns matches what one of those left in it matches", () => {
  for (let at = 0; at + 6 <= PATTERNS.length; at += 6) {
    const patterns = PATTERNS.slice(at, at + 6).map((text) => new Pattern(text));
    const set = new PatternSet(patterns);
    const left = patterns.slice(2);
    for (const gone of patterns.slice(0, 2)) assert.ok(set.remove(gone) && !set.remove(gone));
    for (const key of KEYS) {
      assert.equal(set.matches(key), left.some((pattern) => pattern.matches(key)), `${left.join(" ")} ${key}`);
    }
  }
});

test("who names no pattern wants everything, and a set without any matches nothing", () => {
  const set = new PatternSet([]);
  assert.ok(set.matches("") && set.matches("a.b"));
  assert.ok(!set.insert(new Pattern("#")));
  assert.ok(set.remove(new Pattern("#")));
  assert.ok(!set.matches("") && !set.matches("a.b"));
});
