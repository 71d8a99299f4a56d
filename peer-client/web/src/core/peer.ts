/**
 * A peer: a node's half of the protocol. It takes frames from the server or from its parent, gives their events to
 * the application in order and once, and serves its children from its log.
 *
 * It does no IO and reads no clock. Its driver calls `handle`, then drains `pollOutput`; calls `pollTransmit` where
 * it was told that there is something and the target is writable, `pollDelivery` when the application has room, and
 * `handle` with `timeout` when the time of `pollTimeout` has come.
 */
import {
  Code,
  DecodeError,
  type Frame,
  type Item,
  type Position,
  type SignedMessage,
  type Since,
  channelId,
  readItems,
} from "../codec/index.js";
import { DEFAULT_CONFIG, type PeerConfig } from "./config.js";
import { endStall } from "./credit.js";
import { type Inbox, isStreamed } from "./inbox.js";
import { onLinkHeartbeat, onLinkItem, onLinkOpened, pollLink } from "./links.js";
import { goOnWithout, onDoubtDue, onLeadDue, onStaleDue } from "./progress.js";
import { CommandError } from "./command-error.js";
import type { Input, Output, Target, Verification } from "./peer-types.js";
import type { Delivery } from "./reader.js";
import { onNackDue } from "./repair.js";
import { askFor, onSessionItem, onSessionOpened, onSessionSilent } from "./session.js";
import { type Outcome, Refusal, State } from "./state.js";
import type { Child, PeerStats } from "./stats.js";
import { Subscription } from "./subscription.js";

/** Most bytes of frames that wait for the application where more are prepared. As many as a window. */
const PREPARED_BYTES_MAX = 256 << 10;

export class Peer {
  readonly #state: State;
  /** Where the item that a ticket is for came from. */
  readonly #tickets = new Map<number, Target>();
  #ticketsGiven = 0;

  /** A peer without a connection. */
  constructor(config: Partial<PeerConfig> = {}) {
    this.#state = new State({ ...DEFAULT_CONFIG, ...config }, goOnWithout);
  }

  /** Takes an input. Throws a {@link CommandError} on the caller's misuse; what a remote says never is one. */
  handle(now: number, input: Input): void {
    const state = this.#state;
    state.now = now;
    switch (input.type) {
      case "sessionOpened":
        onSessionOpened(state);
        break;
      case "sessionData":
        if (state.session === "closed") break;
        state.lastReceived = now;
        this.#receive("session", state.sessionInbox, input.bytes);
        break;
      case "sessionClosed":
        state.forgetSession();
        break;
      case "linkOpened":
        onLinkOpened(state, input.link);
        break;
      case "linkData": {
        const link = state.links.get(input.link);
        if (link === undefined) break;
        link.lastReceived = now;
        state.timers.clear({ kind: "link_answer", link: input.link });
        this.#receive(input.link, link.inbox, input.bytes);
        break;
      }
      case "linkClosed": {
        const link = state.links.get(input.link);
        if (link === undefined) break;
        link.inbox.isClosed = true;
        this.#pump(input.link, link.inbox);
        break;
      }
      case "localSignal":
        if (state.links.has(input.link)) {
          state.tellHub({ type: "signal", link: input.link, signal: input.signal });
        }
        break;
      case "verified":
        this.#onVerified(input.ticket, input.isGenuine);
        break;
      case "subscribe":
        this.#onSubscribe(input.channel, input.since);
        break;
      case "unsubscribe":
        this.#onUnsubscribe(input.channel);
        break;
      case "offer":
        this.#onOffer(input.childrenMax);
        break;
      case "timeout":
        this.#onTimeout();
        break;
    }
  }

  /** The next thing to do. To be called after every input until it gives nothing. */
  pollOutput(): Output | undefined {
    return this.#state.outputs.shift();
  }

  /**
   * The next event or gap for the application, of any channel or of one, to be asked for when it has room. Whatever
   * is not asked for stays in the log; when that is half full of it, those who feed the peer are held up until the
   * application has caught up.
   */
  pollDelivery(channel?: string): Delivery | undefined {
    const wanted = channel === undefined ? undefined : channelId(channel);
    for (const [id, subscription] of this.#state.subscriptionsInOrder()) {
      if (wanted !== undefined && id !== wanted) continue;
      const delivery = subscription.nextDelivery();
      // What was read makes room, also where it held no event.
      endStall(this.#state, id);
      if (delivery === undefined) continue;
      if (delivery.kind === "event") this.#state.stats.delivered++;
      else if (delivery.kind === "gap") this.#state.stats.gaps++;
      return delivery;
    }
    return undefined;
  }

  /** The next message for a target, to be asked for when it is writable. */
  pollTransmit(target: Target): Uint8Array | undefined {
    const state = this.#state;
    if (target === "session") {
      const message = state.outbox.pop();
      if (message === undefined) state.isAnnounced = false;
      return message;
    }
    const message = pollLink(state, target);
    const link = state.links.get(target);
    if (message === undefined && link !== undefined) link.isAnnounced = false;
    return message;
  }

  /**
   * What `verify` will ask for if the frames of a message, which is about to be handled, come to be taken: for a driver that
   * has it found out before their turn.
   */
  foresee(message: Uint8Array): Verification[] {
    if (!isStreamed(message)) return [];
    try {
      return readItems(message).flatMap((item) => this.#foreseen(item));
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      // It is refused in its turn.
      return [];
    }
  }

  /** When to call again with `timeout`. */
  pollTimeout(): number | undefined {
    return this.#state.timers.next();
  }

  /** The peer's counters. */
  stats(): Readonly<PeerStats> {
    return { ...this.#state.stats };
  }

  /** What the peer has of a channel. */
  position(channel: string): Position | undefined {
    return this.#state.subscriptions.get(channelId(channel))?.position;
  }

  /** The peer that feeds a channel; undefined: the server. */
  parent(channel: string): number | undefined {
    const link = this.#state.subscriptions.get(channelId(channel))?.parent;
    return link === undefined ? undefined : this.#state.links.get(link)?.other;
  }

  /** The place in a channel's tree: 1 is fed by the server for good, n by a peer of n - 1, 0 has none. */
  tier(channel: string): number {
    return this.#state.subscriptions.get(channelId(channel))?.tier ?? 0;
  }

  /** The peers that a channel is relayed to. */
  children(channel: string): Child[] {
    const links = this.#state.subscriptions.get(channelId(channel))?.childrenInOrder ?? [];
    return links.flatMap((id) => {
      const link = this.#state.links.get(id);
      return link?.end.kind === "serves" ? [{ peer: link.other, bytes: link.frameBytes }] : [];
    });
  }

  #onSubscribe(channel: string, since: Since): void {
    const id = channelId(channel);
    if (this.#state.subscriptions.has(id)) throw new CommandError("already_subscribed", channel);
    this.#state.subscriptions.set(id, new Subscription(this.#state.now, channel, since));
    askFor(this.#state, id);
  }

  #onUnsubscribe(channel: string): void {
    const id = channelId(channel);
    if (!this.#state.subscriptions.has(id)) throw new CommandError("not_subscribed", channel);
    this.#state.tellHub({ type: "unsubscribe", id: this.#state.request(), channel });
    this.#state.forgetSubscription(id, Code.departed);
  }

  /** The hub is told, and sends elsewhere those for whom there is no place any more. */
  #onOffer(childrenMax: number): void {
    const { relay } = this.#state;
    if (relay === undefined || relay.children_max === childrenMax) return;
    this.#state.relay = { ...relay, children_max: childrenMax };
    this.#state.tellHub({ type: "relay", ...this.#state.relay });
  }

  #onTimeout(): void {
    const state = this.#state;
    for (let timer = state.timers.expired(state.now); timer; timer = state.timers.expired(state.now)) {
      switch (timer.kind) {
        case "session_silent":
          onSessionSilent(state);
          break;
        case "subscribe":
          askFor(state, timer.channel);
          break;
        case "link_setup":
          state.closeLink(timer.link, Code.link_failed);
          break;
        case "link_heartbeat":
          onLinkHeartbeat(state, timer.link);
          break;
        case "link_answer":
          state.closeLink(timer.link, Code.lost);
          break;
        case "link_doubt":
          onDoubtDue(state, timer.link);
          break;
        case "have":
          this.#announce(timer.link);
          break;
        case "lead":
          onLeadDue(state, timer.channel);
          break;
        case "nack":
          onNackDue(state, timer.channel);
          break;
        case "stale":
          onStaleDue(state, timer.channel);
          break;
      }
    }
  }

  /** There is something for a link. */
  #announce(id: number): void {
    const link = this.#state.links.get(id);
    if (link !== undefined) this.#state.announce(id, link);
  }

  #receive(from: Target, inbox: Inbox, bytes: Uint8Array): void {
    if (inbox.tryPush(bytes)) this.#pump(from, inbox);
    else if (from === "session" && isStreamed(bytes)) inbox.isOverrun = true;
    else this.#refuse(from, new Refusal(Code.slow, "more comes in than can be verified"));
  }

  /** Processes what has come from somewhere, until a signature has to be checked first. */
  #pump(from: Target, inbox: Inbox): void {
    try {
      while (inbox.waiting === undefined && this.#isCurrent(from, inbox)) {
        const item = inbox.next();
        if (item === undefined) break;
        this.#step(from, inbox, () => this.#onItem(from, item, false));
      }
    } catch (error) {
      this.#refuse(from, error);
    }
    if (inbox.isClosed && inbox.waiting === undefined) this.#onLinkClosed(from);
    if (inbox.isOverrun && inbox.isIdle) this.#onOverrun(inbox);
  }

  /** What the server sent too fast was dropped; it is asked for again, now that the rest is done with. */
  #onOverrun(inbox: Inbox): void {
    inbox.isOverrun = false;
    for (const [id, subscription] of this.#state.subscriptionsInOrder()) {
      if (subscription.parent !== undefined) continue;
      // What was asked for may be what was dropped.
      subscription.hasAsked = false;
      this.#state.askAgain(id);
    }
  }

  #onVerified(ticket: number, isGenuine: boolean): void {
    const from = this.#tickets.get(ticket);
    this.#tickets.delete(ticket);
    if (from === undefined) return;
    const inbox = from === "session" ? this.#state.sessionInbox : this.#state.links.get(from)?.inbox;
    const waiting = inbox?.waiting;
    // The session or link may be gone, or be another one.
    if (inbox === undefined || waiting?.ticket !== ticket) return;
    inbox.waiting = undefined;
    try {
      if (!isGenuine) throw new Refusal(Code.bad_signature);
      this.#step(from, inbox, () => this.#onItem(from, waiting.item, true));
    } catch (error) {
      this.#refuse(from, error);
      return;
    }
    this.#pump(from, inbox);
  }

  #onItem(from: Target, item: Parameters<typeof onSessionItem>[1], isGenuine: boolean): Outcome {
    if (from === "session") return onSessionItem(this.#state, item, isGenuine);
    const link = this.#state.links.get(from);
    return link === undefined ? "done" : onLinkItem(this.#state, from, link, item, isGenuine);
  }

  #step(from: Target, inbox: Inbox, run: () => Outcome): void {
    const outcome = run();
    if (outcome === "done") return;
    const { item, signed } = outcome;
    const ticket = ++this.#ticketsGiven;
    this.#tickets.set(ticket, from);
    inbox.waiting = { ticket, item };
    this.#state.outputs.push({ type: "verify", ticket, ...this.#verification(signed, item) });
  }

  #verification(signed: SignedMessage, item: Item): Verification {
    const frame = item.kind === "frame" && this.#isReadSoon(item.frame) ? item.frame : undefined;
    return { keys: this.#state.keys, signed, frame };
  }

  #foreseen(item: Item): Verification[] {
    if (item.kind !== "frame") return [];
    const subscription = this.#state.subscriptions.get(item.frame.header.channel);
    if (subscription?.taken === undefined || subscription.taken.relation(item.frame) === "duplicate") return [];
    return [this.#verification(item.frame.signed(subscription.channel), item)];
  }

  /** Events take several times the memory of their frame, so few are to be had before they are asked for. */
  #isReadSoon({ header }: Frame): boolean {
    const taken = this.#state.subscriptions.get(header.channel)?.taken;
    return taken !== undefined && taken.log.bytesAfter(taken.reader.position) <= PREPARED_BYTES_MAX;
  }

  /** Whether an inbox is still that of a session or link that is there: an item may have closed it. */
  #isCurrent(from: Target, inbox: Inbox): boolean {
    return from === "session" ? this.#state.session !== "closed" : this.#state.links.get(from)?.inbox === inbox;
  }

  #onLinkClosed(from: Target): void {
    const link = from === "session" ? undefined : this.#state.links.get(from);
    if (from === "session" || link === undefined) return;
    this.#state.dropLink(from, link.isOpen ? Code.lost : Code.link_failed, "why");
  }

  /** Ends the session or link over which something came that must not come. */
  #refuse(from: Target, error: unknown): void {
    if (!(error instanceof Refusal || error instanceof DecodeError)) throw error;
    const { stats } = this.#state;
    const code = error instanceof Refusal ? error.code : Code.malformed;
    if (code === Code.malformed) stats.malformed++;
    if (code === Code.bad_signature) stats.badSignatures++;
    if (from === "session") {
      this.#state.closeSession(code, error.message);
    } else {
      this.#state.closeLink(from, code);
    }
  }
}
