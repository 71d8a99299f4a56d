/**
 * Progress is the sign of life: a peer that sees that there is more than its parent brings turns to its standby, and if
 * that does not help, pulls what is missing from the server. A parent or standby that stays behind is given up.
 *
 * Who has more than we have is said by the standby (`have`) and by the server (heads on the session). When a parent
 * brings neither frames nor heads for longer than heads take, the server is asked how far the channel is.
 */
import { Code, type Position, comparePositions } from "../codec/index.js";
import type { Feeder } from "./feeder.js";
import type { State, Tell } from "./state.js";
import type { Subscription } from "./subscription.js";

/** A parent that so many times in a row does not bring what it has shown is given up. Unvalidated. */
const BROKEN_PROMISES = 3;

/** A parent of the channel `id` says how far it is: one that we hold, or how far it has sent. */
export function onHave(state: State, id: number, link: number, feeder: Feeder, position: Position): void {
  feeder.says(position);
  const subscription = state.subscriptions.get(id);
  if (subscription?.standby !== link || subscription.parent === undefined) return;
  const { watch } = subscription;
  if (!isBehind(subscription, position)) {
    watch.learn(0);
  } else if (watch.shouldExchange(state.now)) {
    state.stats.exchanges++;
    promote(state, id, link);
  } else {
    leads(state, id, position, state.now + patience(state, subscription));
  }
}

/** For how long the standby may be ahead: what was lost on the parent's link takes more than a round trip to come again. */
export function patience(state: State, subscription: Subscription): number {
  const { leadMinUs, leadMaxUs } = state.config;
  const parent = subscription.parent === undefined ? undefined : feederOf(state, subscription.parent);
  const again = Math.floor(((parent?.roundTripUs ?? 0) * 3) / 2);
  return subscription.watch.patience(Math.min(Math.max(again, leadMinUs), leadMaxUs), leadMaxUs);
}

/**
 * The server says how far the channel is. A parent that has brought nothing for long is late already; but if all who are
 * above us wait for the same, the first of them is to ask for it, and not everybody.
 */
export function onFreshHead(state: State, id: number, position: Position): void {
  const subscription = state.subscriptions.get(id);
  if (subscription === undefined) return;
  const isSilent = subscription.watch.silentAt(state.headIntervalUs) <= state.now;
  const { leadMaxUs, leadTierUs } = state.config;
  const forThoseAboveUs = Math.min(leadTierUs * Math.max(subscription.tier - 2, 0), leadMaxUs);
  const silentUs = Math.floor(leadMaxUs / 2) + forThoseAboveUs;
  leads(state, id, position, state.now + (isSilent ? silentUs : (state.headIntervalUs * 5) / 2));
}

/**
 * Somebody has more than we have. While we are fed by the server, or our application is too slow, that is no fault of a
 * parent's.
 */
export function leads(state: State, id: number, goal: Position, due: number): void {
  const subscription = state.subscriptions.get(id);
  if (subscription === undefined || !isFedByParent(subscription) || !isBehind(subscription, goal)) return;
  state.timers.set({ kind: "lead", channel: id }, subscription.watch.leads(state.now, goal, due));
}

/** What somebody else had has not come. */
export function onLeadDue(state: State, id: number): void {
  const subscription = state.subscriptions.get(id);
  const lead = subscription?.watch.overdue(state.now);
  if (subscription === undefined || lead === undefined) return;
  if (!isFedByParent(subscription) || !isBehind(subscription, lead.goal)) return;
  const { parent } = subscription;
  const standby = lead.isSecond ? undefined : betterStandby(state, subscription);
  if (standby !== undefined) {
    const shown = feederOf(state, parent)?.shown;
    const hasShownIt = shown !== undefined && isBehind(subscription, shown);
    state.stats.swaps++;
    turnTo(state, id, standby, lead.goal);
    if (hasShownIt) onBrokenPromise(state, parent);
    return;
  }
  pull(state, subscription, lead.isSecond);
  if (lead.isSecond) onBrokenPromise(state, parent);
  else askedFor(state, id, parent, lead.goal);
}

/** Somebody was asked for what is missing; it is to be there soon. */
function askedFor(state: State, id: number, parent: number | undefined, goal: Position): void {
  const due = state.now + state.config.hedgeUs + (feederOf(state, parent)?.roundTripUs ?? 0);
  const subscription = state.subscriptions.get(id);
  if (subscription === undefined) return;
  subscription.watch.askedFor(state.now, goal, due);
  state.timers.set({ kind: "lead", channel: id }, due);
}

/**
 * A parent has not brought what it had shown. Once, that is a lost packet; a few times in a row it never had it. Where there
 * is no server to bring it in its place, that says nothing.
 */
function onBrokenPromise(state: State, parent: number | undefined): void {
  const feeder = feederOf(state, parent);
  if (parent === undefined || feeder === undefined || state.session !== "open") return;
  feeder.brokenPromises++;
  if (feeder.brokenPromises >= BROKEN_PROMISES) state.closeLink(parent, Code.stale);
}

/** Asks the server for what is missing; nothing else changes. */
function pull(state: State, { channel, position, ahead }: Subscription, isAll: boolean): void {
  if (position === undefined) return;
  const first = isAll ? undefined : ahead.first;
  state.stats.pulls++;
  state.tellHub({ type: "pull", channel, position, ...(first === undefined ? {} : { to: first }) });
}

/** The standby, if it has more than we have. */
function betterStandby(state: State, subscription: Subscription): number | undefined {
  const { standby } = subscription;
  const feeder = feederOf(state, standby);
  return feeder?.isHeld === true && isBehind(subscription, feeder.shown) ? standby : undefined;
}

/** The standby, if it is up, and how far it has shown to be. */
export function standbyOf(state: State, id: number): { readonly link: number; readonly shown: Position } | undefined {
  const link = state.subscriptions.get(id)?.standby;
  const feeder = feederOf(state, link);
  return link === undefined || feeder === undefined ? undefined : { link, shown: feeder.shown };
}

/** Our parent is gone: the standby takes its place if it is up, else the server. */
export function goOnWithout(state: State, id: number, link: number, code: Code, tell: Tell): void {
  const standby = standbyOf(state, id);
  if (standby === undefined) {
    state.askFeed(id, link, code);
    return;
  }
  if (tell !== "nothing") state.tellHub({ type: "report", link, code });
  turnTo(state, id, standby.link, standby.shown);
}

/** Lets the standby feed us, and looks soon whether it brings what it has shown to have. */
export function turnTo(state: State, id: number, standby: number, goal: Position): void {
  promote(state, id, standby);
  const earlier = state.subscriptions.get(id)?.standby;
  if (earlier !== undefined) doubt(state, earlier);
  askedFor(state, id, standby, goal);
}

/** Lets the standby feed us from now on; who did stands by. */
function promote(state: State, id: number, standby: number): void {
  const subscription = state.subscriptions.get(id);
  const position = subscription?.position;
  if (subscription === undefined || position === undefined) return;
  const earlier = subscription.parent;
  subscription.standby = earlier;
  subscription.parent = undefined;
  if (earlier !== undefined) hold(state, earlier);
  release(state, standby, position);
  follow(state, id, standby);
}

/** A link is our parent from now on. */
export function follow(state: State, id: number, link: number): void {
  const other = state.links.get(link)?.other;
  const subscription = state.subscriptions.get(id);
  if (other === undefined || subscription === undefined) return;
  const { channel, watch } = subscription;
  subscription.parent = link;
  subscription.ahead.forgetEnd();
  watch.swapped(state.now);
  state.timers.set({ kind: "stale", channel: id }, watch.silentAt(state.headIntervalUs));
  state.tellHub({ type: "fed", channel, link });
  state.say({ kind: "parent", channel, parent: other });
}

/** Asks one who brought nothing whether it is there at all. */
export function doubt(state: State, link: number): void {
  state.timers.set({ kind: "link_doubt", link }, state.now + state.config.linkDoubtUs);
  state.tell(link, { type: "ping", time_us: state.now });
}

export function onDoubtDue(state: State, link: number): void {
  const lastReceived = state.links.get(link)?.lastReceived;
  if (lastReceived === undefined || state.now - lastReceived < state.config.linkDoubtUs) return;
  state.closeLink(link, Code.silent);
}

function hold(state: State, link: number): void {
  const feeder = feederOf(state, link);
  if (feeder === undefined) return;
  feeder.isHeld = true;
  state.tell(link, { type: "hold" });
}

/** Lets a parent that was held send what comes after `position`. */
export function release(state: State, link: number, position: Position): void {
  const feeder = feederOf(state, link);
  if (feeder === undefined) return;
  feeder.isHeld = false;
  feeder.unsaidBytes = 0;
  state.tell(link, { type: "send", position });
}

/** Looks whether the parent brings anything, and whether the standby follows the channel. */
export function onStaleDue(state: State, id: number): void {
  const subscription = state.subscriptions.get(id);
  if (subscription?.parent === undefined) return;
  const feeders = [subscription.parent, subscription.standby];
  let due = subscription.watch.silentAt(state.headIntervalUs);
  if (due <= state.now) {
    due = state.now + state.headIntervalUs;
    state.tellHub({ type: "ping", time_us: state.now });
  }
  state.timers.set({ kind: "stale", channel: id }, due);
  for (const feeder of feeders) if (feeder !== undefined) partIfStale(state, subscription, feeder);
}

/** One that stays behind us for good is of no use. */
function partIfStale(state: State, { position, stall }: Subscription, link: number): void {
  if (position === undefined || stall !== undefined) return;
  const lacksFor = feederOf(state, link)?.lacksFor(state.now, position) ?? 0;
  if (lacksFor >= state.headIntervalUs * 3) state.closeLink(link, Code.stale);
}

function isFedByParent({ parent, stall }: Subscription): boolean {
  return parent !== undefined && stall === undefined;
}

/** Whether `goal` is more than we have. */
function isBehind({ position }: Subscription, goal: Position): boolean {
  return position !== undefined && comparePositions(position, goal) < 0;
}

export function feederOf(state: State, link: number | undefined): Feeder | undefined {
  return link === undefined ? undefined : state.links.get(link)?.feeder;
}
