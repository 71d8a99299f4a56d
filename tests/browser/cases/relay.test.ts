/** Chains of browsers and native peers: what arrives at the end is what was published. */
import assert from "node:assert/strict";
import { scenario } from "../harness/scenario.js";
import { expectSame, sample } from "../harness/stream.js";

scenario("a browser between a native parent and a native child relays 1,000 events unchanged", {}, async (stage) => {
  const { server, stream } = stage;
  const root = await stage.native({ name: "root", maxChildren: 1 });
  const browser = await stage.browser({ maxChildren: 1 });
  await browser.fedBy(root);
  const leaf = await stage.native({ name: "leaf", maxChildren: 0 });
  await leaf.fedBy(browser);

  await stream.run(1_000);
  await stream.expectAt(root, browser, leaf);

  const node = await server.untilFed(leaf, browser);
  assert.equal(node.tier, 3);
  assert.ok(leaf.program.stderr.includes(`fed by peer ${browser.peer}`));
  assert.equal(leaf.parent, browser.peer);
  assert.deepEqual([...root.faults, ...browser.faults, ...leaf.faults], [], "nobody found a bad signature");
  const stats = await browser.stats();
  assert.equal(stats.badSignatures, 0);
  assert.equal(stats.malformed, 0);
  assert.ok(stats.relayedFrames > 0 && stats.parentBytes > 0);
});

scenario("a native peer between two browsers relays 1,000 events unchanged", {}, async (stage) => {
  const { server, stream } = stage;
  const upper = await stage.browser({ name: "upper browser", maxChildren: 1 });
  await server.untilFed(upper, undefined);
  const native = await stage.native({ maxChildren: 1 });
  await native.fedBy(upper);
  const lower = await stage.browser({ name: "lower browser", maxChildren: 0 });
  await lower.fedBy(native);

  await stream.run(1_000);
  await stream.expectAt(upper, native, lower);
  await server.untilFed(lower, native);
  assert.equal((await lower.stats()).badSignatures, 0);
  assert.deepEqual([...upper.faults, ...native.faults, ...lower.faults], []);
});

scenario("two browsers in separate processes feed each other", {}, async (stage) => {
  const { stream } = stage;
  const upper = await stage.browser({ name: "upper browser" });
  const lower = await stage.browser({ name: "lower browser" });
  await lower.fedBy(upper);
  await stream.run(500);
  await stream.expectAt(upper, lower);
  const [above, below] = [await upper.stats(), await lower.stats()];
  assert.ok(above.relayedBytes > 0);
  assert.ok(below.parentBytes > 0);
  assert.equal(below.badSignatures + below.malformed, 0);
});

scenario("three browsers in separate processes make a chain", {}, async (stage) => {
  const { server, stream } = stage;
  const first = await stage.browser({ name: "first browser", maxChildren: 1 });
  const second = await stage.browser({ name: "second browser", maxChildren: 1 });
  await second.fedBy(first);
  const third = await stage.browser({ name: "third browser", maxChildren: 1 });
  await third.fedBy(second);
  await stream.run(500);
  await stream.expectAt(first, second, third);
  assert.equal((await server.untilFed(third, second)).tier, 3);
  // The server has sent each frame once: to the first browser.
  const stats = await third.stats();
  assert.equal(stats.serverBytes, 0);
});

scenario("a relay whose application wants some events only passes all of them on", {}, async (stage) => {
  const { stream } = stage;
  const relay = await stage.native({ name: "picky relay", maxChildren: 1, args: ["--match", "odd.*"] });
  const browser = await stage.browser({ maxChildren: 0 });
  await browser.fedBy(relay);
  for (let number = 0; number < 200; number++) {
    await stream.publish({ ...sample(number), routingKey: number % 2 === 0 ? "even.builds" : "odd.builds" });
  }
  await stream.expectAt(browser);
  const wanted = stream.published.filter(({ routingKey }) => routingKey === "odd.builds");
  await relay.has(wanted.length);
  expectSame(relay.name, relay.events, wanted);
  assert.deepEqual(relay.gaps, []);
});
