/** A text that cannot name a channel. */
declare class ChannelNameError extends Error {
    readonly name = "ChannelNameError";
    constructor(text: string);
}
/** Parts that give no name. */
declare class EventNameError extends Error {
    readonly name = "EventNameError";
    readonly reason: "type" | "empty" | "character" | "too_long";
}
/**
 * The routing key of an event that tells what happened to a thing: `eventName("ticket", 1234, "updated")`. Three parts, always, so
 * that patterns are predictable: `ticket.1234.*`, `ticket.*.deleted`, `ticket.#`. Throws {@link EventNameError}.
 */
declare function eventName(thing: string, id: string | number | bigint, what: string): string;
/** An event's place in its channel. -1 ({@link BEFORE_FIRST}) is the place before the first event. */
type Offset = number;
/** The lifetime of a channel's numbering. A later numbering has a larger epoch wherever clocks allow. */
type Epoch = number;
/** "I have everything up to and including `offset`, in the numbering `epoch`." */
interface Position {
    /** Which numbering. */
    readonly epoch: Epoch;
    /** Last offset taken. */
    readonly offset: Offset;
}
/** The text form, used in URLs, SSE ids and JSON: `<epoch>-<offset>`. */
declare function formatPosition({ epoch, offset }: Position): string;
/**
 * `bad_server`: not a server's address. `bad_key`: no header can hold it. `bad_data`: it cannot be written as JSON, its body is no
 * bytes, its message id no text, or it has a field that there is none of. `full`: too many events wait already; this one was not sent.
 * `refused`: the server does not take the event, and never will; nothing was published. `gave_up`: it is not known whether the
 * event is published; if that matters, publish it again under the same message id.
 */
type EmitProblem = "bad_server" | "bad_key" | "bad_data" | "full" | "refused" | "gave_up";
/** Why an event was not published, or may not have been. */
declare class EmitError extends Error {
    readonly name = "EmitError";
    readonly reason: EmitProblem;
    /** The HTTP status of what was refused. */
    readonly status: number | undefined;
    /** The protocol's code for the same thing, if it has one. */
    readonly code: number | undefined;
}
/** An event that is to be published. Its body is one of `json`, `text` and `body`, or empty. */
interface NewEvent {
    /** Such as `eventName` gives; at most 255 bytes. */
    readonly routingKey: string;
    /** Of two events under the same id the server publishes one, within its window. Not empty. Default: one that is made up. */
    readonly messageId?: string;
    /** The MIME type of the body; with `json` it is `application/json`, with `text` plain text, if nothing else is said. */
    readonly contentType?: string;
    /** When it happened, in seconds since the Unix epoch. */
    readonly timestamp?: number;
    /** Application headers. */
    readonly headers?: Readonly<Record<string, unknown>>;
    /** A value that JSON can hold. */
    readonly json?: unknown;
    readonly text?: string;
    /** Byte for byte: what a buffer, or any view of one, holds. */
    readonly body?: ArrayBuffer | ArrayBufferView;
}
/** How events are published. The defaults suit a server with defaults of its own. */
interface EmitOptions {
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
/** Publishes events to one channel of a server, in the order in which they are emitted, each once. */
declare class Emitter {
    #private;
    /**
     * For a channel that is the server's own (`source = "embedded"`). `server` is such as `http://127.0.0.1:8780`, `key` an API key,
     * which no page should have. Throws {@link EmitError}, `ChannelNameError`, `RangeError` for an option out of bounds, or
     * `TypeError` for one that there is none of.
     */
    constructor(server: string | URL, channel: string, key: string, options?: EmitOptions);
    /**
     * Tells what happened to a thing: `emit("ticket", 1234, "updated", ticket)` publishes the ticket as JSON under
     * `ticket.1234.updated`. Gives the position of the event once it is published; rejects with {@link EmitError} or `EventNameError`.
     */
    emit(thing: string, id: string | number | bigint, what: string, data?: unknown): Promise<Position>;
    /**
     * Publishes an event, and gives its position; if one with the same message id was published before, that one's. Rejects with
     * {@link EmitError}.
     */
    publish(event: NewEvent): Promise<Position>;
}
export { ChannelNameError, EmitError, EmitOptions, EmitProblem, Emitter, EventNameError, NewEvent, Position, eventName, formatPosition };
