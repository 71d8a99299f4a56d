import assert from "node:assert/strict";
import { test } from "node:test";
import { ExtData, encode } from "@msgpack/msgpack";
import { isFloat, tokenBytes } from "./tokens.js";

const LENGTHS = [0, 1, 2, 4, 8, 15, 16, 31, 32, 255, 256, 65_535, 65_536];

test("a token is as long as the library writes it", () => {
  const integers = [0, 127, 128, 255, 256, 65_535, 65_536, 2 ** 32, -1, -32, -33, -129, -32_769, -(2 ** 31) - 1];
  const scalars = [null, true, false, 0.5, ...integers];
  const texts = LENGTHS.map((length) => "x".repeat(length));
  const bytes = LENGTHS.map((length) => new Uint8Array(length));
  const extensions = LENGTHS.map((length) => new ExtData(1, new Uint8Array(length)));
  for (const value of [...scalars, ...texts, ...bytes, ...extensions]) {
    const token = encode(value);
    assert.equal(tokenBytes(token, 0), token.length, `marker ${token[0]}`);
  }
  const float32 = encode(0.5, { forceFloat32: true });
  assert.equal(tokenBytes(float32, 0), float32.length);
});

test("the token of an array or map is its header", () => {
  for (const length of LENGTHS) {
    const array = encode(new Array(length).fill(1));
    assert.equal(tokenBytes(array, 0), array.length - length);
    const map = encode(Object.fromEntries(Array.from({ length }, (_, key) => [String(key).padStart(5, "0"), 1])));
    assert.equal(tokenBytes(map, 0), map.length - length * 7);
  }
});

test("bytes that end too early have tokens as well, and no token is empty", () => {
  for (let marker = 0; marker < 256; marker++) assert.ok(tokenBytes(Uint8Array.of(marker), 0) >= 1);
});

test("only floats are floats", () => {
  const markers = Array.from({ length: 256 }, (_, marker) => marker);
  assert.deepEqual(
    markers.filter((marker) => isFloat(Uint8Array.of(marker), 0)),
    [0xca, 0xcb],
  );
});
