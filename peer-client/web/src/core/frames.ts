/** Frames and heads, from wherever they come: the delivery rule, and what is passed on to the children. */
import { type Frame, type Head, type Position, comparePositions } from "../codec/index.js";
import { countReceived, refuse } from "./credit.js";
import type { Target } from "./peer-types.js";
import { feederOf, onFreshHead } from "./progress.js";
import { isMoreMissing, onAhead } from "./repair.js";
import type { Outcome, State } from "./state.js";
import type { Subscription, Taken } from "./subscription.js";

export function onFrame(state: State, frame: Frame, from: Target, isGenuine: boolean): Outcome {
  const outcome = take(state, frame, from, isGenuine);
  if (outcome === "done") countReceived(state, frame.header.channel, from, frame.bytes.length);
  return outcome;
}

/**
 * Takes a frame if it is what comes next, and what waited for it; keeps it if it has come before its turn. Duplicates are
 * dropped before their signature costs anything.
 */
function take(state: State, frame: Frame, from: Target, isGenuine: boolean): Outcome {
  const subscription = state.subscriptions.get(frame.header.channel);
  const taken = subscription?.taken;
  if (subscription === undefined || taken === undefined) return "done";
  const bytes = frame.bytes.length;
  const missing = missingBefore(subscription, taken, frame, from === "session" ? undefined : feederOf(state, from)?.said);
  const before = missing ?? frame.positionBefore;
  const relation = missing === undefined ? taken.relation(frame) : "ahead";
  if (relation === "duplicate" || (relation === "ahead" && from !== "session" && subscription.ahead.holds(frame, before))) {
    state.stats.duplicates++;
    return "done";
  }
  // The server says `gap` before it begins a new numbering: then this was not ours to take yet.
  if (from === "session" && relation !== "next") {
    state.stats.notTaken++;
    state.askAgain(frame.header.channel);
    return "done";
  }
  if (!isGenuine) return { item: { kind: "frame", frame }, signed: frame.signed(subscription.channel) };
  if (from === "session") state.stats.serverBytes += bytes;
  else state.stats.parentBytes += bytes;
  if (relation === "ahead") {
    onAhead(state, frame.header.channel, subscription, frame, before);
    return "done";
  }
  let next: Frame | undefined = frame;
  while (next !== undefined) next = keep(state, subscription, taken, next, from);
  isMoreMissing(state, frame.header.channel, subscription);
  state.announceChildren(subscription);
  return "done";
}

/**
 * How far something is missing of the old numbering, before a frame that begins a new one. Who brings that has `said` how far it
 * had sent the old one, be it our parent any more or not.
 */
function missingBefore(
  { ahead }: Subscription,
  taken: Taken,
  frame: Frame,
  said: Position | undefined,
): Position | undefined {
  const ours = taken.log.head;
  if (taken.relation(frame) !== "new_epoch") return undefined;
  const isMissing = said !== undefined && isBefore(ours, said) && isBefore(said, frame.positionBefore);
  const lacked = ahead.lacks(ours);
  if (!isMissing) return lacked;
  return lacked !== undefined && isBefore(said, lacked) ? lacked : said;
}

function isBefore(a: Position, b: Position): boolean {
  return comparePositions(a, b) < 0;
}

/** Keeps a frame whose turn it is, if there is room; gives the one that waited for it. */
function keep(state: State, subscription: Subscription, taken: Taken, frame: Frame, from: Target): Frame | undefined {
  const { ahead, watch } = subscription;
  const { log } = taken;
  const { channel, epoch } = frame.header;
  const begins = epoch > log.head.epoch;
  // A new numbering takes a gap as well.
  if (!taken.hasRoom(begins ? 2 : 1, frame.bytes.length)) {
    state.stats.notTaken++;
    ahead.clear();
    refuse(state, subscription, frame.bytes.length);
    return undefined;
  }
  if (begins) log.jump(frame.positionBefore, "epoch");
  log.push(frame);
  subscription.hasAsked = false;
  state.stats.frames++;
  if (from !== "session") watch.progressed(state.now);
  if (watch.reached(state.now, log.head)) state.timers.clear({ kind: "lead", channel });
  return ahead.next(log.head);
}

/**
 * Keeps a head that is newer than the one we know. The server answers all who ask with the same one until there is more: that we
 * know it already does not bring what it shows to be missing.
 */
export function onHead(state: State, head: Head, from: Target, isGenuine: boolean): Outcome {
  const subscription = state.subscriptions.get(head.channel);
  if (subscription === undefined) return "done";
  const known = subscription.head;
  if (known !== undefined && known.timeUs >= head.timeUs) {
    if (from === "session") onFreshHead(state, head.channel, known.position);
    return "done";
  }
  if (!isGenuine) return { item: { kind: "head", head }, signed: head.signed(subscription.channel) };
  subscription.head = head;
  if (from !== "session") subscription.watch.progressed(state.now);
  onFreshHead(state, head.channel, head.position);
  state.announceChildren(subscription);
  return "done";
}
