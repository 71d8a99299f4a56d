/** Links: how a child joins and follows its parent, and how a parent serves its child. */
import {
  Code,
  type Frame,
  type Item,
  LinkMessage,
  UnknownMessageError,
  comparePositions,
} from "../codec/index.js";
import { isEqual } from "./bytes.js";
import { windowOf } from "./config.js";
import { Feeder } from "./feeder.js";
import { onFrame, onHead } from "./frames.js";
import type { Link } from "./link.js";
import { follow, onHave } from "./progress.js";
import { onNack, onTail } from "./repair.js";
import { type Serve, Service } from "./service.js";
import { type Outcome, Refusal, type State } from "./state.js";

type Message<T extends LinkMessage["type"]> = Extract<LinkMessage, { type: T }>;

export function openLink(state: State, id: number, link: Link, offers: boolean, via: number | undefined): void {
  state.links.set(id, link);
  state.timers.set({ kind: "link_setup", link: id }, state.now + state.config.linkSetupUs);
  state.outputs.push({ type: "openLink", link: id, offers, via });
}

export function onLinkOpened(state: State, id: number): void {
  const link = state.links.get(id);
  if (link === undefined) return;
  link.lastReceived = state.now;
  link.lastSent = state.now;
  state.timers.set({ kind: "link_heartbeat", link: id }, state.now + state.config.linkHeartbeatUs);
  if (link.end.kind === "awaits_child") {
    link.end = { kind: "awaits_join" };
  } else if (link.end.kind === "awaits_parent") {
    joinParent(state, id, link);
  }
}

/** Says to a parent who we are and where we are. One that is to stand by sends nothing for now. */
function joinParent(state: State, id: number, link: Link): void {
  const { token, channel } = link;
  const subscription = state.subscriptions.get(channel);
  const position = subscription?.position;
  if (position === undefined) {
    state.closeLink(id, Code.unexpected);
    return;
  }
  const hold = subscription?.standby === id;
  link.end = { kind: "joins", asked: state.now, hold };
  state.tell(id, { type: "join", token, channel, position, window_bytes: windowOf(state.config), hold });
}

export function onLinkItem(state: State, id: number, link: Link, item: Item, isGenuine: boolean): Outcome {
  if (item.kind === "control") {
    const message = decode(item.bytes);
    if (message !== undefined) onMessage(state, id, link, message);
    return "done";
  }
  if (item.kind === "nack") {
    onNack(state, id, link, item.nack);
    return "done";
  }
  // The answer to `join` was overtaken.
  if (item.kind !== "chunk" && link.end.kind === "joins") return "done";
  if (link.end.kind !== "follows") throw new Refusal(Code.unexpected);
  switch (item.kind) {
    case "frame":
      return onLinkFrame(state, id, link, item.frame, isGenuine);
    case "head":
      if (link.channel !== item.head.channel) throw new Refusal(Code.unexpected);
      return onHead(state, item.head, id, isGenuine);
    case "chunk": {
      const frame = link.assemble(item.part, item.isLast);
      return frame === undefined ? "done" : onLinkFrame(state, id, link, frame, false);
    }
  }
}

function onLinkFrame(state: State, id: number, link: Link, frame: Frame, isGenuine: boolean): Outcome {
  if (link.channel !== frame.header.channel) throw new Refusal(Code.unexpected);
  const { frames, parentBytes } = state.stats;
  const outcome = onFrame(state, frame, id, isGenuine);
  if (outcome === "done") {
    if (link.feeder !== undefined) {
      link.feeder.shows(frame.position);
      if (state.stats.parentBytes > parentBytes) link.feeder.brings();
      if (state.stats.frames > frames) link.feeder.brokenPromises = 0;
    }
    checkGoal(state, id, link);
  }
  return outcome;
}

/** Nothing for a message of an unknown type. */
function decode(bytes: Uint8Array): LinkMessage | undefined {
  try {
    return LinkMessage.decode(bytes);
  } catch (error) {
    if (error instanceof UnknownMessageError) return undefined;
    throw error;
  }
}

function onMessage(state: State, id: number, link: Link, message: LinkMessage): void {
  switch (message.type) {
    case "ping":
      state.tell(id, { type: "pong", time_us: message.time_us });
      break;
    case "pong":
      break;
    case "bye":
      state.outputs.push({ type: "closeLink", link: id, bye: undefined });
      state.dropLink(id, message.code, "other_ended");
      break;
    case "join":
      onJoin(state, id, link, message);
      break;
    case "joined":
      onJoined(state, id, link, message);
      break;
    case "have":
      if (link.feeder === undefined) throw new Refusal(Code.unexpected);
      if (!link.feeder.isHeld) onTail(state, link.channel, message.position);
      onHave(state, link.channel, id, link.feeder, message.position);
      break;
    case "at":
    case "send":
    case "hold":
      onChildMessage(state, id, link, message);
      break;
  }
}

/** A child that is being served says how far it is, or whether it wants frames. */
function onChildMessage(state: State, id: number, link: Link, message: Message<"at" | "send" | "hold">): void {
  if (link.end.kind !== "serves") throw new Refusal(Code.unexpected);
  const { service } = link.end;
  const log = state.subscriptions.get(link.channel)?.taken?.log;
  if (message.type === "hold") {
    if (log !== undefined) service.hold(state.now, log.head);
    return;
  }
  if (message.type === "send") {
    if (log !== undefined && !service.mayGoBack(log, message.position)) throw new Refusal(Code.lagging);
    service.release(message.position);
  } else if (log !== undefined) service.acknowledge(log, message.position);
  state.announce(id, link);
}

function onJoin(state: State, id: number, link: Link, join: Message<"join">): void {
  if (link.end.kind !== "awaits_join") throw new Refusal(Code.unexpected);
  const isExpected = join.channel === link.channel && isEqual(join.token, link.token);
  if (!isExpected) throw new Refusal(Code.bad_token);
  const subscription = state.subscriptions.get(link.channel);
  const position = subscription?.position;
  if (subscription === undefined || position === undefined) throw new Refusal(Code.unavailable);
  if (subscription.stall !== undefined) throw new Refusal(Code.lagging);
  const { servesFrom } = subscription;
  if (servesFrom !== undefined && comparePositions(join.position, servesFrom) < 0) throw new Refusal(Code.unavailable);
  state.timers.clear({ kind: "link_setup", link: id });
  const service = new Service(join.position, join.window_bytes, state.config.againBytes);
  if (join.hold) service.hold(state.now, position);
  link.end = { kind: "serves", service };
  state.say({ kind: "children", channel: subscription.channel, count: state.countChildren(link.channel) });
  state.tell(id, { type: "joined", position });
}

/** The parent has answered. */
function onJoined(state: State, id: number, link: Link, { position }: Message<"joined">): void {
  if (link.end.kind !== "joins") throw new Refusal(Code.unexpected);
  const { asked, hold } = link.end;
  const subscription = state.subscriptions.get(link.channel);
  const ours = subscription?.position;
  if (ours === undefined) return;
  state.timers.clear({ kind: "link_setup", link: id });
  link.end = { kind: "follows", feeder: new Feeder(position, ours, hold, state.now - asked) };
  checkGoal(state, id, link);
}

/** Lets a link that has caught us up become our parent. */
function checkGoal(state: State, id: number, link: Link): void {
  const subscription = state.subscriptions.get(link.channel);
  const position = subscription?.position;
  if (subscription?.joining !== id || position === undefined) return;
  if (link.feeder?.hasCaughtUp(position) !== true) return;
  const earlier = subscription.parent;
  subscription.joining = undefined;
  subscription.parent = undefined;
  follow(state, link.channel, id);
  if (earlier !== undefined) state.closeLink(earlier, Code.replaced);
}

/** The next message for the other end of a link. */
export function pollLink(state: State, id: number): Uint8Array | undefined {
  const link = state.links.get(id);
  if (link === undefined) return undefined;
  const message = link.pop();
  if (message !== undefined) {
    link.lastSent = state.now;
    return message;
  }
  const subscription = state.subscriptions.get(link.channel);
  if (link.end.kind !== "serves" || subscription?.taken === undefined) return undefined;
  const { taken, head } = subscription;
  return serve(state, id, link, link.end.service.next(state.now, taken.log, head, state.config.have));
}

/** Does what there is to do for a child; gives the message for it, if there is one. */
function serve(state: State, id: number, link: Link, next: Serve): Uint8Array | undefined {
  switch (next.kind) {
    case "send":
      link.lastSent = state.now;
      link.frameBytes += next.frameBytes;
      state.stats.relayedFrames += next.frames;
      state.stats.relayedBytes += next.frameBytes;
      return next.bytes;
    case "say":
      link.lastSent = state.now;
      return LinkMessage.encode({ type: "have", position: next.position });
    case "later":
      state.timers.set({ kind: "have", link: id }, next.due);
      return undefined;
    case "unavailable":
      state.closeLink(id, Code.unavailable);
      return undefined;
    case "nothing":
      return undefined;
  }
}

export function onLinkHeartbeat(state: State, id: number): void {
  const link = state.links.get(id);
  if (link === undefined) return;
  const { linkHeartbeatUs } = state.config;
  if (state.now - link.lastReceived >= linkHeartbeatUs * 3) {
    state.closeLink(id, Code.silent);
    return;
  }
  state.timers.set({ kind: "link_heartbeat", link: id }, state.now + linkHeartbeatUs);
  if (state.now - link.lastSent >= linkHeartbeatUs) state.tell(id, { type: "ping", time_us: state.now });
}
