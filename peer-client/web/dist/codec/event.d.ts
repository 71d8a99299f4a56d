/** An event: one published message, with everything its publisher said about it. */
import type { Offset } from "./position.js";
/** One published message and its offset in the channel. */
export interface Event {
    /** Position in the channel; strictly increasing, not always by one. */
    readonly offset: Offset;
    /** AMQP routing key, words separated by dots. */
    readonly routingKey: string;
    /** AMQP exchange it was published to; empty for the embedded source. */
    readonly exchange: string;
    /** MIME type of the body, if the publisher gave one. */
    readonly contentType: string | undefined;
    /** The publisher's own id for the message, if given. */
    readonly messageId: string | undefined;
    /** The publisher's timestamp in seconds since the Unix epoch, if given. A bigint beyond 2^53 - 1. */
    readonly timestamp: number | bigint | undefined;
    /** Application headers. The object has no prototype. */
    readonly headers: HeaderTable;
    /** The body, byte for byte; a copy that is yours. */
    readonly body: Uint8Array;
}
/** Headers, or a table inside of them. */
export interface HeaderTable {
    readonly [key: string]: HeaderValue;
}
/** The value of an application header. Integers beyond 2^53 - 1 are bigints. */
export type HeaderValue = null | boolean | number | bigint | string | Uint8Array | readonly HeaderValue[] | HeaderTable;
