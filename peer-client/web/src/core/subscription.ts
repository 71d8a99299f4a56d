/** One subscription of a peer: its log, the application's cursor, and its place in the tree. */
import {
  type Frame,
  type Head,
  type Position,
  type Since,
  comparePositions,
} from "../codec/index.js";
import { Ahead, beginsAnew } from "./ahead.js";
import type { LogLimits } from "./config.js";
import { FrameLog, covers } from "./log.js";
import { type Delivery, Reader } from "./reader.js";
import { Watch } from "./watch.js";

/**
 * How a frame relates to what we have: it comes next; it is the first of a newer numbering; we have it; something before it
 * is missing.
 */
export type Relation = "next" | "new_epoch" | "duplicate" | "ahead";

/**
 * The application is too slow: until it has caught up nobody is told how far we are, so that those who feed us wait, and
 * there are neither children nor a new parent.
 */
export interface Stall {
  /**
   * Whether to ask for what comes next when it ends, as it will not come by itself: it came and was not taken, or the
   * parent is gone.
   */
  readonly mustAsk: boolean;
  /** Room that there must be before it ends: for the largest frame that was not taken. */
  readonly refusedBytes: number;
}

/** A subscription of a peer. */
export class Subscription {
  readonly channel: string;
  /** The link that feeds us. Undefined: the server does. */
  parent: number | undefined;
  /** The link that shall feed us next. */
  joining: number | undefined;
  /** The link that feeds us when our parent does not. */
  standby: number | undefined;
  readonly children = new Set<number>();
  /** The newest head that was verified. */
  head: Head | undefined;
  tier = 0;
  /** The request that waits for its answer. */
  request: number | undefined;
  /** The parent that was named in it, which spares the server feeding us. */
  namedParent: number | undefined;
  /** Whether the server was asked to feed in this session and nothing was taken since. */
  hasAsked = false;
  /** Whether who feeds us does so. */
  readonly watch: Watch;
  /** What came before its turn. */
  readonly ahead = new Ahead();
  /** Children are served from here on only: what is older was signed with keys that they do not know. */
  servesFrom: Position | undefined;
  /** Bytes of frames that came from the server since it was last told how far we are. */
  unsaidBytes = 0;
  /** There while the application is too slow. */
  stall: Stall | undefined;
  /** Exists once the server has said where the subscription starts. */
  taken: Taken | undefined;
  readonly #since: Since;

  constructor(now: number, channel: string, since: Since) {
    this.channel = channel;
    this.watch = new Watch(now);
    this.#since = since;
  }

  /** Where to start when subscribing now. */
  get since(): Since {
    return this.position ?? this.#since;
  }

  /** What we have. */
  get position(): Position | undefined {
    return this.taken?.log.head;
  }

  /** The children's links, in order. */
  get childrenInOrder(): number[] {
    return [...this.children].sort((a, b) => a - b);
  }

  /** The server has said where the subscription starts or, after a reconnect, goes on; and how far the channel is. */
  start(position: Position, head: Position, limits: LogLimits): void {
    if (this.taken === undefined) this.taken = new Taken(new FrameLog(limits, position), new Reader(position));
    else this.taken.reader.catchUp(head);
  }

  /** The next delivery for the application. */
  nextDelivery(): Delivery | undefined {
    return this.taken?.reader.next(this.channel, this.taken.log);
  }
}

/** What a subscription has got so far. */
export class Taken {
  readonly log: FrameLog;
  readonly reader: Reader;

  constructor(log: FrameLog, reader: Reader) {
    this.log = log;
    this.reader = reader;
  }

  /** How a frame relates to what we have: the delivery rule. */
  relation(frame: Frame): Relation {
    const position = this.log.head;
    if (covers(frame, position)) return "next";
    if (comparePositions(frame.position, position) <= 0) return "duplicate";
    return beginsAnew(frame, position) ? "new_epoch" : "ahead";
  }

  /** Whether the log holds all that the application has not read, and has room for so much more. */
  hasRoom(entries: number, bytes: number): boolean {
    return this.log.hasRoom(this.reader.position, entries, bytes);
  }

  /** Whether what the application has not read fills more than half of the log. */
  get isBehind(): boolean {
    return !this.log.fillsAtMost(this.reader.position, 2);
  }

  /**
   * Whether what the application has not read fills a quarter of the log at most. So that a stall that has just ended
   * does not begin again at once, this is less than what it begins with.
   */
  get hasCaughtUp(): boolean {
    return this.log.fillsAtMost(this.reader.position, 4);
  }
}
