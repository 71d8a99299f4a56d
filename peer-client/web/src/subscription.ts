/** A subscription, as the application has it. */
import { type Code, codeName } from "./codec/code.js";
import type { Event } from "./codec/event.js";
import type { GapReason, Position } from "./codec/position.js";
import type { Delivery } from "./core/reader.js";
import { Emitter } from "./emitter.js";

/** An event of the channel. */
export interface EventNotification extends Event {
  readonly type: "event";
  readonly channel: string;
  /** Its position: what to give as `since` to go on after it. */
  readonly position: Position;
  /** When the server sealed its frame, in microseconds since the Unix epoch, by the server's clock. */
  readonly sealedUs: number;
}

/** Events that are gone for good: those after `from`, up to where the channel goes on. */
export interface GapNotification {
  readonly type: "gap";
  readonly channel: string;
  /** What the application has. */
  readonly from: Position;
  /** Where the channel goes on. */
  readonly to: Position;
  /**
   * `retention`: older than what the server retains. `epoch`: the numbering began anew; how many events lie between is
   * not known. `source`: the source lost them, or they are larger than the server carries.
   */
  readonly reason: GapReason;
}

/** News of a subscription. */
export interface StatusNotification {
  readonly type: "status";
  readonly channel: string;
  readonly status: SubscriptionStatus;
}

export type SubscriptionStatus =
  /** The server has granted it, for the first time or after a reconnect. If not `recovered`, a gap follows. */
  | { readonly kind: "subscribed"; readonly position: Position; readonly recovered: boolean }
  /** The page has a place in the tree: 1 is fed by the server for good, n by a peer of n - 1, 0 has none. */
  | { readonly kind: "placed"; readonly tier: number }
  /** Somebody else feeds the page now; no `parent`: the server. */
  | { readonly kind: "parent"; readonly parent: number | undefined }
  /** A child has come or gone. */
  | { readonly kind: "children"; readonly count: number }
  /** The server refused it, and it has ended. */
  | { readonly kind: "refused"; readonly code: Code; readonly reason: string };

/** What is waited for with `for await`. */
export type Notification = EventNotification | GapNotification;

/** Why a subscription ended that the application did not end. */
export class SubscriptionError extends Error {
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
  position(): Position | undefined;
  unsubscribe(): void;
}

interface SubscriptionEvents extends Readonly<Record<string, unknown>> {
  readonly event: EventNotification;
  readonly gap: GapNotification;
  readonly status: StatusNotification;
}

interface Waiter {
  readonly resolve: (result: IteratorResult<Notification, undefined>) => void;
  readonly reject: (error: Error) => void;
}

/** After so many in a row the page gets to do something else. */
const BATCH_MAX = 256;

export class Subscription implements AsyncIterable<Notification> {
  readonly channel: string;
  readonly #source: SubscriptionSource;
  readonly #emitter = new Emitter<SubscriptionEvents>();
  readonly #waiters: Waiter[] = [];
  /** Iterators at work. While there are any, they set the pace. */
  #iterators = 0;
  #end: { readonly error: Error | undefined } | undefined;
  #isPumping = false;

  /** @internal */
  constructor(channel: string, source: SubscriptionSource) {
    this.channel = channel;
    this.#source = source;
  }

  /** What the page has of the channel; undefined until the server has said where the subscription starts. */
  get position(): Position | undefined {
    return this.#source.position();
  }

  /** Calls `listener` with each event, gap or change of status, until the function that it returns is called. */
  on<K extends "event" | "gap" | "status">(type: K, listener: (value: SubscriptionEvents[K]) => void): () => void {
    const off = this.#emitter.on(type, listener);
    // What has come already is given once the caller has set everything up.
    queueMicrotask(() => {
      this.pump();
    });
    return off;
  }

  /** Ends the subscription. Iterations end, without an error. */
  unsubscribe(): void {
    if (this.#end !== undefined) return;
    this.#source.unsubscribe();
    this.finish(undefined);
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

  /** Gives what there is to those who want it. @internal */
  pump(): void {
    if (this.#isPumping) return;
    this.#isPumping = true;
    try {
      while (this.#waiters.length > 0) {
        const value = this.#take();
        if (value === undefined) return;
        this.#waiters.shift()?.resolve({ done: false, value });
      }
      if (this.#iterators === 0) this.#emitAll();
    } finally {
      this.#isPumping = false;
    }
  }

  /** @internal */
  say(status: SubscriptionStatus): void {
    this.#emitter.emit("status", { type: "status", channel: this.channel, status });
  }

  /** Nothing more will come. @internal */
  finish(error: Error | undefined): void {
    if (this.#end !== undefined) return;
    // What was there before an error still counts.
    if (error !== undefined) this.pump();
    this.#end = { error };
    for (const { resolve, reject } of this.#waiters.splice(0)) {
      if (error === undefined) resolve({ done: true, value: undefined });
      else reject(error);
    }
  }

  #next(): Promise<IteratorResult<Notification, undefined>> {
    const value = this.#waiters.length === 0 ? this.#take() : undefined;
    if (value !== undefined) return Promise.resolve({ done: false, value });
    if (this.#end === undefined) return new Promise((resolve, reject) => this.#waiters.push({ resolve, reject }));
    const { error } = this.#end;
    return error === undefined ? Promise.resolve({ done: true, value: undefined }) : Promise.reject(error);
  }

  #emitAll(): void {
    for (let count = 0; this.#emitter.has("event") || this.#emitter.has("gap"); count++) {
      if (count === BATCH_MAX) {
        setTimeout(() => {
          this.pump();
        }, 0);
        return;
      }
      if (this.#take() === undefined) return;
    }
  }

  /** The next event or gap; listeners hear of it, too. */
  #take(): Notification | undefined {
    if (this.#end !== undefined && this.#end.error === undefined) return undefined;
    const delivery = this.#source.poll();
    if (delivery === undefined) return undefined;
    if (delivery.kind === "gap") {
      const { channel, from, to, reason } = delivery;
      const gap: GapNotification = { type: "gap", channel, from, to, reason };
      this.#emitter.emit("gap", gap);
      return gap;
    }
    const { channel, position, sealedUs, event } = delivery;
    const notification: EventNotification = { type: "event", channel, position, sealedUs, ...event };
    this.#emitter.emit("event", notification);
    return notification;
  }
}
