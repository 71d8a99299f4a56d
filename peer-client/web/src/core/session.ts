/** The session: what a peer and the hub say to each other. */
import {
  Code,
  type Item,
  LIVING_LINKS_MAX,
  type LivingLink,
  PROTOCOL_VERSION,
  ToPeer,
  UnknownMessageError,
  channelId,
  comparePositions,
} from "../codec/index.js";
import { windowOf } from "./config.js";
import { refuse } from "./credit.js";
import { onFrame, onHead } from "./frames.js";
import { Link, bye } from "./link.js";
import { isEqual } from "./bytes.js";
import { openLink } from "./links.js";
import { doubt, standbyOf, turnTo } from "./progress.js";
import { type Outcome, Refusal, type State } from "./state.js";

type Message<T extends ToPeer["type"]> = Extract<ToPeer, { type: T }>;

export function onSessionOpened(state: State): void {
  state.session = "greeting";
  state.sessionInbox.clear();
  state.outbox.clear();
  state.isAnnounced = false;
  state.lastReceived = state.now;
  state.heartbeatUs = state.config.welcomeTimeoutUs;
  state.timers.set({ kind: "session_silent" }, state.now + state.config.welcomeTimeoutUs);
  const { client } = state.config;
  const hello = { type: "hello", id: state.request(), protocol: PROTOCOL_VERSION, client } as const;
  state.pushToHub(state.identity === undefined ? hello : { ...hello, resume: state.identity });
}

export function onSessionItem(state: State, item: Item, isGenuine: boolean): Outcome {
  switch (item.kind) {
    case "frame":
      return onFrame(state, item.frame, "session", isGenuine);
    case "head":
      return onHead(state, item.head, "session", isGenuine);
    case "chunk":
    case "nack":
      throw new Refusal(Code.unexpected);
    case "control": {
      const message = decode(item.bytes);
      if (message !== undefined) onMessage(state, message);
      return "done";
    }
  }
}

/** Nothing for a message of an unknown type: a newer server says what an older peer need not know. */
function decode(bytes: Uint8Array): ToPeer | undefined {
  try {
    return ToPeer.decode(bytes);
  } catch (error) {
    if (error instanceof UnknownMessageError) return undefined;
    throw error;
  }
}

function onMessage(state: State, message: ToPeer): void {
  switch (message.type) {
    case "welcome":
      onWelcome(state, message);
      break;
    case "subscribed":
      onSubscribed(state, message);
      break;
    case "unsubscribed":
    case "pong":
      break;
    case "assign":
      onAssign(state, message);
      break;
    case "expect":
      onExpect(state, message);
      break;
    case "place":
      onPlace(state, message);
      break;
    case "signal":
      if (state.links.has(message.link)) {
        state.outputs.push({ type: "remoteSignal", link: message.link, signal: message.signal });
      }
      break;
    case "lost":
      onLost(state, message);
      break;
    case "away":
      onAway(state, message);
      break;
    case "gap":
      onGap(state, message);
      break;
    case "error":
      onError(state, message);
      break;
    case "ping":
      state.tellHub({ type: "pong", time_us: message.time_us });
      break;
  }
}

function onWelcome(state: State, welcome: Message<"welcome">): void {
  if (state.session === "open") return;
  const earlier = state.identity;
  state.identity = { peer: welcome.peer, token: welcome.resume };
  closeLinksOfEarlierSession(state, earlier?.peer === welcome.peer && areSame(state.keys, welcome.keys));
  state.session = "open";
  learnKeys(state, welcome.keys);
  state.heartbeatUs = welcome.heartbeat_ms * 1000;
  state.headIntervalUs = welcome.head_ms * 1000;
  state.timers.set({ kind: "session_silent" }, state.now + state.heartbeatUs);
  const { peer, server_time_us: serverTimeUs, ice_servers: iceServers } = welcome;
  state.say({ kind: "welcome", peer, serverTimeUs, iceServers });
  for (const [id] of state.subscriptionsInOrder()) askFor(state, id);
}

/**
 * Links that stand outlive a session, if we are still the same to the server and it is the same to us. To another server
 * they are those of strangers.
 */
function closeLinksOfEarlierSession(state: State, isResumed: boolean): void {
  for (const link of [...state.links.keys()].sort((a, b) => a - b)) {
    if (isResumed && living(state, link).length > 0) continue;
    state.outputs.push({ type: "closeLink", link, bye: bye(Code.departed) });
    state.dropLink(link, Code.departed, "nothing");
  }
}

/** What the server is told of a link, if it stands. */
function living(state: State, id: number): LivingLink[] {
  const link = state.links.get(id);
  const role = link === undefined ? undefined : roleOf(state, id, link);
  return link === undefined || role === undefined ? [] : [{ link: id, peer: link.other, role, token: link.token }];
}

/** What the other end of a link that stands is to us. */
function roleOf(state: State, id: number, { channel, end }: Link): LivingLink["role"] | undefined {
  if (end.kind === "serves") return end.service.isHeld ? "held" : "child";
  const subscription = state.subscriptions.get(channel);
  if (end.kind !== "follows" || subscription === undefined) return undefined;
  if (subscription.parent === id) return "parent";
  return subscription.standby === id ? "standby" : undefined;
}

/**
 * The session of a link's other end has ended. If that feeds us, the standby does from now on; where there is none, or it
 * may be gone as well, the links may be well, and then their other ends answer.
 */
function onAway(state: State, { link: id }: Message<"away">): void {
  const link = state.links.get(id);
  if (link?.feeder === undefined) return;
  const subscription = state.subscriptions.get(link.channel);
  if (subscription?.standby === id) {
    // It feeds nobody, so there is no hurry.
    doubt(state, id);
    return;
  }
  const isFeeding = subscription?.parent === id && subscription.stall === undefined;
  const standby = isFeeding ? standbyOf(state, link.channel) : undefined;
  if (standby === undefined) {
    ask(state, id);
  } else if (isAsked(state, standby.link)) {
    ask(state, standby.link);
    ask(state, id);
  } else {
    turnTo(state, link.channel, standby.link, standby.shown);
  }
}

/** Whether a link's other end was asked a while ago whether it is there, and may not be. */
function isAsked({ timers }: State, link: number): boolean {
  return (["link_answer", "link_doubt"] as const).some((kind) => timers.due({ kind, link }) !== undefined);
}

/** Asks one that feeds us or stands by whether it is there. The link ends if nothing comes. */
function ask(state: State, link: number): void {
  const feeder = state.links.get(link)?.feeder;
  if (feeder === undefined) return;
  const patienceUs = Math.max(state.config.linkAnswerUs, 2 * feeder.roundTripUs);
  state.timers.set({ kind: "link_answer", link }, state.now + patienceUs);
  state.tell(link, { type: "ping", time_us: state.now });
}

function areSame(some: readonly Uint8Array[], others: readonly Uint8Array[]): boolean {
  return some.length === others.length && some.every((key, index) => isEqual(key, others[index] ?? new Uint8Array(0)));
}

/**
 * Takes the server's keys. What was signed with earlier ones is good for us, but not for children who know only the
 * new ones.
 */
function learnKeys(state: State, keys: readonly Uint8Array[]): void {
  if (areSame(state.keys, keys)) return;
  state.keys = keys;
  for (const subscription of state.subscriptions.values()) {
    subscription.servesFrom = subscription.position;
    subscription.head = undefined;
    subscription.ahead.clear();
  }
}

/** Asks the server for a channel, from where we are. */
export function askFor(state: State, id: number): void {
  const request = state.request();
  const subscription = state.subscriptions.get(id);
  if (subscription === undefined || state.session !== "open") return;
  subscription.request = request;
  subscription.namedParent = subscription.parent;
  const { channel, since, parent, standby, childrenInOrder } = subscription;
  const { relay } = state;
  const named = [parent, standby, ...childrenInOrder];
  const links = named.flatMap((link) => (link === undefined ? [] : living(state, link))).slice(0, LIVING_LINKS_MAX);
  state.tellHub({
    ...{ type: "subscribe", id: request, channel, since, window_bytes: windowOf(state.config) },
    ...(relay === undefined ? {} : { relay }),
    ...(links.length === 0 ? {} : { links }),
  });
}

function onSubscribed(state: State, subscribed: Message<"subscribed">): void {
  const subscription = state.subscriptions.get(subscribed.channel_id);
  if (subscription?.request !== subscribed.id) return;
  subscription.request = undefined;
  const { namedParent } = subscription;
  subscription.namedParent = undefined;
  subscription.hasAsked = false;
  subscription.unsaidBytes = 0;
  // What comes next comes by itself now.
  if (subscription.stall !== undefined) subscription.stall = { mustAsk: false, refusedBytes: 0 };
  const { channel, position, recovered } = subscribed;
  subscription.start(position, { epoch: position.epoch, offset: subscribed.head }, state.config.log);
  state.say({ kind: "subscribed", channel, position, recovered });
  // The server does not feed us if we named a parent; but that one may have gone meanwhile.
  if (namedParent !== undefined && subscription.parent === undefined) {
    state.askFeed(subscribed.channel_id, namedParent, Code.lost);
  }
}

function onPlace(state: State, { channel, tier }: Message<"place">): void {
  const subscription = state.subscriptions.get(channelId(channel));
  if (subscription === undefined) return;
  subscription.tier = tier;
  state.say({ kind: "placed", channel, tier });
}

function onLost(state: State, { link, code }: Message<"lost">): void {
  if (!state.links.has(link)) return;
  state.outputs.push({ type: "closeLink", link, bye: bye(code) });
  state.dropLink(link, code, "nothing");
}

function onGap(state: State, { channel, from, to, reason }: Message<"gap">): void {
  const id = channelId(channel);
  const subscription = state.subscriptions.get(id);
  const taken = subscription?.taken;
  if (subscription === undefined || taken === undefined) return;
  const reached = taken.log.head;
  if (comparePositions(reached, from) < 0) {
    // Between what we have and the gap lies what the server sent and we did not take.
    state.askAgain(id);
    return;
  }
  // What we have got meanwhile from a parent is not gone. One that goes back is meant for us only if it follows exactly
  // what we have, and takes the whole log: that cannot hold both sides of it.
  if (comparePositions(to, reached) <= 0 && comparePositions(from, reached) !== 0) return;
  const goesBack = comparePositions(to, reached) < 0;
  const bytes = goesBack ? state.config.log.bytes : 0;
  if (!taken.hasRoom(1, bytes)) {
    refuse(state, subscription, bytes);
    return;
  }
  taken.log.jump(to, reason);
  subscription.ahead.clear();
  subscription.hasAsked = false;
  if (goesBack) {
    // They have what is here no more, and find out from the server what that means for them.
    for (const link of subscription.childrenInOrder) state.closeLink(link, Code.unavailable);
  }
  state.announceChildren(subscription);
}

function onError(state: State, { id, code, reason, retry_after_ms: retryAfterMs }: Message<"error">): void {
  const asked = state.subscriptionsInOrder().find(([, { request }]) => id !== undefined && request === id);
  if (asked === undefined) {
    state.say({ kind: "refused", channel: undefined, code, reason, retryAfterMs });
    return;
  }
  const [channel, subscription] = asked;
  if (retryAfterMs !== undefined) {
    state.timers.set({ kind: "subscribe", channel }, state.now + retryAfterMs * 1000);
    return;
  }
  state.forgetSubscription(channel, Code.departed);
  state.say({ kind: "refused", channel: subscription.channel, code, reason, retryAfterMs: undefined });
}

function onAssign(state: State, { channel, link, parent, token, offers, standby, via }: Message<"assign">): void {
  const id = channelId(channel);
  const subscription = state.subscriptions.get(id);
  if (subscription === undefined) return;
  if (subscription.stall !== undefined) {
    state.tellHub({ type: "report", link, code: Code.lagging });
    return;
  }
  const role = standby ? "standby" : "joining";
  const earlier = subscription[role];
  subscription[role] = link;
  if (earlier !== undefined) state.closeLink(earlier, Code.replaced);
  const end = { kind: "awaits_parent" } as const;
  openLink(state, link, new Link(state.now, id, parent, token, end, state.config.outboxBytes), offers, via);
}

function onExpect(state: State, { channel, link, child, token, offers, via }: Message<"expect">): void {
  const id = channelId(channel);
  const subscription = state.subscriptions.get(id);
  if (subscription === undefined) return;
  if (subscription.stall !== undefined) {
    state.tellHub({ type: "report", link, code: Code.lagging });
    return;
  }
  subscription.children.add(link);
  const end = { kind: "awaits_child" } as const;
  openLink(state, link, new Link(state.now, id, child, token, end, state.config.outboxBytes), offers, via);
}

export function onSessionSilent(state: State): void {
  const quiet = state.now - state.lastReceived;
  const patience = state.session === "open" ? state.heartbeatUs * 3 : state.heartbeatUs;
  if (quiet >= patience) {
    state.closeSession(Code.silent, `the server said nothing for ${Math.floor(quiet / 1000)} ms`);
  } else {
    state.timers.set({ kind: "session_silent" }, state.now + state.heartbeatUs);
  }
}
