/** A subscription without a client, and what there is for it. */
import type { Position } from "../codec/position.js";
import { Pattern } from "../codec/pattern.js";
import type { Delivery } from "../core/reader.js";
import type { Memory } from "../memory.js";
import { Subscription } from "../subscription.js";
import { CHANNEL } from "./page.js";

export function position(offset: number): Position {
  return { epoch: 7, offset };
}

export function event(offset: number, routingKey = "a"): Delivery {
  const nothing = { exchange: "", contentType: undefined, messageId: undefined, timestamp: undefined, headers: {} };
  const body = new Uint8Array(0);
  return {
    kind: "event",
    channel: CHANNEL,
    position: position(offset),
    sealedUs: 0,
    event: { offset, routingKey, body, ...nothing },
  };
}

export function gap(from: number, to: number): Delivery {
  return { kind: "gap", channel: CHANNEL, from: position(from), to: position(to), reason: "source" };
}

export class Scene {
  readonly deliveries: Delivery[] = [];
  readonly subscription: Subscription;
  readonly said: string[] = [];
  /** What else comes of it when the subscription fetches something. */
  onPoll = (): void => undefined;

  constructor(patterns: readonly string[] = [], memory?: Memory) {
    this.subscription = new Subscription(CHANNEL, patterns.map((pattern) => new Pattern(pattern)), memory, {
      poll: () => {
        const delivery = this.deliveries.shift();
        this.onPoll();
        return delivery;
      },
      unsubscribe: () => undefined,
    });
    this.subscription.on("status", ({ status }) => {
      this.said.push(status.kind === "recovered" ? `recovered ${status.count}` : status.kind);
    });
  }

  subscribed(offset: number): void {
    this.subscription.say({ kind: "subscribed", position: position(offset), recovered: true });
  }
}
