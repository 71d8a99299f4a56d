/** Which events a piece of code emitted. */
import { kindOf } from "../codec/kind-of.js";
import type { TestEvent } from "./test-event.js";
import type { TestServer } from "./test-server.js";

/** What a piece of code gave, and what was published meanwhile. */
export interface Captured<T> {
  readonly result: T;
  readonly events: TestEvent[];
}

/**
 * Runs a piece of code, and gives its result and exactly the events that were published in a channel meanwhile, in order. What the
 * code leaves to others, and does not wait for, may come too late.
 */
export async function capture<T>(server: TestServer, channel: string, code: () => T): Promise<Captured<Awaited<T>>> {
  checkIsFunction(code);
  const before = await server.head(channel);
  const result = await code();
  const events = await server.events(channel, before, await server.head(channel));
  return { result, events };
}

/** What runs already may have emitted something before. */
function checkIsFunction(code: unknown): void {
  if (typeof code === "function") return;
  const kind = code instanceof Promise ? "a promise" : kindOf(code);
  throw new TypeError(`capture is given ${kind} to run: pass a function, such as () => closeTicket(1234)`);
}
