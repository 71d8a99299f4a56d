import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { constants, deflateSync } from "node:zlib";
import { DecodeError } from "./error.js";
import { inflate } from "./inflate.js";

const { Z_FIXED, Z_HUFFMAN_ONLY, Z_RLE } = constants;

function mixed(length: number): Buffer {
  const text = Buffer.from("routing.key.of-a.task {\"status\": \"completed\", \"run\": 7} ".repeat(50));
  const parts: Buffer[] = [];
  for (let have = 0; have < length; ) {
    const part =
      Math.random() < 0.3 ? randomBytes(40) : text.subarray(Math.floor(Math.random() * 500), 600 + (have % 700));
    parts.push(part);
    have += part.length;
  }
  return Buffer.concat(parts).subarray(0, length);
}

function isBadPayload(error: unknown): boolean {
  return error instanceof DecodeError && error.reason === "bad_payload";
}

test("what any zlib deflates comes back", () => {
  for (const length of [0, 1, 2, 100, 1_000, 40_000, 300_000]) {
    for (const data of [Buffer.alloc(length), randomBytes(length), mixed(length)]) {
      for (const options of [{}, { level: 0 }, { level: 1 }, { level: 9 }]) {
        assert.deepEqual(Buffer.from(inflate(deflateSync(data, options), length)), data);
      }
      for (const strategy of [Z_FIXED, Z_HUFFMAN_ONLY, Z_RLE]) {
        assert.deepEqual(Buffer.from(inflate(deflateSync(data, { strategy }), length)), data);
      }
    }
  }
});

test("codes of more than nine bits are read", () => {
  // Fibonacci frequencies give the longest codes.
  const parts: Buffer[] = [];
  for (let symbol = 0, a = 1, b = 1; symbol < 20; symbol++, [a, b] = [b, a + b]) parts.push(Buffer.alloc(a, symbol));
  const data = Buffer.concat(parts);
  for (let at = data.length - 1; at > 0; at--) {
    const other = (at * 7919) % (at + 1);
    const value = data.readUInt8(at);
    data[at] = data.readUInt8(other);
    data[other] = value;
  }
  const deflated = deflateSync(data, { strategy: Z_HUFFMAN_ONLY });
  assert.deepEqual(Buffer.from(inflate(deflated, data.length)), data);
});

test("a stream of another length than stated is refused, and never written beyond it", () => {
  const deflated = deflateSync(mixed(1_000));
  for (const length of [0, 1, 999, 1_001, 5_000]) assert.throws(() => inflate(deflated, length), isBadPayload);
  const bomb = deflateSync(Buffer.alloc(10_000_000));
  assert.throws(() => inflate(bomb, 1_000), isBadPayload);
});

test("bytes after the end, a missing end and a damaged checksum are refused", () => {
  const data = mixed(2_000);
  const deflated = deflateSync(data);
  assert.throws(() => inflate(Buffer.concat([deflated, Buffer.of(0)]), 2_000), isBadPayload);
  for (let length = 0; length < deflated.length; length++) {
    assert.throws(() => inflate(deflated.subarray(0, length), 2_000), isBadPayload);
  }
  const damaged = Buffer.from(deflated);
  damaged[damaged.length - 1]! ^= 1;
  assert.throws(() => inflate(damaged, 2_000), isBadPayload);
});

test("a flipped bit is refused or changes nothing", () => {
  for (const options of [{}, { strategy: Z_FIXED }, { level: 0 }]) {
    const data = mixed(700);
    const deflated = deflateSync(data, options);
    for (let bit = 0; bit < deflated.length * 8; bit++) {
      const damaged = Buffer.from(deflated);
      damaged[bit >> 3]! ^= 1 << (bit & 7);
      try {
        assert.deepEqual(Buffer.from(inflate(damaged, data.length)), data);
      } catch (error) {
        if (!isBadPayload(error)) throw error;
      }
    }
  }
});

test("garbage behind a valid beginning is refused", () => {
  for (let round = 0; round < 3_000; round++) {
    const garbage = Buffer.concat([Buffer.of(0x78, 0x9c), randomBytes(6 + (round % 200))]);
    assert.throws(() => inflate(garbage, 300), isBadPayload);
  }
});
