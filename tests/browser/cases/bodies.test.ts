/** Events of every size and with every sort of text, through relays of both kinds. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { scenario } from "../harness/scenario.js";
import type { Message } from "../harness/server.js";

const MIB = 1 << 20;
/** Larger frames cross a data channel in chunks. */
const CHUNK = 16 << 10;

scenario("bodies from nothing to a mebibyte pass through a browser byte for byte", {}, async (stage) => {
  const { stream } = stage;
  const root = await stage.native({ name: "root", maxChildren: 1 });
  const relay = await stage.browser({ name: "browser relay", maxChildren: 2 });
  await relay.fedBy(root);
  const leaf = await stage.native({ name: "native leaf", maxChildren: 0 });
  await leaf.fedBy(relay);
  const page = await stage.browser({ name: "browser leaf", maxChildren: 0 });
  await page.fedBy(relay);

  const sizes = [0, 1, 0, 1_160, CHUNK - 1, CHUNK, CHUNK + 1, 65_535, 65_536, 65_537, 300_000, MIB, MIB, 0, MIB];
  // What shrinks to almost nothing on the way has to be inflated again.
  const bodies = [...sizes, ...sizes].map(unlikeText).concat(Buffer.alloc(MIB, "all the same "));
  for (const body of bodies) {
    await stream.publish({ body });
    // A burst of more than a relay keeps would go around it.
    for (const peer of [relay, leaf, page]) await peer.has(stream.published.length);
  }

  await stream.expectAt(root, relay, leaf, page);
  assert.ok((await relay.stats()).relayedBytes > 10 * MIB, "the browser relayed it");
  assert.deepEqual([...root.faults, ...relay.faults, ...leaf.faults, ...page.faults], []);
});

scenario("a burst of more than a browser keeps costs its children nothing", {}, async (stage) => {
  const { stream } = stage;
  const root = await stage.native({ name: "root", maxChildren: 1 });
  const relay = await stage.browser({ name: "browser relay", maxChildren: 2 });
  await relay.fedBy(root);
  const leaf = await stage.native({ name: "native leaf", maxChildren: 0 });
  await leaf.fedBy(relay);
  const page = await stage.browser({ name: "browser leaf", maxChildren: 0 });
  await page.fedBy(relay);
  for (let count = 0; count < 16; count++) await stream.publish({ body: unlikeText(MIB) });
  await stream.run(100);
  await stream.expectAt(root, relay, leaf, page);
});

scenario("routing keys, headers and properties in any script pass through a browser unchanged", {}, async (stage) => {
  const { stream } = stage;
  const root = await stage.native({ name: "root", maxChildren: 1 });
  const relay = await stage.browser({ name: "browser relay", maxChildren: 1 });
  await relay.fedBy(root);
  const leaf = await stage.native({ name: "native leaf", maxChildren: 0 });
  await leaf.fedBy(relay);

  const body = Buffer.from("Grüße aus dem Testlauf: 東京 🚀 \u0000 \u2028", "utf8");
  const messages: readonly Message[] = [
    { routingKey: "größe.東京.🚀", body, contentType: "text/plain; charset=utf-8" },
    { routingKey: "", body },
    { routingKey: "a b&c=d?e/f#g%20+\"'<>", body, messageId: "nachricht-ü-東" },
    { routingKey: "é".repeat(127), body, timestamp: 1_700_000_000 },
    { routingKey: "with.headers", body, headers: { "x-city": "Zürich 東京 🏔", "x-empty": "", "x-quote": "\"'\\{}" } },
    { routingKey: "timestamps", body, timestamp: 0 },
    {
      routingKey: "everything.at.once",
      body: Buffer.alloc(0),
      contentType: "application/x-nothing",
      messageId: "1",
      timestamp: 4_102_444_800,
      headers: { attempt: "3", "x-note": "наконец" },
    },
  ];
  for (const message of messages) await stream.publish(message);
  await stream.expectAt(root, relay, leaf);
});

/** Bytes that are no UTF-8, and do not shrink. */
function unlikeText(size: number): Buffer {
  const bytes = randomBytes(size);
  if (size > 0) bytes[0] = 0xff;
  return bytes;
}
