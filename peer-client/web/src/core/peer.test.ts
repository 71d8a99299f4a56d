import assert from "node:assert/strict";
import { test } from "node:test";
import { Code, FRAME_HEADER_BYTES, LinkMessage, channelId, chunks, readItems } from "../codec/index.js";
import { Sealer } from "../testing/seal.js";
import { TestPeer, World } from "../testing/world.js";
import { CommandError } from "./index.js";

/** A parent that the server feeds, and a child that the parent feeds. */
function family(): { world: World; parent: TestPeer; child: TestPeer; link: number } {
  const world = new World();
  const [parent, child] = [world.join(), world.join()];
  world.hub.publish("first");
  world.run();
  const link = world.hub.assign(child.id, parent.id);
  world.run();
  assert.equal(child.peer.parent("builds"), parent.id);
  return { world, parent, child, link };
}

function publish(world: World, count: number, body = "event"): string[] {
  const bodies = Array.from({ length: count }, (_, index) => `${body} ${index}`);
  for (const text of bodies) world.hub.publish(text);
  world.run();
  return bodies;
}

function heardFrom(world: World, peer: TestPeer): string[] {
  return world.hub.heard.filter(({ session }) => session === peer.id).map(({ message }) => message.type);
}

function kinds(messages: readonly Uint8Array[] = []): string[] {
  return messages.flatMap((bytes) =>
    readItems(bytes).map((item) => (item.kind === "control" ? LinkMessage.decode(item.bytes).type : item.kind)),
  );
}

test("a peer gets every event once and in order from the server", () => {
  const world = new World();
  const peer = world.join();
  const bodies = publish(world, 50);
  assert.deepEqual(peer.bodies, bodies);
  assert.equal(peer.peer.stats().duplicates, 0);
});

test("a child moves to its parent without missing an event, and the server stops feeding it", () => {
  const { world, parent, child } = family();
  const bodies = publish(world, 100);
  assert.deepEqual(child.bodies, ["first", ...bodies]);
  assert.deepEqual(parent.bodies, child.bodies);
  assert.ok(child.peer.stats().parentBytes > 0);
  assert.deepEqual(parent.peer.children("builds").map(({ peer }) => peer), [child.id]);
  assert.equal(parent.peer.children("builds")[0]?.bytes, parent.peer.stats().relayedBytes);
  assert.deepEqual(heardFrom(world, child), ["hello", "subscribe", "fed"]);
});

test("a frame larger than a message crosses in chunks", () => {
  const { world, child, link } = family();
  world.sent.clear();
  world.hub.publish("x".repeat(50_000));
  world.hub.publish("small");
  world.run();
  assert.deepEqual(child.bodies.map(({ length }) => length), [5, 50_000, 5]);
  assert.deepEqual(kinds(world.sent.get(link)), ["chunk", "chunk", "chunk", "chunk", "frame"]);
  for (const message of world.sent.get(link) ?? []) assert.ok(message.length <= 16_384);
});

test("frames and heads may come between the chunks of a frame", () => {
  const { world, child, link } = family();
  const { head, sealer } = world.hub;
  const offset = head.offset + 1;
  const large = sealer.seal(head, offset, 0, [{ offset, body: new Uint8Array(50_000) }]);
  const next = sealer.seal(large.position, offset + 1, 0, [{ offset: offset + 1 }]);
  const [first = new Uint8Array(), ...rest] = chunks(large.bytes);
  const between = [sealer.head(head, 1), next, LinkMessage.encode({ type: "ping", time_us: 1 })];
  for (const item of [first, ...between, ...rest]) {
    child.handle({ type: "linkData", link, bytes: item instanceof Uint8Array ? item : item.bytes });
  }
  assert.deepEqual(child.bodies.map(({ length }) => length), [5, 50_000, 0]);
  assert.equal(child.peer.stats().malformed, 0);
});

test("frames that wait for a link share its messages", () => {
  const { world, parent, child, link } = family();
  parent.isWritable = false;
  const bodies = publish(world, 100);
  world.sent.clear();
  parent.flush();
  world.run();
  assert.deepEqual(child.bodies, ["first", ...bodies]);
  const sizes = (world.sent.get(link) ?? []).map(({ length }) => length);
  assert.ok(sizes.length <= 3 && Math.max(...sizes) <= 16_384, sizes.join());
});

test("a parent that is gone is replaced by the server, with nothing missing or twice", () => {
  const { world, parent, child, link } = family();
  publish(world, 10);
  parent.handle({ type: "linkClosed", link });
  child.handle({ type: "linkClosed", link });
  const bodies = publish(world, 10, "after");
  assert.deepEqual(child.bodies.slice(-10), bodies);
  assert.equal(child.bodies.length, 21);
  assert.equal(new Set(child.deliveries.map((d) => (d.kind === "event" ? d.position.offset : -1))).size, 21);
  const feed = world.hub.heard.find(({ session, message }) => session === child.id && message.type === "feed");
  assert.ok(feed?.message.type === "feed");
  assert.equal(feed.message.link, link);
  assert.equal(feed.message.code, Code.lost);
  assert.ok(heardFrom(world, parent).includes("report"));
});

test("a parent that falls silent in a quiet channel is left after three heartbeats", () => {
  const { world, parent, child } = family();
  world.tamper = (bytes, _link, from) => (from === child ? bytes : undefined);
  world.advance(5);
  assert.equal(child.peer.parent("builds"), parent.id);
  world.advance(2);
  assert.ok(child.statuses.some((status) => status.kind === "link_lost" && status.code === Code.silent));
});

test("a child whose parent falls silent has everything soon and leaves it", () => {
  const { world, parent, child } = family();
  world.tamper = (bytes, _link, from) => (from === child ? bytes : undefined);
  const bodies = publish(world, 5);
  assert.equal(child.bodies.length, 1);
  world.advance(3);
  assert.deepEqual(child.bodies, ["first", ...bodies], "the server is asked");
  assert.equal(child.peer.parent("builds"), parent.id);
  world.advance(4);
  assert.ok(child.statuses.some((status) => status.kind === "link_lost" && status.code === Code.stale));
});

test("a quiet link stays up", () => {
  const { world, parent, child } = family();
  world.advance(60);
  assert.equal(child.peer.parent("builds"), parent.id);
  assert.deepEqual(child.closed, []);
});

test("a better parent takes over before the old link is closed", () => {
  const { world, parent, child, link } = family();
  const other = world.join();
  const next = world.hub.assign(child.id, other.id);
  const bodies = publish(world, 20);
  assert.equal(child.peer.parent("builds"), other.id);
  assert.deepEqual(child.bodies, ["first", ...bodies]);
  assert.ok(child.statuses.some((status) => status.kind === "link_lost" && status.code === Code.replaced));
  assert.deepEqual(parent.peer.children("builds"), []);
  assert.ok(next > link);
  assert.deepEqual(child.gaps, []);
});

test("a forged frame is not delivered, and its sender is left", () => {
  const { world, child } = family();
  world.tamper = (bytes) => {
    const [item] = readItems(bytes);
    if (item?.kind !== "frame") return bytes;
    const forged = bytes.slice();
    const at = FRAME_HEADER_BYTES + item.frame.header.payloadBytes - 1;
    forged[at] = (forged[at] ?? 0) ^ 1;
    return forged;
  };
  const bodies = publish(world, 5);
  assert.deepEqual(child.bodies, ["first", ...bodies]);
  assert.equal(child.peer.stats().badSignatures, 1);
  const feed = world.hub.heard.find(({ message }) => message.type === "feed");
  assert.ok(feed?.message.type === "feed" && feed.message.code === Code.bad_signature);
});

test("garbage closes the link and nothing else", () => {
  for (const garbage of [[], [0x00], [0x01, 1, 0], [0x03, 1, 0, 0], [0x80], [0x81, 0xa4]]) {
    const { world, child, link } = family();
    child.handle({ type: "linkData", link, bytes: Uint8Array.from(garbage) });
    world.run();
    const bodies = publish(world, 3);
    assert.deepEqual(child.bodies, ["first", ...bodies]);
    assert.equal(child.peer.stats().malformed, 1);
    assert.deepEqual(child.closed, []);
  }
});

test("a server that sends garbage is left", () => {
  const world = new World();
  const peer = world.join();
  peer.handle({ type: "sessionData", bytes: Uint8Array.of(0x05) });
  assert.deepEqual(peer.closed.map(({ code }) => code), [Code.malformed]);
});

test("a stranger without the token is not served", () => {
  const { world, parent, child } = family();
  const link = world.hub.assign(child.id, parent.id);
  world.tamper = (bytes) => {
    const [item] = readItems(bytes);
    if (item?.kind !== "control") return bytes;
    const message = LinkMessage.decode(item.bytes);
    return message.type === "join" ? LinkMessage.encode({ ...message, token: new Uint8Array(16) }) : bytes;
  };
  world.run();
  assert.ok(parent.statuses.some((status) => status.kind === "link_lost" && status.code === Code.bad_token));
  const report = world.hub.heard.find(({ session, message }) => session === parent.id && message.type === "report");
  assert.ok(report?.message.type === "report" && report.message.link === link);
});

test("a parent waits for a child whose application is slow, and sends nothing twice", () => {
  const world = new World();
  const [parent, child] = [world.join(), world.join({ log: { bytes: 40_000, entries: 1_000 } })];
  const link = world.hub.assign(child.id, parent.id);
  world.run();
  world.sent.clear();
  child.isReading = false;
  for (let index = 0; index < 80; index++) world.hub.publish("y".repeat(1_000));
  world.run();
  const bytesSent = (): number => (world.sent.get(link) ?? []).reduce((sum, bytes) => sum + bytes.length, 0);
  assert.ok(bytesSent() >= 20_000 && bytesSent() < 35_000, `half of the log and a window: ${bytesSent()}`);
  world.advance(20);
  assert.ok(bytesSent() < 35_000, "for as long as it takes");
  child.isReading = true;
  child.drain();
  world.run();
  assert.equal(child.bodies.length, 80);
  assert.ok(bytesSent() < 100_000, `${bytesSent()}`);
  assert.deepEqual([child.peer.stats().feeds, child.peer.parent("builds")], [0, parent.id]);
});

test("regression: a slow application is sent its backlog once", () => {
  const world = new World();
  for (let index = 0; index < 500; index++) world.hub.publish(`${index} `.padEnd(1_000, "z"));
  const peer = new TestPeer(world, { log: { bytes: 20_000, entries: 1_000 } });
  peer.isReading = false;
  peer.connect();
  peer.subscribe();
  world.run();
  while (peer.deliveries.length < 500) {
    assert.ok(peer.readOne(), `it hangs at ${peer.deliveries.length}`);
    world.run();
  }
  assert.deepEqual(peer.bodies.map((body) => Number.parseInt(body)), Array.from({ length: 500 }, (_, index) => index));
  const { feeds, notTaken, duplicates } = peer.peer.stats();
  assert.deepEqual({ feeds, notTaken, duplicates }, { feeds: 0, notTaken: 0, duplicates: 0 });
});

test("a gap is told once, where the server says so", () => {
  const world = new World();
  const peer = world.join();
  publish(world, 2);
  const from = { epoch: 1, offset: 1 };
  const to = { epoch: 1, offset: 9 };
  world.hub.say(peer.id, { type: "gap", channel: "builds", from, to, reason: "retention" });
  world.hub.say(peer.id, { type: "gap", channel: "builds", from, to, reason: "retention" });
  world.run();
  assert.deepEqual(peer.gaps, [{ kind: "gap", channel: "builds", from, to, reason: "retention" }]);
});

test("a server that skips something is asked for it once", () => {
  const world = new World();
  const peer = world.join();
  publish(world, 2);
  const { head } = world.hub;
  const skipped = [2, 3, 4].map((last) => world.hub.sealer.seal({ ...head, offset: last + 10 }, last + 11, 0, []));
  for (const { bytes } of skipped) peer.handle({ type: "sessionData", bytes });
  const feeds = world.hub.heard.filter(({ message }) => message.type === "feed");
  assert.equal(feeds.length, 0, "on its way");
  world.run();
  assert.deepEqual(world.hub.heard.at(-1)?.message, {
    type: "feed",
    channel: "builds",
    position: { epoch: 1, offset: 1 },
    window_bytes: 256 << 10,
    code: Code.unavailable,
  });
  assert.equal(peer.peer.stats().feeds, 1);
  assert.equal(peer.peer.stats().notTaken, 3);
});

test("regression: a server that skips something in the next session, too, is asked for it again", () => {
  const world = new World();
  const peer = world.join();
  const before = publish(world, 2);
  const { head } = world.hub;
  const skipped = world.hub.sealer.seal({ ...head, offset: head.offset + 9 }, head.offset + 10, 0, []);
  peer.handle({ type: "sessionData", bytes: skipped.bytes });
  world.run();
  assert.deepEqual(heardFrom(world, peer), ["hello", "subscribe", "feed"]);
  peer.disconnect();
  peer.connect();
  world.run();
  assert.deepEqual(heardFrom(world, peer), ["hello", "subscribe"]);
  peer.handle({ type: "sessionData", bytes: skipped.bytes });
  world.run();
  assert.deepEqual(heardFrom(world, peer), ["hello", "subscribe", "feed"]);
  const after = publish(world, 2, "later");
  assert.deepEqual(peer.bodies, [...before, ...after]);
});

test("a newer numbering passes through the tree with one gap at each peer", () => {
  const { world, parent, child } = family();
  world.hub.restart(2);
  const bodies = publish(world, 3, "anew");
  for (const peer of [parent, child]) {
    assert.deepEqual(peer.bodies, ["first", ...bodies]);
    const [gap, ...rest] = peer.gaps;
    assert.deepEqual(rest, []);
    assert.ok(gap?.kind === "gap" && gap.reason === "epoch" && gap.to.epoch === 2);
  }
});

test("a reconnect goes on where the peer was", () => {
  const { world, child } = family();
  child.disconnect();
  const meanwhile = publish(world, 5);
  child.connect();
  world.run();
  assert.deepEqual(child.bodies, ["first", ...meanwhile]);
  assert.deepEqual(child.gaps, []);
});

test("a server that says nothing for three heartbeats is left", () => {
  const world = new World();
  const peer = world.join();
  world.serverPings = false;
  world.advance(46);
  assert.deepEqual(peer.closed.map(({ code }) => code), [Code.silent]);
});

test("while a signature is checked, what comes after it waits, and duplicates are not checked", () => {
  const world = new World();
  const peer = world.join();
  peer.verifiesAtOnce = false;
  const bodies = publish(world, 3);
  assert.equal(peer.verifying.length, 1, "one after the other");
  const again = world.hub.publish("last");
  world.run();
  peer.handle({ type: "sessionData", bytes: again.bytes });
  for (let round = 0; round < 5; round++) peer.verifyNext();
  assert.deepEqual(peer.bodies, [...bodies, "last"]);
  assert.equal(peer.peer.stats().duplicates, 1);
  assert.equal(peer.verifying.length, 0);
});

test("what a server sends faster than it can be verified is asked for again", () => {
  const world = new World();
  world.hub.ignoresWindows = true;
  const peer = world.join({ log: { bytes: 64 << 20, entries: 1_000 } });
  peer.verifiesAtOnce = false;
  const bodies = publish(world, 12, "z".repeat(1 << 20));
  peer.verifiesAtOnce = true;
  for (let round = 0; round < 3; round++) {
    peer.verifyNext();
    world.run();
  }
  assert.equal(peer.bodies.length, 12);
  assert.ok(peer.bodies.every((body, index) => body === bodies[index]));
  assert.equal(peer.peer.stats().feeds, 1);
  assert.deepEqual(peer.closed, []);
});

test("an answer for a session that is gone changes nothing", () => {
  const world = new World();
  const peer = world.join();
  peer.verifiesAtOnce = false;
  const bodies = publish(world, 3);
  peer.disconnect();
  peer.connect();
  peer.verifyNext();
  assert.deepEqual(peer.bodies, []);
  peer.verifiesAtOnce = true;
  world.run();
  assert.deepEqual(peer.bodies, bodies);
});

test("what a parent had sent before it closed still counts", () => {
  const { world, parent, child } = family();
  child.verifiesAtOnce = false;
  publish(world, 3);
  parent.handle({ type: "unsubscribe", channel: "builds" });
  world.run();
  assert.equal(child.bodies.length, 1);
  child.verifiesAtOnce = true;
  child.verifyNext();
  world.run();
  assert.equal(child.bodies.length, 4);
  const feed = world.hub.heard.find(({ message }) => message.type === "feed");
  assert.ok(feed?.message.type === "feed" && feed.message.position.offset === 3);
});

test("an application that does not read stops the peer, which goes on when it reads again", () => {
  const world = new World();
  const peer = world.join({ log: { bytes: 20_000, entries: 1_000 } });
  peer.isReading = false;
  for (let index = 0; index < 50; index++) world.hub.publish(`${index} `.padEnd(1_000, "z"));
  world.run();
  assert.equal(peer.peer.stats().stalls, 1);
  peer.isReading = true;
  for (let round = 0; round < 10; round++) {
    peer.drain();
    world.run();
  }
  assert.deepEqual(peer.bodies.map((body) => Number.parseInt(body)), Array.from({ length: 50 }, (_, index) => index));
  assert.deepEqual(peer.gaps, []);
});

test("what an application that does not read leaves unread is never pushed out by entries either", () => {
  const world = new World();
  const peer = world.join({ log: { bytes: 1 << 20, entries: 4 } });
  peer.isReading = false;
  const bodies = publish(world, 10);
  assert.equal(peer.peer.stats().stalls, 1);
  peer.isReading = true;
  for (let round = 0; round < 10; round++) {
    peer.drain();
    world.run();
  }
  assert.deepEqual(peer.bodies, bodies);
  assert.deepEqual(peer.gaps, []);
});

test("a peer that is stalled has no children, keeps its parent, and says when that ends", () => {
  const world = new World();
  const [parent, child, late] = [world.join(), world.join(), world.join()];
  const peer = world.join({ log: { bytes: 20_000, entries: 1_000 } });
  world.hub.assign(peer.id, parent.id);
  const down = world.hub.assign(child.id, peer.id);
  world.run();
  peer.isReading = false;
  publish(world, 50, "z".repeat(1_000));
  const next = world.hub.assign(late.id, peer.id);
  world.run();
  assert.deepEqual(peer.peer.children("builds"), []);
  const said = world.hub.heard.filter(({ session }) => session === peer.id).map(({ message }) => message);
  const report = (link: number): unknown => ({ type: "report", link, code: Code.lagging });
  assert.deepEqual(said.slice(3), [report(down), report(next)]);
  peer.isReading = true;
  peer.drain();
  world.run();
  assert.deepEqual(peer.peer.parent("builds"), parent.id);
  assert.deepEqual(world.hub.heard.at(-1), {
    session: peer.id,
    message: { type: "at", channel: "builds", position: { epoch: 1, offset: 12 } },
  });
  assert.equal(peer.peer.stats().feeds, 0);
  assert.equal(peer.bodies.length, 50);
  assert.equal(child.bodies.length, 50);
  assert.deepEqual([...peer.gaps, ...child.gaps], []);
});

test("a peer that is stalled asks for what is missing only when that ends", () => {
  const world = new World();
  const peer = world.join({ log: { bytes: 20_000, entries: 1_000 } });
  peer.isReading = false;
  publish(world, 50, "z".repeat(1_000));
  assert.equal(peer.peer.stats().stalls, 1);
  const from = { epoch: 1, offset: 40 };
  world.hub.say(peer.id, { type: "gap", channel: "builds", from, to: { epoch: 1, offset: 45 }, reason: "source" });
  world.run();
  assert.equal(peer.peer.stats().feeds, 0, "the end of the stall asks");
  peer.isReading = true;
  peer.drain();
  world.run();
  const feed = world.hub.heard.find(({ session, message }) => session === peer.id && message.type === "feed");
  assert.ok(feed?.message.type === "feed" && feed.message.link === undefined && feed.message.code === Code.lagging);
  assert.equal(peer.bodies.length, 50);
  assert.deepEqual(peer.gaps, []);
});

test("a gap that begins beyond what a peer has is not taken, but asked about once", () => {
  const world = new World();
  const peer = world.join();
  publish(world, 2);
  const gap = { type: "gap", channel: "builds", reason: "source" } as const;
  for (const offset of [5, 7]) {
    world.hub.say(peer.id, { ...gap, from: { epoch: 1, offset }, to: { epoch: 1, offset: offset + 1 } });
  }
  world.run();
  assert.deepEqual(heardFrom(world, peer), ["hello", "subscribe", "feed"]);
  assert.deepEqual(world.hub.heard.at(-1)?.message, {
    type: "feed",
    channel: "builds",
    position: { epoch: 1, offset: 1 },
    window_bytes: 256 << 10,
    code: Code.unavailable,
  });
  assert.deepEqual(peer.gaps, []);
  world.hub.say(peer.id, { ...gap, from: { epoch: 1, offset: 0 }, to: { epoch: 1, offset: 8 } });
  world.run();
  assert.deepEqual(peer.peer.position("builds"), { epoch: 1, offset: 8 });
});

test("a newer numbering that the server has not announced is not taken from it", () => {
  const world = new World();
  const peer = world.join();
  publish(world, 2);
  const { bytes } = world.hub.sealer.seal({ epoch: 2, offset: -1 }, 0, 0, []);
  peer.handle({ type: "sessionData", bytes });
  world.run();
  assert.deepEqual(heardFrom(world, peer), ["hello", "subscribe", "feed"]);
  assert.deepEqual(peer.peer.position("builds"), { epoch: 1, offset: 1 });
});

test("links of an earlier session are closed, and the first thing asked for is the subscription", () => {
  const { world, child } = family();
  child.disconnect();
  child.connect();
  world.run();
  assert.deepEqual(heardFrom(world, child), ["hello", "subscribe"]);
  assert.ok(child.statuses.some((status) => status.kind === "link_lost" && status.code === Code.departed));
  assert.equal(child.peer.stats().feeds, 0);
});

test("what was signed with earlier keys is not served to children", () => {
  const world = new World();
  const parent = world.join();
  world.hub.publish("old");
  world.hub.sendHead();
  world.run();
  parent.disconnect();
  world.hub.keys = [world.hub.sealer.publicKey, new Sealer("builds", 8).publicKey];
  parent.connect();
  world.run();
  const child = world.join();
  const [behind, token] = [99, new Uint8Array(16)];
  world.hub.say(parent.id, { type: "expect", channel: "builds", link: behind, child: 9, token, offers: false });
  world.run();
  parent.handle({ type: "linkOpened", link: behind });
  const position = { epoch: 1, offset: -1 };
  const join = { type: "join", token, channel: channelId("builds"), position, window_bytes: 1, hold: false } as const;
  parent.handle({ type: "linkData", link: behind, bytes: LinkMessage.encode(join) });
  assert.ok(parent.statuses.some((status) => status.kind === "link_lost" && status.code === Code.unavailable));
  const link = world.hub.assign(child.id, parent.id);
  world.run();
  assert.equal(child.peer.parent("builds"), parent.id, "it has what is old");
  assert.deepEqual(kinds(world.sent.get(link)), ["join", "joined"], "no head either");
  const bodies = publish(world, 3);
  assert.deepEqual(child.bodies, ["old", ...bodies]);
});

test("a head of another channel on a link closes it", () => {
  const { world, child, link } = family();
  child.handle({ type: "linkData", link, bytes: new Sealer("other", 7).head(world.hub.head, 1).bytes });
  assert.ok(child.statuses.some((status) => status.kind === "link_lost" && status.code === Code.unexpected));
});

test("a server that sends what it did not sign is left, and that is counted", () => {
  const world = new World();
  const peer = world.join();
  const { bytes } = new Sealer("builds", 8).seal(world.hub.head, 0, 0, []);
  peer.handle({ type: "sessionData", bytes });
  assert.deepEqual(peer.closed.map(({ code }) => code), [Code.bad_signature]);
  assert.equal(peer.peer.stats().badSignatures, 1);
});

test("heads go down the tree", () => {
  const { world, child, link } = family();
  world.sent.clear();
  world.now += 1_000_000;
  world.hub.sendHead();
  world.run();
  assert.deepEqual(kinds(world.sent.get(link)), ["head"]);
  assert.equal(child.peer.stats().badSignatures, 0);
});

test("a channel is subscribed to once, and a subscription that is not there cannot end", () => {
  const world = new World();
  const peer = world.join();
  assert.throws(() => {
    peer.subscribe();
  }, CommandError);
  peer.handle({ type: "unsubscribe", channel: "builds" });
  assert.throws(() => {
    peer.handle({ type: "unsubscribe", channel: "builds" });
  }, CommandError);
});

test("a subscription that the server refuses ends", () => {
  const world = new World();
  world.hub.refusal = { code: Code.unknown_channel };
  const peer = world.join();
  const refused = peer.statuses.find(({ kind }) => kind === "refused");
  assert.deepEqual(refused, { kind: "refused", channel: "builds", code: Code.unknown_channel, reason: "not today", retryAfterMs: undefined });
  peer.subscribe();
  world.run();
  const bodies = publish(world, 2);
  assert.deepEqual(peer.bodies, bodies);
});

test("a channel that is not ready is asked for again when the server said", () => {
  const world = new World();
  world.hub.refusal = { code: Code.not_ready, retry_after_ms: 500 };
  const peer = world.join();
  const bodies = publish(world, 2);
  world.advance(0.4);
  assert.deepEqual(peer.bodies, []);
  world.advance(0.2);
  assert.deepEqual(peer.bodies, bodies);
});
