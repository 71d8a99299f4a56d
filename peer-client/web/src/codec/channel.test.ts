import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { ChannelNameError, channelId, parseChannelName } from "./channel.js";
import { sha256 } from "./sha256.js";

test("the hash is SHA-256", () => {
  for (let length = 0; length < 200; length++) {
    const message = Buffer.alloc(length, `${length} some text`);
    assert.deepEqual(Buffer.from(sha256(message)), createHash("sha256").update(message).digest());
  }
});

test("a channel's number is the beginning of the hash of its name", () => {
  assert.equal(channelId("builds"), createHash("sha256").update("builds").digest().readUInt32BE());
});

test("names stand in a URL as they are", () => {
  assert.equal(parseChannelName("a.B_9-"), "a.B_9-");
  for (const text of ["", "a b", "a/b", "ä", "a".repeat(129)]) {
    assert.throws(() => parseChannelName(text), ChannelNameError);
  }
});
