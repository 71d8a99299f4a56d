import assert from "node:assert/strict";
import { test } from "node:test";
import { Code, LinkMessage, encodeNack, mayBeLost, readItems } from "../codec/index.js";
import { TestPeer, World } from "../testing/world.js";

/** A child with a parent that the server feeds, on a link that may lose messages. */
class Pair {
  readonly world = new World();
  readonly parent = this.world.join();
  readonly child = this.world.join();
  readonly link: number;
  readonly published: string[] = [];

  constructor() {
    this.publish();
    this.link = this.world.hub.assign(this.child.id, this.parent.id);
    this.world.run();
    assert.equal(this.child.peer.parent("builds"), this.parent.id);
  }

  publish(): void {
    const body = `event ${this.published.length}`;
    this.published.push(body);
    this.world.hub.publish(body);
    this.world.run();
  }

  /** Loses what the parent says and may be lost, if so said of it by its number. */
  lose(isLost: (number: number) => boolean): void {
    let number = 0;
    this.world.tamper = (bytes, _link, from) =>
      from === this.parent && mayBeLost(bytes) && isLost(number++) ? undefined : bytes;
  }

  /** What the child asked the server for, beyond what it takes to get here. */
  get asked(): string[] {
    const { heard } = this.world.hub;
    const types = heard.filter(({ session }) => session === this.child.id).map(({ message }) => message.type);
    return types.filter((type) => type === "pull" || type === "feed");
  }

  closed(peer: TestPeer): number[] {
    return peer.statuses.flatMap((status) => (status.kind === "link_lost" ? [status.code] : []));
  }
}

test("what a link loses is asked for again, also when it is the last, and the server hears nothing of it", () => {
  const pair = new Pair();
  pair.lose((number) => number % 8 === 1);
  for (let tenth = 0; tenth < 60; tenth++) {
    pair.publish();
    pair.publish();
    pair.world.advance(0.1);
  }
  pair.lose((number) => number === 0);
  pair.publish();
  pair.world.advance(0.5);
  assert.deepEqual(pair.child.bodies, pair.published);
  const [child, parent] = [pair.child.peer.stats(), pair.parent.peer.stats()];
  assert.ok(child.nacks > 5 && parent.repeatedFrames > 5, `${child.nacks} ${parent.repeatedFrames}`);
  assert.deepEqual([pair.asked, child.swaps, pair.closed(pair.child)], [[], 0, []]);
});

test("frames that come in another order are given in theirs, whenever their signatures have been checked", () => {
  const pair = new Pair();
  const held: Uint8Array[] = [];
  pair.world.tamper = (bytes, _link, from) => {
    if (from === pair.parent && mayBeLost(bytes)) held.push(bytes);
    return undefined;
  };
  for (let index = 0; index < 5; index++) pair.publish();
  pair.child.verifiesAtOnce = false;
  for (const bytes of held.reverse()) pair.child.handle({ type: "linkData", link: pair.link, bytes });
  for (let index = 0; index < 5; index++) {
    assert.deepEqual(pair.child.bodies, ["event 0"]);
    pair.child.verifyNext();
  }
  assert.deepEqual(pair.child.bodies, pair.published);
  assert.deepEqual([pair.child.peer.stats().nacks, pair.child.verifying.length], [0, 0]);
});

test("a new numbering waits for what was lost of the old one", () => {
  const pair = new Pair();
  pair.lose((number) => number === 0);
  pair.publish();
  pair.world.hub.restart(2);
  pair.publish();
  assert.deepEqual(pair.child.bodies, ["event 0"]);
  pair.world.advance(0.1);
  assert.deepEqual(pair.child.bodies, pair.published);
  assert.deepEqual(pair.child.gaps.map((gap) => gap.kind === "gap" && gap.reason), ["epoch"]);
});

test("only children are given something again", () => {
  const nack = encodeNack({ after: { epoch: 1, offset: -1 }, to: { epoch: 1, offset: 0 } });
  const pair = new Pair();
  pair.child.handle({ type: "linkData", link: pair.link, bytes: nack });
  assert.deepEqual(pair.closed(pair.child), [Code.unexpected]);
  pair.parent.handle({ type: "sessionData", bytes: nack });
  assert.deepEqual(pair.parent.closed.map(({ code }) => code), [Code.unexpected]);
});

test("a child that is held is given what it asks for, and not more than a message holds", () => {
  const pair = new Pair();
  for (let index = 0; index < 9; index++) {
    pair.world.hub.publish("x".repeat(3_000));
    pair.world.run();
  }
  const { link } = pair;
  pair.parent.handle({ type: "linkData", link, bytes: LinkMessage.encode({ type: "hold" }) });
  pair.world.sent.clear();
  const [after, to] = [{ epoch: 1, offset: 0 }, { epoch: 1, offset: 9 }];
  pair.parent.handle({ type: "linkData", link, bytes: encodeNack({ after, to }) });
  const kinds = (pair.world.sent.get(link) ?? []).flatMap(readItems).map(({ kind }) => kind);
  assert.deepEqual(kinds, Array<string>(5).fill("frame"));
  assert.equal(pair.parent.peer.stats().repeatedFrames, 5);
});

test("frames that overtake the answer to `join` harm nobody, and come again", () => {
  const world = new World();
  const [parent, child] = [world.join(), world.join()];
  let joined: Uint8Array | undefined;
  world.tamper = (bytes, _link, from) => {
    if (from !== parent || joined !== undefined || mayBeLost(bytes)) return bytes;
    joined = bytes;
    return undefined;
  };
  const link = world.hub.assign(child.id, parent.id);
  world.run();
  world.hub.publish("first");
  world.run();
  assert.ok(joined !== undefined);
  child.handle({ type: "linkData", link, bytes: joined });
  world.hub.publish("second");
  world.run();
  world.advance(0.2);
  assert.deepEqual(child.bodies, ["first", "second"]);
  assert.equal(child.peer.parent("builds"), parent.id);
});

test("regression: a parent that has not answered yet is asked for nothing", () => {
  const pair = new Pair();
  const { world, child } = pair;
  const next = world.join();
  pair.lose((number) => number === 0);
  pair.publish();
  pair.publish();
  world.openEnd = () => undefined;
  const link = world.hub.assign(child.id, next.id);
  world.run();
  // The server does not hear at once that the parent has gone.
  world.hub.receive = () => undefined;
  child.handle({ type: "linkClosed", link: pair.link });
  world.advance(0.1);
  assert.deepEqual([world.sent.get(link), child.peer.stats().nacks], [undefined, 0]);
});

test("regression: a head that is known already still shows what is missing", () => {
  const pair = new Pair();
  const { world, child } = pair;
  const { hub } = world;
  pair.lose(() => true);
  pair.publish();
  const inAnHour = world.now + 3_600_000_000;
  child.handle({ type: "sessionData", bytes: hub.sealer.head(hub.head, inAnHour).bytes });
  const receive = hub.receive.bind(hub);
  hub.receive = () => undefined;
  world.advance(4);
  assert.deepEqual([child.bodies, child.peer.stats().pulls], [["event 0"], 2]);
  hub.receive = receive;
  world.advance(3);
  assert.deepEqual(child.bodies, pair.published);
});
