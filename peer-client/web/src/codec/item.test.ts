import assert from "node:assert/strict";
import { test } from "node:test";
import { Sealer } from "../testing/seal.js";
import { mayBeLost } from "./item.js";
import { LOSSY_MESSAGE_BYTES_MAX } from "./limits.js";
import { LinkMessage } from "./link-message.js";
import { encodeNack } from "./nack.js";

const sealer = new Sealer("test", 1);
const at = (offset: number): { epoch: number; offset: number } => ({ epoch: 7, offset });

test("what is missed when it is lost may be lost", () => {
  assert.ok(mayBeLost(sealer.seal(at(0), 1, 0, []).bytes));
  assert.ok(mayBeLost(sealer.head(at(1), 0).bytes));
  assert.ok(mayBeLost(encodeNack({ after: at(1), to: at(2) })));
});

test("what nothing shows to be missing, and what takes many packets, may not", () => {
  const bodyOf = (bytes: number): Uint8Array => sealer.seal(at(0), 1, 0, [{ offset: 1, body: new Uint8Array(bytes) }]).bytes;
  const overhead = bodyOf(4_000).length - 4_000;
  assert.ok(mayBeLost(bodyOf(LOSSY_MESSAGE_BYTES_MAX - overhead)));
  assert.equal(mayBeLost(bodyOf(LOSSY_MESSAGE_BYTES_MAX - overhead + 1)), false);
  assert.equal(mayBeLost(sealer.seal(at(-1), 0, 0, []).bytes), false, "the first of a numbering");
  assert.equal(mayBeLost(LinkMessage.encode({ type: "hold" })), false);
  assert.equal(mayBeLost(new Uint8Array([3, 1, 1, 0, 9])), false, "a chunk");
});
