/** A call that the driver should not have made; the peer is unchanged. */
export declare class CommandError extends Error {
    readonly name = "CommandError";
    readonly reason: "already_subscribed" | "not_subscribed";
    constructor(reason: "already_subscribed" | "not_subscribed", channel: string);
}
