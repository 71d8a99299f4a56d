/** The application's cursor over the log: which events it has been given. */
import { DecodeError, type Event, type GapReason, type Offset, type Pattern, PatternSet, type Position } from "../codec/index.js";
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
    };

/** Reads a log for the application, event by event. */
export class Reader {
  #position: Position;
  readonly #patterns: PatternSet;
  /** The events of the frame before `position` that have not been given yet, the next one last. */
  #events: Event[] = [];
  #sealedUs = 0;

  constructor(position: Position, patterns: readonly Pattern[]) {
    this.#position = position;
    this.#patterns = new PatternSet(patterns);
  }

  /** What the application has been given, or will be next. */
  get position(): Position {
    return this.#position;
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
        this.#keep(frame.events(), from.offset);
      } catch (error) {
        if (!(error instanceof DecodeError)) throw error;
        // Signed by the server and yet not decodable: all that can be said is what is missing.
        return { kind: "gap", channel, from, to: this.#position, reason: "source" };
      }
    }
  }

  #keep(events: readonly Event[], after: Offset): void {
    const isWanted = ({ routingKey }: Event): boolean => this.#patterns.matches(routingKey);
    this.#events = events.filter((event) => event.offset > after && isWanted(event)).reverse();
  }
}
