/** What the parts of a peer have in common: its state, what it says, and how links and sessions end. */
import {
  type Code,
  Code as Codes,
  type Item,
  LinkMessage,
  type SignedMessage,
  ToHub,
  codeName,
} from "../codec/index.js";
import { type PeerConfig, windowOf } from "./config.js";
import { Inbox } from "./inbox.js";
import { type Link, bye } from "./link.js";
import { Outbox } from "./outbox.js";
import type { Output, Status } from "./peer-types.js";
import { noStats } from "./stats.js";
import type { Subscription } from "./subscription.js";
import { Timers } from "./timers.js";

/** Thrown where what a remote said ends its session or link. */
export class Refusal extends Error {
  override readonly name = "Refusal";
  readonly code: Code;

  constructor(code: Code, reason = codeName(code).replaceAll("_", " ")) {
    super(reason);
    this.code = code;
  }
}

/**
 * What the hub is told of the end of a link: nothing, as it knows; what we saw ourselves; or that the other end closed
 * the link and said why. What it holds against us it tells the hub itself: said by us, it would look as if we held it
 * against the other.
 */
export type Tell = "nothing" | "why" | "other_ended";

/** How the channel `id` goes on without the link that was its parent, which ended with this code. */
export type GoOnWithout = (state: State, id: number, link: number, code: Code, tell: Tell) => void;

/** Deadlines that end with their link. */
const LINK_TIMERS = ["link_setup", "link_heartbeat", "link_answer", "link_doubt", "have"] as const;
/** Deadlines that end with their subscription. */
const CHANNEL_TIMERS = ["subscribe", "lead", "nack", "stale"] as const;

const HEARSAY: readonly Code[] = [Codes.malformed, Codes.bad_signature, Codes.lagging];

/** What became of an item: it is done with, or can go on only when its signature has been checked. */
export type Outcome = "done" | { readonly item: Item; readonly signed: SignedMessage };

export class State {
  readonly config: PeerConfig;
  /** What the peer does for others now. */
  relay: PeerConfig["relay"];
  session: "closed" | "greeting" | "open" = "closed";
  /** Who we are in the mesh, once the server has said so: shown to it when we come back. */
  identity: { readonly peer: number; readonly token: Uint8Array } | undefined;
  readonly sessionInbox = new Inbox();
  readonly outbox: Outbox;
  /** Whether the driver was told that there is something for the session. */
  isAnnounced = false;
  lastReceived = 0;
  heartbeatUs: number;
  /** A channel without frames says this often how far it is. */
  headIntervalUs = 1_000_000;
  keys: readonly Uint8Array[] = [];
  /** By channel id. */
  readonly subscriptions = new Map<number, Subscription>();
  readonly links = new Map<number, Link>();
  readonly timers = new Timers();
  readonly outputs: Output[] = [];
  readonly stats = noStats();
  now = 0;
  readonly #goOnWithout: GoOnWithout;
  #requests = 0;

  constructor(config: PeerConfig, goOnWithout: GoOnWithout) {
    this.#goOnWithout = goOnWithout;
    this.config = config;
    this.relay = config.relay;
    this.outbox = new Outbox(config.outboxBytes);
    this.heartbeatUs = config.welcomeTimeoutUs;
  }

  /** The subscriptions by their channel's number, in order: what is done for each is done in the same order everywhere. */
  subscriptionsInOrder(): [number, Subscription][] {
    return [...this.subscriptions].sort(([a], [b]) => a - b);
  }

  /** The number of a new request. */
  request(): number {
    return ++this.#requests;
  }

  say(status: Status): void {
    this.outputs.push({ type: "status", status });
  }

  /**
   * Says something to the hub, if it is there to hear it. What it has to know after a reconnect is said by
   * subscribing again.
   */
  tellHub(message: ToHub): void {
    if (this.session === "open") this.pushToHub(message);
  }

  pushToHub(message: ToHub): void {
    if (!this.outbox.tryPush(ToHub.encode(message))) {
      this.closeSession(Codes.slow, "control messages are not being read");
    } else if (!this.isAnnounced) {
      this.isAnnounced = true;
      this.outputs.push({ type: "transmit", target: "session" });
    }
  }

  closeSession(code: Code, reason: string): void {
    this.forgetSession();
    this.outputs.push({ type: "closeSession", code, reason });
  }

  forgetSession(): void {
    this.session = "closed";
    this.sessionInbox.clear();
    this.outbox.clear();
    this.timers.clear({ kind: "session_silent" });
    for (const [channel, subscription] of this.subscriptions) {
      subscription.request = undefined;
      this.timers.clear({ kind: "subscribe", channel });
    }
  }

  /** Asks the server to feed a subscription from where we are. */
  askFeed(id: number, link: number | undefined, code: Code): void {
    const subscription = this.subscriptions.get(id);
    const position = subscription?.position;
    // A request under way says where we are, too, and so does the first one of the next session.
    const mayAsk = subscription?.request === undefined && this.session === "open";
    if (subscription === undefined || position === undefined || !mayAsk) return;
    subscription.hasAsked = true;
    subscription.unsaidBytes = 0;
    this.stats.feeds++;
    const { channel } = subscription;
    const failed = link === undefined ? {} : { link };
    this.tellHub({ type: "feed", channel, position, window_bytes: windowOf(this.config), ...failed, code });
  }

  /**
   * Asks the server to feed a subscription that did not take what it sent. Asks once until something is taken, and
   * not while the application is too slow: the end of that asks.
   */
  askAgain(id: number): void {
    const subscription = this.subscriptions.get(id);
    if (subscription?.stall !== undefined) subscription.stall = { ...subscription.stall, mustAsk: true };
    else if (subscription?.hasAsked === false) this.askFeed(id, undefined, Codes.unavailable);
  }

  /** Says something to the other end of a link. */
  tell(link: number, message: LinkMessage): void {
    const state = this.links.get(link);
    if (state === undefined) return;
    if (state.outbox.tryPush(LinkMessage.encode(message))) this.announce(link, state);
    else this.closeLink(link, Codes.slow);
  }

  /** Tells the driver once that there is something for a link. */
  announce(link: number, state: Link): void {
    if (state.isAnnounced) return;
    state.isAnnounced = true;
    this.outputs.push({ type: "transmit", target: link });
  }

  announceChildren(subscription: Subscription): void {
    for (const link of subscription.childrenInOrder) {
      const state = this.links.get(link);
      if (state?.end.kind === "serves") this.announce(link, state);
    }
  }

  /** How many children are being served. */
  countChildren(id: number): number {
    return [...this.links.values()].filter((link) => link.channel === id && link.end.kind === "serves").length;
  }

  /** Closes a link of our own accord. */
  closeLink(link: number, code: Code): void {
    if (!this.links.has(link)) return;
    this.outputs.push({ type: "closeLink", link, bye: bye(code) });
    this.dropLink(link, code, "why");
  }

  /** Forgets a link, and goes on without it. */
  dropLink(link: number, why: Code, tell: Tell): void {
    const state = this.links.get(link);
    if (state === undefined) return;
    this.links.delete(link);
    for (const kind of LINK_TIMERS) this.timers.clear({ kind, link });
    this.say({ kind: "link_lost", other: state.other, code: why });
    const code = tell === "other_ended" && HEARSAY.includes(why) ? Codes.departed : why;
    const subscription = this.subscriptions.get(state.channel);
    if (subscription === undefined) return;
    const { channel } = subscription;
    if (subscription.parent === link) {
      subscription.parent = undefined;
      subscription.ahead.forgetEnd();
      this.say({ kind: "parent", channel, parent: undefined });
      if (subscription.stall === undefined) {
        this.#goOnWithout(this, state.channel, link, code, tell);
        return;
      }
      subscription.stall = { ...subscription.stall, mustAsk: true };
    }
    if (subscription.joining === link) {
      subscription.joining = undefined;
    } else if (subscription.standby === link) {
      subscription.standby = undefined;
    } else if (subscription.children.delete(link) && state.end.kind === "serves") {
      this.say({ kind: "children", channel, count: this.countChildren(state.channel) });
    }
    if (tell !== "nothing") this.tellHub({ type: "report", link, code });
  }

  forgetSubscription(id: number, code: Code): void {
    for (const kind of CHANNEL_TIMERS) this.timers.clear({ kind, channel: id });
    const subscription = this.subscriptions.get(id);
    if (subscription === undefined) return;
    this.subscriptions.delete(id);
    const { parent, joining, standby, childrenInOrder } = subscription;
    this.closeLinks([parent, joining, standby, ...childrenInOrder], code);
  }

  /** Closes those links that there are. */
  closeLinks(links: readonly (number | undefined)[], code: Code): void {
    for (const link of links) if (link !== undefined) this.closeLink(link, code);
  }
}
