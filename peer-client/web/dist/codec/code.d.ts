/**
 * The one table of close and error codes.
 *
 * 3000-3499: reconnect, no earlier than told. 3500-3999: do not, something must change first.
 */
/** A close or error code. Codes from a newer build are kept as they are. */
export type Code = number;
/** Every code of this build by its name, as in the documentation. */
export declare const Code: {
    /** The server is shutting down or restarting. */
    readonly shutdown: 3000;
    /** Nothing was heard for too long. */
    readonly silent: 3001;
    /** The session does not read its control messages. */
    readonly slow: 3002;
    /** The server has all the sessions it takes. */
    readonly full: 3003;
    /** The channel's source has not said yet where the channel is. */
    readonly not_ready: 3004;
    /** Departing on purpose. */
    readonly departed: 3100;
    /** The other end of a link is gone. */
    readonly lost: 3101;
    /** A link could not be set up. */
    readonly link_failed: 3102;
    /** The parent no longer has what the child needs next. */
    readonly unavailable: 3103;
    /** The application does not take its events fast enough to go on relaying. */
    readonly lagging: 3104;
    /** The hub changed the tree. */
    readonly replaced: 3105;
    /** An end of a link signaled more than the hub forwards, or the other end does not read its signals. */
    readonly signal_limit: 3106;
    /** A frame, head or message that cannot be decoded. */
    readonly malformed: 3500;
    /** A signature that is not the server's. */
    readonly bad_signature: 3501;
    /** A protocol version that this server does not speak. */
    readonly unsupported_version: 3502;
    /** A message that is not allowed now or not from this side. */
    readonly unexpected: 3503;
    /** A link token that was not expected here. */
    readonly bad_token: 3504;
    /** No such channel. */
    readonly unknown_channel: 3505;
    /** A request with values out of bounds. */
    readonly bad_request: 3506;
    /** A message of an unknown type; it was ignored. */
    readonly unknown_message: 3507;
    /** Not subscribed to this channel. */
    readonly not_subscribed: 3508;
};
/** The code's name; "unknown" for one of a newer build. */
export declare function codeName(code: Code): string;
/** Whether one who was closed with this code should come back by itself. */
export declare function mayReconnect(code: Code): boolean;
