import assert from "node:assert/strict";
import { test } from "node:test";
import { BEFORE_FIRST, Code, LinkMessage, readItems } from "../codec/index.js";
import { type TestPeer, World } from "../testing/world.js";
import type { PeerConfig } from "./index.js";

/** A child with a parent and a standby, both of which the server feeds. */
class Trio {
  readonly world = new World();
  readonly parent = this.world.join();
  readonly standby = this.world.join();
  readonly child: TestPeer;
  readonly parentLink: number;
  readonly standbyLink: number;

  constructor(config: Partial<PeerConfig> = {}) {
    this.child = this.world.join(config);
    this.publish("first");
    this.parentLink = this.world.hub.assign(this.child.id, this.parent.id);
    this.world.run();
    this.standbyLink = this.world.hub.assign(this.child.id, this.standby.id, true);
    this.world.run();
    assert.equal(this.fedBy, this.parent.id);
  }

  get fedBy(): number | undefined {
    return this.child.peer.parent("builds");
  }

  publish(body: string): void {
    this.world.hub.publish(body);
    this.world.run();
  }

  /** Nothing that these say arrives any more. */
  mute(...peers: TestPeer[]): void {
    this.world.tamper = (bytes, _link, from) => (peers.includes(from) ? undefined : bytes);
  }

  /** What was said on a link since `sent` was cleared. */
  said(link: number): string[] {
    const items = (this.world.sent.get(link) ?? []).flatMap(readItems);
    return items.map((item) => (item.kind === "control" ? LinkMessage.decode(item.bytes).type : item.kind));
  }

  /** What the child told the hub beyond what it takes to get here. */
  get heard(): string[] {
    const { heard } = this.world.hub;
    const messages = heard.filter(({ session }) => session === this.child.id).map(({ message }) => message.type);
    assert.deepEqual(messages.splice(0, 3), ["hello", "subscribe", "fed"]);
    return messages;
  }

  closed(): number[] {
    return this.child.statuses.flatMap((status) => (status.kind === "link_lost" ? [status.code] : []));
  }
}

test("a standby sends no frames, but says how far it is", () => {
  const trio = new Trio();
  trio.world.sent.clear();
  for (let tenth = 0; tenth < 20; tenth++) {
    trio.publish("event");
    trio.world.advance(0.1);
  }
  assert.deepEqual(trio.said(trio.standbyLink).filter((type) => type !== "ping" && type !== "pong"), ["have", "have"]);
  assert.deepEqual([trio.child.peer.stats().swaps, trio.child.peer.stats().duplicates, trio.heard], [0, 0, []]);
});

test("a standby takes the place of a parent that is gone, and the server feeds nobody for it", () => {
  const trio = new Trio();
  trio.parent.handle({ type: "linkClosed", link: trio.parentLink });
  trio.child.handle({ type: "linkClosed", link: trio.parentLink });
  trio.publish("second");
  assert.equal(trio.fedBy, trio.standby.id);
  assert.deepEqual(trio.child.bodies, ["first", "second"]);
  assert.deepEqual(trio.heard, ["report", "fed"]);
});

test("a child turns to its standby when that has what its parent does not bring, and leaves a parent that is dead", () => {
  const trio = new Trio();
  trio.mute(trio.parent);
  trio.publish("second");
  trio.world.advance(1.5);
  assert.equal(trio.fedBy, trio.standby.id);
  assert.deepEqual(trio.child.bodies, ["first", "second"]);
  assert.deepEqual([trio.child.peer.stats().swaps, trio.child.peer.stats().pulls], [1, 0]);
  assert.deepEqual(trio.closed(), [], "it stands by now");
  trio.world.advance(2.5);
  assert.deepEqual(trio.closed(), [Code.silent], "it did not answer");
});

test("a standby that is ahead again and again is the parent from then on, and the parent stands by", () => {
  const trio = new Trio();
  const { child, parent, parentLink, standbyLink, world } = trio;
  const late: Uint8Array[] = [];
  const isFrame = (bytes: Uint8Array): boolean => readItems(bytes)[0]?.kind === "frame";
  world.tamper = (bytes, _link, from) => (from === parent && isFrame(bytes) && late.push(bytes) > 0 ? undefined : bytes);
  world.advance(3);
  for (let round = 0; round < 6; round++) {
    trio.publish("x".repeat(3_000));
    world.advance(0.1);
    for (const bytes of late.splice(0)) child.handle({ type: "linkData", link: parentLink, bytes });
    world.run();
  }
  const { exchanges, swaps, pulls } = child.peer.stats();
  assert.deepEqual({ exchanges, swaps, pulls }, { exchanges: 1, swaps: 0, pulls: 0 });
  assert.equal(trio.fedBy, trio.standby.id);
  assert.deepEqual(trio.closed(), [], "nobody is left");
  world.sent.clear();
  world.advance(1);
  trio.publish("last");
  assert.ok(trio.said(standbyLink).includes("frame") && !trio.said(parentLink).includes("frame"));
  assert.equal(child.bodies.length, 8);
});

test("a standby goes with its subscription, and while the application is too slow", () => {
  const gone = new Trio();
  gone.child.handle({ type: "unsubscribe", channel: "builds" });
  assert.deepEqual(gone.closed(), [Code.departed, Code.departed]);
  const slow = new Trio({ log: { bytes: 40_000, entries: 1_000 } });
  slow.child.isReading = false;
  for (let index = 0; index < 80; index++) slow.publish("y".repeat(1_000));
  assert.deepEqual([slow.child.peer.stats().stalls, slow.closed()], [1, [Code.lagging]]);
  assert.equal(slow.fedBy, slow.parent.id, "it waits");
});

test("what neither parent nor standby brings is pulled from the server", () => {
  const trio = new Trio();
  trio.mute(trio.parent, trio.standby);
  trio.publish("second");
  trio.world.advance(1.5);
  assert.deepEqual(trio.child.bodies, ["first", "second"]);
  assert.deepEqual(trio.heard, ["ping", "pull"]);
  assert.deepEqual([trio.child.peer.stats().swaps, trio.child.peer.stats().pulls], [0, 1]);
});

test("a parent and a standby that stay behind are left as stale", () => {
  const trio = new Trio();
  const isFrame = (bytes: Uint8Array): boolean => readItems(bytes)[0]?.kind === "frame";
  const isHave = (bytes: Uint8Array): boolean =>
    readItems(bytes).some((item) => item.kind === "control" && LinkMessage.decode(item.bytes).type === "have");
  trio.world.tamper = (bytes) => (isFrame(bytes) || isHave(bytes) ? undefined : bytes);
  trio.publish("second");
  trio.world.advance(10);
  assert.deepEqual(trio.child.bodies, ["first", "second"]);
  assert.deepEqual(trio.closed(), [Code.stale, Code.stale]);
});

test("regression: a new numbering from one who is no parent any more waits for what it had of the old one", () => {
  const trio = new Trio();
  const { child, parent, parentLink, world } = trio;
  const { head, sealer } = world.hub;
  world.hub.say(child.id, { type: "away", link: parentLink });
  world.run();
  assert.equal(trio.fedBy, trio.standby.id);
  // What the former parent had said by then was still under way. Two of its frames were lost.
  const position = { ...head, offset: head.offset + 2 };
  const begin = { epoch: head.epoch + 1, offset: BEFORE_FIRST };
  const first = sealer.seal(begin, 0, world.now, [{ offset: 0, body: new TextEncoder().encode("new") }]);
  for (const bytes of [LinkMessage.encode({ type: "have", position }), first.bytes]) {
    child.handle({ type: "linkData", link: parentLink, bytes });
  }
  trio.publish("second");
  trio.publish("third");
  world.hub.restart(begin.epoch);
  trio.publish("new");
  world.advance(1);
  assert.deepEqual(child.bodies, ["first", "second", "third", "new"]);
  assert.equal(child.gaps.length, 1, "the one between the numberings");
  assert.equal(trio.fedBy, trio.standby.id);
  assert.deepEqual(parent.bodies, child.bodies);
});
