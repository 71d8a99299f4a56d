/** Whether events are those that a test expects, and how they differ. */
import assert from "node:assert/strict";

/** An event as `capture` gives it, or as a client of ours has received it. */
export interface ComparedEvent {
  readonly routingKey: string;
  readonly body: Uint8Array;
}

/**
 * Asserts that events have these routing keys and bodies, in this order: bodies as JSON, as a text where they are no JSON, or as
 * bytes where they are neither. Throws Node's `AssertionError`, which shows the difference.
 */
export function assertEvents(
  events: Iterable<ComparedEvent>,
  expected: Iterable<readonly [routingKey: string, body: unknown]>,
): void {
  const got = Array.from(events, ({ routingKey, body }) => [routingKey, valueOf(body)]);
  assert.deepEqual(got, Array.from(expected, (line) => [...line]));
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
