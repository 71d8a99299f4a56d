/** A stream of events that is published while something happens, and what everybody must have been given of it. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import type { Message, Published, Server } from "./server.js";
import type { EventItem, Subscriber } from "./subscriber.js";

/** What one subscriber was given, or should have been, as far as it can be compared. */
function comparable(event: Published | EventItem): Record<string, unknown> {
  return {
    position: event.position,
    routingKey: event.routingKey,
    contentType: event.contentType,
    messageId: event.messageId,
    timestamp: event.timestamp,
    headers: { ...event.headers },
    bytes: event.body.length,
  };
}

/** The `number`th event: every other body is text, the rest are bytes that are no text at all. */
export function sample(number: number, bytes = 64 + (number % 7) * 150): Message {
  if (number % 2 === 0) return { body: Buffer.from(`event ${number} äöü `.padEnd(bytes, "x"), "utf8") };
  return { body: Buffer.concat([Buffer.from([0xff, 0x00, number & 0xff]), randomBytes(bytes)]) };
}

export class Stream {
  readonly published: Published[] = [];
  /** When each was sent off, by its position and the tests' clock. */
  readonly sentMs = new Map<string, number>();
  readonly #server: Server;

  constructor(server: Server) {
    this.#server = server;
  }

  async publish(message: Message): Promise<void> {
    const sentMs = performance.now();
    const published = await this.#server.publish(message);
    this.published.push(published);
    this.sentMs.set(published.position, sentMs);
  }

  /** How long after it was sent off an event came. */
  lateMs({ position, atMs }: EventItem): number {
    return atMs - (this.sentMs.get(position) ?? atMs);
  }

  /** Publishes `count` events one after the other, as fast as the server takes them or at `perS` a second. */
  async run(count: number, perS = Infinity): Promise<void> {
    const startMs = performance.now();
    for (let index = 0; index < count; index++) {
      const waitMs = startMs + (index * 1_000) / perS - performance.now();
      if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
      await this.publish(sample(this.published.length));
    }
  }

  /** Waits until everybody has all events; then nobody may have anything else, or in another order. */
  async expectAt(...subscribers: readonly Subscriber[]): Promise<void> {
    for (const subscriber of subscribers) {
      await subscriber.has(this.published.length);
      assert.deepEqual(subscriber.gaps, [], `${subscriber.name} has gaps`);
      expectSame(subscriber.name, subscriber.events, this.published);
    }
  }
}

/** The same events in the same order, byte for byte. */
export function expectSame(who: string, given: readonly EventItem[], published: readonly Published[]): void {
  const seen = new Set<string>();
  const repeated: string[] = [];
  for (const { position } of given) {
    if (seen.has(position)) repeated.push(position);
    seen.add(position);
  }
  assert.deepEqual(repeated, [], `${who} was given events twice`);
  const missing = published.map(({ position }) => position).filter((position) => !seen.has(position));
  assert.deepEqual(missing, [], `${who} misses events`);
  for (const [index, expected] of published.entries()) {
    const event = given[index];
    assert.ok(event !== undefined);
    assert.deepEqual(comparable(event), comparable(expected), `${who}: event ${index}`);
    assert.ok(event.body.equals(expected.body), `${who}: the body of event ${index} was changed`);
  }
  assert.equal(given.length, published.length, `${who} was given events that nobody published`);
}

/** Everything before, one gap of a new numbering, everything after. The gap comes after `before` events. */
export async function expectAcrossEpochs(subscriber: Subscriber, published: readonly Published[], before: number): Promise<void> {
  await subscriber.has(published.length);
  expectSame(subscriber.name, subscriber.events, published);
  const [gap, ...others] = subscriber.gaps;
  assert.deepEqual(others, [], `${subscriber.name} has one gap`);
  assert.ok(gap !== undefined, `${subscriber.name} was told of the new numbering`);
  assert.equal(gap.reason, "epoch");
  assert.equal(gap.from, published[before - 1]?.position);
  assert.equal(epochOf({ position: gap.to }), epochOf(published[before]));
  assert.equal(subscriber.items.indexOf(gap), before, `${subscriber.name} was told of the gap where it is`);
}

/** The numbering of a position: positions are EPOCH-OFFSET. */
export function epochOf(at: { readonly position: string } | undefined): string {
  if (at === undefined) throw new Error("there is no such event");
  return at.position.slice(0, at.position.indexOf("-"));
}
