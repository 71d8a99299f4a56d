/** That pako is held to the stated length; what else makes a payload bad is in the vectors. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { deflateSync } from "node:zlib";
import { DecodeError } from "./error.js";
import { inflate } from "./inflate.js";

const data = Buffer.concat([Buffer.from("build.linux.done ".repeat(40)), randomBytes(300)]);
const deflated = deflateSync(data);

function assertRefused(input: Uint8Array, length: number): void {
  assert.throws(
    () => inflate(input, length),
    (error) => error instanceof DecodeError && error.reason === "bad_payload",
  );
}

test("a stream of the stated length comes back", () => {
  assert.deepEqual(Buffer.from(inflate(deflated, data.length)), data);
  assert.equal(inflate(deflateSync(Buffer.alloc(0)), 0).length, 0);
});

test("any other length is refused", () => {
  for (const length of [0, 1, data.length - 1, data.length + 1, 1 << 20]) assertRefused(deflated, length);
  assertRefused(deflateSync(Buffer.alloc(10_000_000)), 1_000);
});

test("a stream that is cut or goes on is refused", () => {
  for (let length = 0; length < deflated.length; length++) assertRefused(deflated.subarray(0, length), data.length);
  assertRefused(Buffer.concat([deflated, Buffer.of(0)]), data.length);
});

test("a flipped bit is refused or changes nothing", () => {
  for (let bit = 0; bit < deflated.length * 8; bit++) {
    const damaged = Buffer.from(deflated);
    damaged.writeUInt8(damaged.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
    try {
      assert.deepEqual(Buffer.from(inflate(damaged, data.length)), data);
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
    }
  }
});
