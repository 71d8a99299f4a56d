/** A page's connection to a Tiercast server and to the peers around it. */
import { type Code } from "./codec/code.js";
import { type SubscribeOptions } from "./options.js";
import { type ClientStats } from "./stats.js";
import { Subscription } from "./subscription.js";
/** News of a client. */
export type ClientStatus = {
    readonly kind: "connecting";
}
/** The server has answered; `peer` is what it calls the page. */
 | {
    readonly kind: "connected";
    readonly peer: number;
}
/** The connection is gone and will be tried again after `retryMs`. Links go on working. */
 | {
    readonly kind: "disconnected";
    readonly code: Code;
    readonly reason: string;
    readonly retryMs: number;
}
/** The connection is gone for good: the server said that coming back makes no sense, or `close` was called. */
 | {
    readonly kind: "closed";
    readonly code: Code;
    readonly reason: string;
}
/** The server refused something that belongs to no subscription. */
 | {
    readonly kind: "refused";
    readonly code: Code;
    readonly reason: string;
}
/** The link to another peer is gone. Whatever it fed is fed by the server until there is another. */
 | {
    readonly kind: "link_lost";
    readonly peer: number;
    readonly code: Code;
};
export declare class Client {
    #private;
    /** Asks for a channel. It goes on over reconnects, from where it was. Throws if there is a subscription for it. */
    subscribe(channel: string, options?: SubscribeOptions): Subscription;
    /** Calls `listener` with each change of status, until the function that it returns is called. */
    on(type: "status", listener: (status: ClientStatus) => void): () => void;
    /** Counters and neighbours, as they are now. */
    stats(): ClientStats;
    /** Says goodbye to the peers and the server. Subscriptions end, without an error. */
    close(): void;
}
