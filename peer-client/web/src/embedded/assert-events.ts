/** Whether events are those that a test expects, and how they differ. */
import assert from "node:assert/strict";
import { kindOf } from "../codec/kind-of.js";

/** An event as `capture` gives it, or as a client of ours has received it. */
export interface ComparedEvent {
  readonly routingKey: string;
  readonly body: Uint8Array;
}

/**
 * Asserts that events have these routing keys and bodies, in this order: bodies as JSON, as a text where they are no JSON, or as
 * bytes where they are neither. Throws Node's `AssertionError`, which shows the difference, and a `TypeError` where one of the two
 * is no list.
 */
export function assertEvents(
  events: Iterable<ComparedEvent>,
  expected: Iterable<readonly [routingKey: string, body: unknown]>,
): void {
  checkIsList(events, "events", "pass the `events` of what `capture` gives, or another list of events");
  checkIsList(expected, "expected events", 'pass the expected events as a list: [["ticket.1234.closed", { by: "me" }]]');
  const got = Array.from(events, ({ routingKey, body }) => [routingKey, valueOf(body)]);
  assert.deepEqual(got, Array.from(expected, (line) => [...line]));
}

/** `Array.from` takes an object that is no list for an empty one. */
function checkIsList(list: unknown, what: string, fix: string): void {
  if (typeof list === "object" && list !== null && Symbol.iterator in list) return;
  throw new TypeError(`the ${what} that assertEvents is given are ${kindOf(list)}, which is no list: ${fix}`);
}

function valueOf(body: Uint8Array): unknown {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(body);
  } catch {
    return body;
  }
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}
