/**
 * What a peer tells those who feed it: how far it is, after every quarter of the window that they have; and nothing while
 * its application is too slow, so that they wait.
 */
import { Code } from "../codec/index.js";
import { windowOf } from "./config.js";
import type { Target } from "./peer-types.js";
import type { State } from "./state.js";
import type { Subscription } from "./subscription.js";

/** Counts what came, taken or not: the sender counts the same. */
export function countReceived(state: State, id: number, from: Target, bytes: number): void {
  const subscription = state.subscriptions.get(id);
  const receipt = receiptOf(state, id, from);
  if (subscription === undefined || receipt === undefined) return;
  receipt.unsaidBytes += bytes;
  const isDue = receipt.unsaidBytes >= Math.floor(windowOf(state.config) / 4);
  if (!isDue || subscription.stall !== undefined) return;
  if (subscription.taken?.isBehind === true) stall(state, subscription);
  else sayAt(state, id, from);
}

/** There is no room for what came, of so many bytes: it has to come once more. */
export function refuse(state: State, subscription: Subscription, bytes: number): void {
  const { refusedBytes } = stall(state, subscription);
  subscription.stall = { mustAsk: true, refusedBytes: Math.max(refusedBytes, bytes) };
  if (subscription.parent !== undefined) state.closeLink(subscription.parent, Code.lagging);
}

/** Goes on once the application has caught up. */
export function endStall(state: State, id: number): void {
  const subscription = state.subscriptions.get(id);
  const { stall, taken } = subscription ?? {};
  if (subscription === undefined || stall === undefined || taken === undefined) return;
  if (!taken.hasCaughtUp || !taken.hasRoom(2, stall.refusedBytes)) return;
  subscription.stall = undefined;
  if (subscription.parent !== undefined) sayAt(state, id, subscription.parent);
  if (stall.mustAsk) state.askFeed(id, undefined, Code.lagging);
  else sayAt(state, id, "session");
}

/**
 * The application is too slow: the children have to go elsewhere, and so has who was about to be our parent. Who feeds us
 * now waits.
 */
function stall(state: State, subscription: Subscription): NonNullable<Subscription["stall"]> {
  if (subscription.stall !== undefined) return subscription.stall;
  subscription.stall = { mustAsk: false, refusedBytes: 0 };
  state.stats.stalls++;
  state.closeLinks([...subscription.childrenInOrder, subscription.joining, subscription.standby], Code.lagging);
  return subscription.stall;
}

function sayAt(state: State, id: number, to: Target): void {
  const subscription = state.subscriptions.get(id);
  const position = subscription?.position;
  if (subscription === undefined || position === undefined) return;
  const receipt = receiptOf(state, id, to);
  if (receipt !== undefined) receipt.unsaidBytes = 0;
  if (to === "session") state.tellHub({ type: "at", channel: subscription.channel, position });
  else state.tell(to, { type: "at", position });
}

/** Where is counted what came from one who feeds us. */
function receiptOf(state: State, id: number, from: Target): { unsaidBytes: number } | undefined {
  return from === "session" ? state.subscriptions.get(id) : state.links.get(from)?.feeder;
}
