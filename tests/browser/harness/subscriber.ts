/** One who listens to a channel, native or in a browser: what it was given, and what it said about itself. */
import { Changing } from "./changing.js";

export interface EventItem {
  readonly kind: "event";
  /** When it came, by the tests' clock. */
  readonly atMs: number;
  readonly position: string;
  readonly routingKey: string;
  readonly exchange: string;
  readonly contentType: string | undefined;
  readonly messageId: string | undefined;
  readonly timestamp: number | undefined;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: Buffer;
}

export interface GapItem {
  readonly kind: "gap";
  readonly from: string;
  readonly to: string;
  readonly reason: string;
}

export type Item = EventItem | GapItem;

export type News =
  | { readonly kind: "connected"; readonly peer: number }
  | { readonly kind: "disconnected"; readonly reason: string; readonly isForGood: boolean }
  | { readonly kind: "subscribed"; readonly position: string; readonly recovered: boolean }
  | { readonly kind: "placed"; readonly tier: number }
  | { readonly kind: "parent"; readonly parent: number | undefined }
  | { readonly kind: "children"; readonly count: number }
  | { readonly kind: "link_lost"; readonly peer: number; readonly code: number };

export abstract class Subscriber extends Changing {
  readonly name: string;
  readonly items: Item[] = [];
  readonly news: News[] = [];

  constructor(name: string) {
    super();
    this.name = name;
  }

  abstract stop(): Promise<void>;
  /** What is known about it, for the report of a failure. */
  abstract describe(): string;

  get events(): EventItem[] {
    return this.items.filter((item) => item.kind === "event");
  }

  get gaps(): GapItem[] {
    return this.items.filter((item) => item.kind === "gap");
  }

  /** What the server calls it now. */
  get peer(): number {
    const connected = this.news.findLast((news) => news.kind === "connected");
    if (connected === undefined) throw new Error(`${this.name} was never connected`);
    return connected.peer;
  }

  /** Who feeds it; undefined is the server. */
  get parent(): number | undefined {
    return this.news.findLast((news) => news.kind === "parent")?.parent;
  }

  /** Codes of the links that it lost. */
  get linkCodes(): number[] {
    return this.news.filter((news) => news.kind === "link_lost").map(({ code }) => code);
  }

  /** Codes of links that were lost because somebody did what is not allowed. A busy machine loses others now and then. */
  get faults(): number[] {
    return this.linkCodes.filter((code) => code >= 3500);
  }

  async subscribed(times = 1): Promise<void> {
    await this.untilNews("is subscribed", () => this.news.filter(({ kind }) => kind === "subscribed").length >= times);
  }

  async fedBy(parent: Subscriber | undefined): Promise<void> {
    const who = parent === undefined ? "the server" : parent.name;
    await this.untilNews(`is fed by ${who}`, () => this.parent === parent?.peer);
  }

  async has(count: number): Promise<void> {
    await this.untilNews(`has ${count} events`, () => this.events.length >= count);
  }

  async untilNews<T>(what: string, condition: () => T | undefined | false): Promise<T> {
    try {
      return await this.until(`${this.name} ${what}`, condition);
    } catch (error) {
      const state = `${this.events.length} events, ${this.gaps.length} gaps, fed by ${this.parent ?? "the server"}`;
      throw new Error(`${error instanceof Error ? error.message : String(error)}; it has ${state}`, { cause: error });
    }
  }
}
