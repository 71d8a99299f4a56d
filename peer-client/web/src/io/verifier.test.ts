import assert from "node:assert/strict";
import { test } from "node:test";
import { Frame, Head, readItems } from "../codec/index.js";
import { type BytesJson, bytesOf, readVectors } from "../testing/vectors.js";
import { createVerifier, libraryVerifier, webCryptoVerifier } from "./verifier.js";

interface Signed {
  name: string;
  bytes: BytesJson;
  channel: string;
  public_key: string;
}

const frames = (readVectors("frames.json") as Signed[]).slice(0, 5);
const heads = readVectors("heads.json") as Signed[];
const forged = (readVectors("signatures.json") as (Signed & { error: string })[]).filter(
  ({ error }) => error === "bad_signature",
);

for (const [name, create] of [
  ["WebCrypto", () => Promise.resolve(webCryptoVerifier())],
  ["the library", () => Promise.resolve(libraryVerifier())],
  ["the best there is", createVerifier],
] as const) {
  test(`${name} accepts what the server signed and nothing else`, async () => {
    const verifies = await create();
    for (const vector of [...frames, ...heads]) {
      const bytes = bytesOf(vector.bytes);
      const item = bytes[0] === 1 ? Frame.take(bytes) : Head.take(bytes);
      const { message, signature } = item.signed(vector.channel);
      assert.ok(await verifies(bytesOf(vector.public_key), message, signature), vector.name);
      assert.equal(await verifies(new Uint8Array(32), message, signature), false);
      assert.equal(await verifies(new Uint8Array(3), message, signature), false);
    }
    for (const vector of forged) {
      const [item] = readItems(bytesOf(vector.bytes));
      assert.ok(item?.kind === "frame" || item?.kind === "head");
      const { message, signature } = (item.kind === "frame" ? item.frame : item.head).signed(vector.channel);
      assert.equal(await verifies(bytesOf(vector.public_key), message, signature), false, vector.name);
    }
  });
}
