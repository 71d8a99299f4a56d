/** The application's cursor over the log: which events it has been given. */
import { DecodeError, type Event, type GapReason, type Position, comparePositions } from "../codec/index.js";
import type { FrameLog } from "./log.js";

/** Something for the application. */
export type Delivery =
  | {
      readonly kind: "event";
      readonly channel: string;
      readonly position: Position;
      /** When the server sealed its frame, in microseconds since the Unix epoch. */
      readonly sealedUs: number;
      readonly event: Event;
    }
  /** Events that are gone for good: those after `from`, up to where the channel goes on. */
  | {
      readonly kind: "gap";
      readonly channel: string;
      /** What the application has. */
      readonly from: Position;
      /** Where the channel goes on. */
      readonly to: Position;
      readonly reason: GapReason;
    }
  /** All that had been published by the time of a reconnect has been given. */
  | {
      readonly kind: "caught_up";
      readonly channel: string;
      /** What the application has. */
      readonly position: Position;
    };

/** Reads a log for the application, event by event. */
export class Reader {
  #position: Position;
  /** The events of the frame before `position` that have not been given yet, the next one last. */
  #events: Event[] = [];
  #sealedUs = 0;
  /** How far the channel was at the last reconnect, while the application has not got that far. */
  #goal: Position | undefined;

  constructor(position: Position) {
    this.#position = position;
  }

  /** What the application has been given, or will be next. */
  get position(): Position {
    return this.#position;
  }

  /** There has been a reconnect, and the channel is this far. */
  catchUp(goal: Position): void {
    this.#goal = goal;
  }

  /** The next delivery. */
  next(channel: string, log: FrameLog): Delivery | undefined {
    for (;;) {
      const event = this.#events.pop();
      if (event !== undefined) {
        const position = { epoch: this.#position.epoch, offset: event.offset };
        return { kind: "event", channel, position, sealedUs: this.#sealedUs, event };
      }
      const from = this.#position;
      if (this.#goal !== undefined && comparePositions(this.#goal, from) <= 0) {
        this.#goal = undefined;
        return { kind: "caught_up", channel, position: from };
      }
      const read = log.read(from);
      if (read.kind === "up_to_date") return undefined;
      if (read.kind === "gap") {
        this.#position = read.to;
        return { kind: "gap", channel, from, to: read.to, reason: read.reason };
      }
      const { frame } = read;
      this.#position = frame.position;
      this.#sealedUs = frame.header.timeUs;
      try {
        this.#events = frame.events().filter((event) => event.offset > from.offset).reverse();
      } catch (error) {
        if (!(error instanceof DecodeError)) throw error;
        // Signed by the server and yet not decodable: all that can be said is what is missing.
        return { kind: "gap", channel, from, to: this.#position, reason: "source" };
      }
    }
  }
}
