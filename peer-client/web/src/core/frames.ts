/** Frames and heads, from wherever they come: the delivery rule, and what is passed on to the children. */
import { Code, type Frame, type Head } from "../codec/index.js";
import { countReceived, refuse } from "./credit.js";
import type { Target } from "./peer-types.js";
import { onFreshHead } from "./progress.js";
import { type Outcome, Refusal, type State } from "./state.js";

/** Takes a frame if it is what comes next. */
export function onFrame(state: State, frame: Frame, from: Target, isGenuine: boolean): Outcome {
  const outcome = take(state, frame, from, isGenuine);
  if (outcome === "done") countReceived(state, frame.header.channel, from, frame.bytes.length);
  return outcome;
}

/** Duplicates are dropped before their signature costs anything. */
function take(state: State, frame: Frame, from: Target, isGenuine: boolean): Outcome {
  const subscription = state.subscriptions.get(frame.header.channel);
  const taken = subscription?.taken;
  if (subscription === undefined || taken === undefined) return "done";
  const bytes = frame.bytes.length;
  const relation = taken.relation(frame);
  if (relation === "duplicate") {
    state.stats.duplicates++;
    return "done";
  }
  // The server says `gap` before it begins a new numbering: then this was not ours to take yet.
  if (from === "session" && relation !== "next") {
    state.stats.notTaken++;
    state.askAgain(frame.header.channel);
    return "done";
  }
  if (relation === "ahead") {
    state.stats.notTaken++;
    throw new Refusal(Code.unavailable);
  }
  if (!isGenuine) return { item: { kind: "frame", frame }, signed: frame.signed(subscription.channel) };
  // A new numbering takes a gap as well.
  const entries = relation === "new_epoch" ? 2 : 1;
  if (!taken.hasRoom(entries, bytes)) {
    state.stats.notTaken++;
    refuse(state, subscription, bytes);
    return "done";
  }
  if (relation === "new_epoch") taken.log.jump(frame.positionBefore, "epoch");
  taken.log.push(frame);
  subscription.hasAsked = false;
  state.stats.frames++;
  if (from === "session") {
    state.stats.serverBytes += bytes;
  } else {
    state.stats.parentBytes += bytes;
    const link = state.links.get(from);
    if (link !== undefined) link.frameBytes += bytes;
    subscription.watch.progressed(state.now);
  }
  const { channel } = frame.header;
  if (subscription.watch.reached(state.now, taken.log.head)) state.timers.clear({ kind: "lead", channel });
  state.announceChildren(subscription);
  return "done";
}

/** Keeps a head that is newer than the one we know. */
export function onHead(state: State, head: Head, from: Target, isGenuine: boolean): Outcome {
  const subscription = state.subscriptions.get(head.channel);
  if (subscription === undefined) return "done";
  if (subscription.head !== undefined && subscription.head.timeUs >= head.timeUs) return "done";
  if (!isGenuine) return { item: { kind: "head", head }, signed: head.signed(subscription.channel) };
  subscription.head = head;
  if (from !== "session") subscription.watch.progressed(state.now);
  onFreshHead(state, head.channel, head.position);
  state.announceChildren(subscription);
  return "done";
}
