/** Publishes events in their order, one request at a time: what comes meanwhile goes together in the next one. */
import { eventName } from "../codec/event-name.js";
import type { Position } from "../codec/position.js";
import { Backoff } from "../io/backoff.js";
import { checkNames } from "../names.js";
import { BatchEndpoint } from "./batch-endpoint.js";
import { EmitError } from "./emit-error.js";
import { type NewEvent, itemOf } from "./new-event.js";

/** The longest time between two attempts, unless the server asks for more. */
const BACKOFF_MAX_MS = 5_000;

/** How events are published. The defaults suit a server with defaults of its own. */
export interface EmitOptions {
  /** So many events wait for their positions; one more is refused with `full`. Default 10,000. */
  readonly waitingMax?: number;
  /** Most events of a batch. Default 500; the server has a bound as well (`limits.publish_batch_events`). */
  readonly batchEvents?: number;
  /** A batch ends with the event with which it has so many bytes as JSON. Default 1 MiB (see `limits.publish_batch_bytes`). */
  readonly batchBytes?: number;
  /** A server that has not answered for so long is asked again. Default 10,000. */
  readonly answerMs?: number;
  /**
   * What is not known to be published so long after it was emitted is not sent again. Default 60,000. Keep it well below the
   * server's `limits.duplicates_s` (600 s), which no longer knows the event after that.
   */
  readonly giveUpMs?: number;
}

const DEFAULTS = {
  waitingMax: 10_000,
  batchEvents: 500,
  batchBytes: 1 << 20,
  answerMs: 10_000,
  giveUpMs: 60_000,
} satisfies Required<EmitOptions>;

interface Waiting {
  readonly item: string;
  readonly bytes: number;
  readonly emittedMs: number;
  readonly resolve: (position: Position) => void;
  readonly reject: (error: EmitError) => void;
}

/** Publishes events to one channel of a server, in the order in which they are emitted, each once. */
export class Emitter {
  readonly #endpoint: BatchEndpoint;
  readonly #options: Required<EmitOptions>;
  readonly #waiting: Waiting[] = [];
  /** Most events of the next batch: fewer after one was refused, to find out which event that is about. */
  #eventsMax: number;
  #backoff = newBackoff();
  #isSending = false;

  /**
   * For a channel that is the server's own (`source = "embedded"`). `server` is such as `http://127.0.0.1:8780`, `key` an API key,
   * which no page should have. Throws {@link EmitError}, `ChannelNameError`, `RangeError` for an option out of bounds, or
   * `TypeError` for one that there is none of.
   */
  constructor(server: string | URL, channel: string, key: string, options: EmitOptions = {}) {
    checkNames(options, DEFAULTS, "`Emitter` has no option");
    for (const [name, value] of Object.entries(options)) {
      if (!Number.isSafeInteger(value) || value < 1) throw new RangeError(`${name} is ${value}: give an integer from 1 on`);
    }
    this.#endpoint = new BatchEndpoint(server, channel, key);
    this.#options = { ...DEFAULTS, ...options };
    this.#eventsMax = this.#options.batchEvents;
  }

  /**
   * Tells what happened to a thing: `emit("ticket", 1234, "updated", ticket)` publishes the ticket as JSON under
   * `ticket.1234.updated`. Gives the position of the event once it is published; rejects with {@link EmitError} or `EventNameError`.
   */
  async emit(thing: string, id: string | number | bigint, what: string, data: unknown = null): Promise<Position> {
    return this.publish({ routingKey: eventName(thing, id, what), json: data });
  }

  /**
   * Publishes an event, and gives its position; if one with the same message id was published before, that one's. Rejects with
   * {@link EmitError}.
   */
  async publish(event: NewEvent): Promise<Position> {
    const { waitingMax } = this.#options;
    if (this.#waiting.length >= waitingMax) {
      throw new EmitError("full", `${waitingMax} events wait to be published already: await some of them before the next`);
    }
    const item = itemOf(event);
    const bytes = new TextEncoder().encode(item).length;
    const position = new Promise<Position>((resolve, reject) => {
      this.#waiting.push({ item, bytes, emittedMs: performance.now(), resolve, reject });
    });
    if (!this.#isSending) void this.#send();
    return position;
  }

  async #send(): Promise<void> {
    this.#isSending = true;
    // What is emitted at once goes together.
    await Promise.resolve();
    while (this.#waiting.length > 0) await this.#attempt();
    this.#isSending = false;
  }

  async #attempt(): Promise<void> {
    const batch = this.#next();
    const body = `[${batch.map(({ item }) => item).join(",")}]`;
    const outcome = await this.#endpoint.post(body, batch.length, this.#options.answerMs);
    switch (outcome.kind) {
      case "published":
        this.#published(outcome.positions);
        break;
      case "refused":
        this.#refused(batch.length, outcome.error);
        break;
      case "all_refused":
        this.#reject(batch.length, outcome.error);
        break;
      case "unknown":
        await this.#wait(outcome.reason, outcome.retryAfterMs);
        break;
    }
  }

  /** The oldest of those that wait, as many as a batch may have. */
  #next(): readonly Waiting[] {
    let bytes = 0;
    const oldest = this.#waiting.slice(0, this.#eventsMax);
    const last = oldest.findIndex((waiting) => (bytes += waiting.bytes) >= this.#options.batchBytes);
    return last < 0 ? oldest : oldest.slice(0, last + 1);
  }

  #published(positions: readonly Position[]): void {
    const waiting = this.#waiting.splice(0, positions.length);
    positions.forEach((position, nth) => waiting[nth]?.resolve(position));
    this.#goOn();
  }

  /** Nothing of a batch is published if one of its events is refused: the others are not to suffer for that. */
  #refused(events: number, error: EmitError): void {
    if (events > 1) {
      this.#eventsMax = Math.floor(events / 2);
      return;
    }
    this.#reject(1, error);
    this.#goOn();
  }

  #goOn(): void {
    this.#eventsMax = this.#options.batchEvents;
    this.#backoff = newBackoff();
  }

  #reject(events: number, error: EmitError): void {
    for (const waiting of this.#waiting.splice(0, events)) waiting.reject(error);
  }

  /** Gives up those that have waited for too long, and waits for the next attempt. */
  async #wait(reason: string, retryAfterMs: number): Promise<void> {
    const delayMs = this.#backoff.next(0, retryAfterMs);
    const { giveUpMs } = this.#options;
    const next = performance.now() + delayMs;
    const young = this.#waiting.findIndex(({ emittedMs }) => next - emittedMs < giveUpMs);
    const problem = `not known to be published after ${giveUpMs} ms: ${reason}`;
    this.#reject(young < 0 ? this.#waiting.length : young, new EmitError("gave_up", problem));
    if (this.#waiting.length > 0) await new Promise((resolve) => setTimeout(resolve, delayMs));
  }
}

function newBackoff(): Backoff {
  return new Backoff(Math.random, BACKOFF_MAX_MS);
}
