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
/** An event as `capture` gives it, or as a client of ours has received it. */
interface ComparedEvent {
    readonly routingKey: string;
    readonly body: Uint8Array;
}
/**
 * Asserts that events have these routing keys and bodies, in this order: bodies as JSON, as a text where they are no JSON, or as
 * bytes where they are neither. Throws Node's `AssertionError`, which shows the difference, and a `TypeError` where one of the two
 * is no list.
 */
declare function assertEvents(events: Iterable<ComparedEvent>, expected: Iterable<readonly [routingKey: string, body: unknown]>): void;
/** An event that was published. */
declare class TestEvent {
    readonly position: Position;
    readonly routingKey: string;
    readonly contentType: string | undefined;
    readonly messageId: string | undefined;
    /** In seconds; beyond 2^53 - 1 a text of digits. */
    readonly timestamp: number | string | undefined;
    readonly headers: Readonly<Record<string, unknown>>;
    /** Byte for byte. */
    readonly body: Uint8Array;
    /** The body as text. */
    text(): string;
    /** What the body says in JSON. */
    json(): unknown;
}
interface TestServerOptions {
    /** Channels of the server's own, which are published to over HTTP and kept in memory. */
    readonly channels: readonly string[];
    /** The program. Default: what SIGNALING_SERVER names, or `signaling-server` wherever programs are looked for. */
    readonly program?: string;
    /** Further settings, as `--set` takes them: `{ "limits.publish_bytes": 4096 }`. */
    readonly settings?: Readonly<Record<string, string | number | boolean>>;
}
/** A running server. */
declare class TestServer {
    #private;
    /** Where it is: `http://127.0.0.1:PORT`. */
    readonly url: string;
    /** A key to publish with. */
    readonly key: string;
    private constructor();
    /** Starts a server, and waits until its channels can be published to. Rejects with what it says if it does not start. */
    static start(options: TestServerOptions): Promise<TestServer>;
    /** The position of the newest event of a channel. */
    head(channel: string): Promise<Position>;
    /** The events of a channel after one position, up to another. Rejects if the server does not have all of them any more. */
    events(channel: string, after: Position, to: Position): Promise<TestEvent[]>;
    /** Ends it, with everything that is connected to it. */
    stop(): Promise<void>;
}
/** What a piece of code gave, and what was published meanwhile. */
interface Captured<T> {
    readonly result: T;
    readonly events: TestEvent[];
}
/**
 * Runs a piece of code, and gives its result and exactly the events that were published in a channel meanwhile, in order. What the
 * code leaves to others, and does not wait for, may come too late.
 */
declare function capture<T>(server: TestServer, channel: string, code: () => T): Promise<Captured<Awaited<T>>>;
/** What a piece of code has received: that adds to it, and the test waits for it. */
declare class Received<T> {
    #private;
    /** Adds something. May be given away as it is: `subscription.on("event", received.add)`. */
    readonly add: (received: T) => void;
    /** What there is, in order. */
    get soFar(): readonly T[];
    /**
     * Waits until something is there of which `isLast` says so, and gives what there is up to it. `what` is for people: it is in the
     * error, with what has come, if that takes more than a minute.
     */
    until(what: string, isLast: (received: T) => boolean): Promise<T[]>;
}
export { Captured, ComparedEvent, Position, Received, TestEvent, TestServer, TestServerOptions, assertEvents, capture, formatPosition };
