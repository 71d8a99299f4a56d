/** A subscription, as the application has it. */
import { type Code, codeName } from "./codec/code.js";
import { PatternSet } from "./codec/pattern-set.js";
import { Pattern } from "./codec/pattern.js";
import { type Position, comparePositions } from "./codec/position.js";
import type { Delivery } from "./core/reader.js";
import { Emitter } from "./emitter.js";
import type { Memory } from "./memory.js";
import { checkName } from "./names.js";
import { EventNotification, type GapNotification, type Notification } from "./notification.js";

/** News of a subscription. */
export interface StatusNotification {
  readonly type: "status";
  readonly channel: string;
  readonly status: SubscriptionStatus;
}

export type SubscriptionStatus =
  /** The server has granted it, for the first time or after a reconnect. If not `recovered`, a gap follows. */
  | { readonly kind: "subscribed"; readonly position: Position; readonly recovered: boolean }
  /** All that was published up to a reconnect has been given: so many events that the server brought after it. */
  | { readonly kind: "recovered"; readonly count: number }
  /** `pause` was called: neither events nor gaps follow until `resumed`. */
  | { readonly kind: "paused" }
  | { readonly kind: "resumed" }
  /** The browser keeps no positions, although `remember` asks for it. */
  | { readonly kind: "not_remembered"; readonly reason: string }
  /** The page has a place in the tree: 1 is fed by the server for good, n by a peer of n - 1, 0 has none. */
  | { readonly kind: "placed"; readonly tier: number }
  /** Somebody else feeds the page now; no `parent`: the server. */
  | { readonly kind: "parent"; readonly parent: number | undefined }
  /** A child has come or gone. */
  | { readonly kind: "children"; readonly count: number }
  /** The server refused it, and it has ended. */
  | { readonly kind: "refused"; readonly code: Code; readonly reason: string };

/** Why a subscription ended that the application did not end. */
export class SubscriptionError extends Error {
  /** @internal For Node, which shows it: the bundle has a short one. */
  static override readonly name = "SubscriptionError";
  override readonly name = "SubscriptionError";
  readonly code: Code;

  constructor(code: Code, reason: string) {
    super(`${codeName(code)}: ${reason}`);
    this.code = code;
  }
}

/** What a subscription needs of its client. @internal */
export interface SubscriptionSource {
  poll(): Delivery | undefined;
  unsubscribe(): void;
}

interface SubscriptionEvents extends Readonly<Record<string, unknown>> {
  readonly event: EventNotification;
  readonly gap: GapNotification;
  readonly status: StatusNotification;
}

const LISTENED_TO = { event: true, gap: true, status: true };

interface Waiter {
  readonly resolve: (result: IteratorResult<Notification, undefined>) => void;
  readonly reject: (error: Error) => void;
}

/** After so many in a row the page gets to do something else. */
const BATCH_MAX = 256;

export class Subscription implements AsyncIterable<Notification> {
  readonly channel: string;
  readonly #source: SubscriptionSource;
  readonly #patterns: PatternSet;
  /** Keeps how far the application is. */
  readonly #memory: Memory | undefined;
  readonly #ended = new AbortController();
  #position: Position | undefined;
  /** There from a reconnect until the application has caught up. */
  #recovering: { readonly after: Position; count: number } | undefined;
  #isPaused = false;
  readonly #emitter = new Emitter<SubscriptionEvents>();
  readonly #waiters: Waiter[] = [];
  /** Iterators at work. While there are any, they set the pace. */
  #iterators = 0;
  #end: { readonly error: Error | undefined } | undefined;
  #isPumping = false;
  /** What comes next, if it was fetched for somebody who by then wanted nothing more. */
  #fetched: Delivery | undefined;

  /** @internal */
  constructor(channel: string, patterns: readonly Pattern[], memory: Memory | undefined, source: SubscriptionSource) {
    this.channel = channel;
    this.#patterns = new PatternSet(patterns);
    this.#memory = memory;
    this.#source = source;
  }

  /**
   * How far the application is: it has been given everything that it wants up to here, what it was given last included.
   * As `since` it goes on after that. Undefined until the server has said where the subscription starts.
   */
  get position(): Position | undefined {
    return this.#position;
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  /**
   * Gives no events and gaps until `resume`. What comes meanwhile waits in the page's log; when that is half full, the page
   * gives back its children, and whoever feeds it waits. What is still retained when it goes on is given then, the rest is
   * one gap.
   */
  pause(): void {
    if (this.#isPaused) return;
    this.#isPaused = true;
    this.say({ kind: "paused" });
  }

  /** Goes on where it was paused. */
  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.say({ kind: "resumed" });
  }

  /**
   * Wants the events that match this pattern, too, from the next event on; false if it did before. What was passed over
   * before does not come again. Who has named no pattern wants `#`, everything. Throws {@link PatternError}.
   */
  bind(pattern: string): boolean {
    return this.#patterns.insert(new Pattern(pattern));
  }

  /**
   * No longer wants the events that match this pattern and no other, from the next event on; false if it was not among the
   * patterns. Without any pattern nothing is wanted, and only gaps come.
   */
  unbind(pattern: string): boolean {
    return this.#patterns.remove(new Pattern(pattern));
  }

  /** Calls `listener` with each event, gap or change of status, until the function that it returns is called. */
  on<K extends "event" | "gap" | "status">(type: K, listener: (value: SubscriptionEvents[K]) => void): () => void {
    checkName(type, LISTENED_TO, "a subscription tells nothing of the type");
    const off = this.#emitter.on(type, listener);
    // What has come already is given once the caller has set everything up.
    queueMicrotask(() => {
      this.pump();
    });
    return off;
  }

  /** Ends the subscription. Iterations end, without an error. */
  unsubscribe(): void {
    const hasEnded = this.#end !== undefined;
    this.#endFor(undefined);
    if (!hasEnded) this.#source.unsubscribe();
  }

  /** Events and gaps in order. Nothing is fetched from the log before it is asked for: the loop sets the pace. */
  [Symbol.asyncIterator](): AsyncIterator<Notification, undefined> {
    let isDone = false;
    this.#iterators++;
    const finish = (): void => {
      if (!isDone) this.#iterators--;
      isDone = true;
    };
    return {
      next: async () => {
        if (isDone) return { done: true, value: undefined };
        try {
          const result = await this.#next();
          if (result.done === true) finish();
          return result;
        } catch (error) {
          finish();
          throw error;
        }
      },
      return: () => {
        finish();
        return Promise.resolve({ done: true, value: undefined });
      },
    };
  }

  /**
   * Gives what there is to those who want it. Not while listeners are told something, but after that: they are told an event
   * while `position` is that event's, and may still pause or end the subscription before the next one is fetched. @internal
   */
  pump(): void {
    if (this.#isPumping || this.#emitter.isTelling) return;
    this.#isPumping = true;
    try {
      this.#giveBatch();
    } finally {
      this.#isPumping = false;
    }
  }

  /** @internal */
  say(status: SubscriptionStatus): void {
    if (status.kind === "subscribed") this.#onSubscribed(status.position);
    this.#emitter.emit("status", { type: "status", channel: this.channel, status });
    // They may have wanted more while they were told this.
    this.pump();
  }

  /** Ends the subscription when this is aborted. @internal */
  endWith(signal: AbortSignal | undefined): void {
    const end = (): void => {
      this.unsubscribe();
    };
    signal?.addEventListener("abort", end, { signal: this.#ended.signal });
  }

  /** The page may end without another word. @internal */
  flush(): void {
    this.#memory?.flush();
  }

  /** Nothing more will come, for this reason. @internal */
  finish(error: Error): void {
    if (this.#end === undefined) this.#endFor(error);
  }

  #endFor(error: Error | undefined): void {
    this.#end = { error };
    // What was there before an error still counts.
    this.pump();
    this.#ended.abort();
    this.flush();
  }

  /** Tells those who wait that it has ended; of an error only once all that was there before has been given. */
  #settle(): void {
    if (this.#end === undefined || (this.#isPaused && this.#end.error !== undefined)) return;
    const { error } = this.#end;
    for (const { resolve, reject } of this.#waiters.splice(0)) {
      if (error === undefined) resolve({ done: true, value: undefined });
      else reject(error);
    }
  }

  #next(): Promise<IteratorResult<Notification, undefined>> {
    return new Promise((resolve, reject) => {
      this.#waiters.push({ resolve, reject });
      this.pump();
    });
  }

  #giveBatch(): void {
    let count = 0;
    while (count < BATCH_MAX) {
      const delivery = this.#take();
      if (delivery === undefined) {
        this.#settle();
        return;
      }
      const notification = this.#judge(delivery);
      if (notification === undefined) continue;
      this.#give(notification);
      count++;
    }
    setTimeout(() => {
      this.pump();
    }, 0);
  }

  /** To whoever has waited longest; listeners hear of it, too. */
  #give(notification: Notification): void {
    this.#waiters.shift()?.resolve({ done: false, value: notification });
    if (notification.type === "gap") this.#emitter.emit("gap", notification);
    else this.#emitter.emit("event", notification);
  }

  /** Whether there is somebody to give to. */
  #isWanted(): boolean {
    if (this.#isPaused || (this.#end !== undefined && this.#end.error === undefined)) return false;
    if (this.#waiters.length > 0) return true;
    return this.#iterators === 0 && (this.#emitter.has("event") || this.#emitter.has("gap"));
  }

  /** The next of the log, if it is wanted. Whoever wants it is done with what was given before. */
  #take(): Delivery | undefined {
    if (!this.#isWanted()) return undefined;
    if (this.#position !== undefined) this.#memory?.keep(this.#position);
    // Fetching may change the status, and a listener that hears of it may pause or end the subscription.
    this.#fetched ??= this.#source.poll();
    if (!this.#isWanted()) return undefined;
    const delivery = this.#fetched;
    this.#fetched = undefined;
    return delivery;
  }

  /** What to give the application of this, if anything. */
  #judge(delivery: Delivery): Notification | undefined {
    const { channel } = this;
    switch (delivery.kind) {
      case "gap": {
        const { from, to, reason } = delivery;
        this.#position = to;
        return { type: "gap", channel, from, to, reason };
      }
      case "event": {
        const { position, sealedUs, event } = delivery;
        this.#position = position;
        if (!this.#patterns.matches(event.routingKey)) return undefined;
        const recovering = this.#recovering;
        if (recovering !== undefined && comparePositions(position, recovering.after) > 0) recovering.count++;
        return new EventNotification(channel, position, sealedUs, event);
      }
      case "caught_up":
        this.#position = delivery.position;
        this.#onCaughtUp();
        return undefined;
    }
  }

  #onSubscribed(position: Position): void {
    if (this.#position === undefined) this.#position = position;
    else this.#recovering ??= { after: position, count: 0 };
  }

  #onCaughtUp(): void {
    if (this.#recovering === undefined) return;
    const { count } = this.#recovering;
    this.#recovering = undefined;
    this.say({ kind: "recovered", count });
  }
}
