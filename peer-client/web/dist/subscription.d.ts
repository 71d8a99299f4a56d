/** A subscription, as the application has it. */
import { type Code } from "./codec/code.js";
import type { Event } from "./codec/event.js";
import type { GapReason, Position } from "./codec/position.js";
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
{
    readonly kind: "subscribed";
    readonly position: Position;
    readonly recovered: boolean;
}
/** The page has a place in the tree: 1 is fed by the server for good, n by a peer of n - 1, 0 has none. */
 | {
    readonly kind: "placed";
    readonly tier: number;
}
/** Somebody else feeds the page now; no `parent`: the server. */
 | {
    readonly kind: "parent";
    readonly parent: number | undefined;
}
/** A child has come or gone. */
 | {
    readonly kind: "children";
    readonly count: number;
}
/** The server refused it, and it has ended. */
 | {
    readonly kind: "refused";
    readonly code: Code;
    readonly reason: string;
};
/** What is waited for with `for await`. */
export type Notification = EventNotification | GapNotification;
/** Why a subscription ended that the application did not end. */
export declare class SubscriptionError extends Error {
    readonly name = "SubscriptionError";
    readonly code: Code;
    constructor(code: Code, reason: string);
}
interface SubscriptionEvents extends Readonly<Record<string, unknown>> {
    readonly event: EventNotification;
    readonly gap: GapNotification;
    readonly status: StatusNotification;
}
export declare class Subscription implements AsyncIterable<Notification> {
    #private;
    readonly channel: string;
    /** What the page has of the channel; undefined until the server has said where the subscription starts. */
    get position(): Position | undefined;
    /** Calls `listener` with each event, gap or change of status, until the function that it returns is called. */
    on<K extends "event" | "gap" | "status">(type: K, listener: (value: SubscriptionEvents[K]) => void): () => void;
    /** Ends the subscription. Iterations end, without an error. */
    unsubscribe(): void;
    /** Events and gaps in order. Nothing is fetched from the log before it is asked for: the loop sets the pace. */
    [Symbol.asyncIterator](): AsyncIterator<Notification, undefined>;
}
export {};
