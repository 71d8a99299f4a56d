/**
 * Repair of losses: on a link what carries frames may lose them, and what comes after them shows that. Then they are asked
 * for again at once, of the parent and of the standby in turn; the transport's own timers take a second.
 */
import { Code, type Frame, type Nack, type Position, comparePositions, encodeNack } from "../codec/index.js";
import { windowOf } from "./config.js";
import type { Link } from "./link.js";
import { feederOf, leads, patience } from "./progress.js";
import { Refusal, type State } from "./state.js";
import type { Subscription } from "./subscription.js";

/** A frame of the channel `id` has come before its turn: `before` is to come before it. */
export function onAhead(state: State, id: number, subscription: Subscription, frame: Frame, before: Position): void {
  if (!subscription.ahead.put(frame, before, windowOf(state.config))) state.stats.notTaken++;
  subscription.watch.progressed(state.now);
  lookForHoles(state, id, state.config.nackWaitUs);
  isMissing(state, id, subscription, before);
}

/** Whoever feeds the channel `id` says how far it has sent. */
export function onTail(state: State, id: number, position: Position): void {
  const subscription = state.subscriptions.get(id);
  const ours = subscription?.position;
  if (subscription === undefined || ours === undefined || comparePositions(ours, position) >= 0) return;
  subscription.ahead.endsAt(position, ours);
  lookForHoles(state, id, 0);
  isMissing(state, id, subscription, position);
}

/** What came for the channel `id` has shown that more is missing. */
export function isMoreMissing(state: State, id: number, subscription: Subscription): void {
  const { position } = subscription;
  const goal = position === undefined ? undefined : subscription.ahead.goal(position);
  if (goal !== undefined) isMissing(state, id, subscription, goal);
}

/** If asking twice does not help, others do. */
function isMissing(state: State, id: number, subscription: Subscription, goal: Position): void {
  const twiceUs = state.config.nackWaitUs + 2 * nackPause(state, subscription);
  leads(state, id, goal, Math.floor(state.now + Math.max(patience(state, subscription), twiceUs)));
}

/** Asks for what is missing after a while, if nothing was about to be asked for sooner. */
function lookForHoles(state: State, channel: number, waitUs: number): void {
  const due = state.now + waitUs;
  const planned = state.timers.due({ kind: "nack", channel });
  if (planned === undefined || due < planned) state.timers.set({ kind: "nack", channel }, due);
}

export function onNackDue(state: State, channel: number): void {
  const subscription = state.subscriptions.get(channel);
  const ours = subscription?.position;
  if (subscription === undefined || ours === undefined) return;
  const pauseUs = nackPause(state, subscription);
  const { ahead } = subscription;
  const due = ahead.ask(state.now, ours, pauseUs);
  for (const [nack, times] of due) askForAgain(state, subscription, nack, times);
  const again = ahead.askAt(pauseUs);
  if (again !== undefined) state.timers.set({ kind: "nack", channel }, again);
  for (const [, times] of due) if (times === 0) onHole(state, subscription);
}

/** Our parent has left a hole. Where there is no server to find us another one, the worst is better than none. */
function onHole(state: State, { parent }: Subscription): void {
  const isTooMuch = feederOf(state, parent)?.leavesHole() ?? false;
  if (parent !== undefined && isTooMuch && state.session === "open") state.closeLink(parent, Code.stale);
}

/** Asks one of those who feed us, or could. */
function askForAgain(state: State, { parent, joining, standby }: Subscription, nack: Nack, times: number): void {
  const shown = feederOf(state, standby)?.shown;
  const canStandby = times % 2 === 1 && shown !== undefined && comparePositions(shown, nack.to) >= 0;
  const id = canStandby ? standby : (parent ?? joining);
  const link = id === undefined ? undefined : state.links.get(id);
  // One that has not answered `join` yet could hear of this before it.
  if (id === undefined || link?.feeder === undefined) return;
  state.stats.nacks++;
  link.repeat(encodeNack(nack));
  state.announce(id, link);
}

/** How long an answer to a nack takes, and a little more; in microseconds, not always whole. */
function nackPause(state: State, { parent }: Subscription): number {
  const roundTripUs = feederOf(state, parent)?.roundTripUs ?? 0;
  return Math.max(state.config.nackMinUs, (roundTripUs * 5) / 4);
}

/** A child has not got what was sent to it. */
export function onNack(state: State, id: number, link: Link, nack: Nack): void {
  if (link.end.kind !== "serves") throw new Refusal(Code.unexpected);
  const log = state.subscriptions.get(link.channel)?.taken?.log;
  if (log === undefined) return;
  const frames = link.end.service.again(state.now, log, nack);
  if (frames === undefined) {
    state.stats.nacksRefused++;
    return;
  }
  const said = frames.filter((frame) => link.repeat(frame));
  state.stats.repeatedFrames += said.length;
  link.end.service.repeats(said.reduce((sum, frame) => sum + frame.length, 0));
  state.announce(id, link);
}
