/** A close or error code. Codes from a newer build are kept as they are. */
type Code = number;
/** Every code of this build by its name, as in the documentation. */
declare const Code: {
    /** The server is shutting down or restarting. */
    readonly shutdown: 3000;
    /** Nothing was heard for too long. */
    readonly silent: 3001;
    /** The session does not read its control messages. */
    readonly slow: 3002;
    /** The server has all that it takes: sessions or, of a broker, dynamic channels and bindings. */
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
    /** The other end is a parent that stays behind the channel. */
    readonly stale: 3107;
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
    /** The configuration, or the broker, does not allow it. */
    readonly not_allowed: 3509;
    /** The broker has no such exchange. */
    readonly unknown_exchange: 3510;
    readonly expired: 3511;
};
/** The code's name; "unknown" for one of a newer build. */
declare function codeName(code: Code): string;
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
/** Why events are gone: no longer retained; the numbering began anew; the source lost them, or they are too large. */
type GapReason = "retention" | "epoch" | "source";
/** A text that is not a position. */
declare class PositionError extends Error {
    readonly name = "PositionError";
    constructor(text: string);
}
/** The text form, used in URLs, SSE ids and JSON: `<epoch>-<offset>`. */
declare function formatPosition({ epoch, offset }: Position): string;
/** Reads the text form; throws {@link PositionError}. */
declare function parsePosition(text: string): Position;
/** What a page does for others: see {@link ConnectOptions.relay}. */
type Relaying = "always" | "polite" | "never";
/** Where servers are: one, or several of which one at a time is used. */
type ServerUrls = string | URL | readonly (string | URL)[];
/** Options of {@link connect}. */
interface ConnectOptions {
    /**
     * Whether to take part in the mesh: to be fed by other peers and to feed others. `polite`: feeds nobody while the page
     * is hidden or its line metered. `always`: then, too. `never`: peers that are linked learn each other's addresses; so
     * nobody but the server learns the page's, and the server feeds it for good. Default `polite`; `never` where the browser
     * has no WebRTC.
     */
    readonly relay?: Relaying;
    /** Most peers to feed, per channel. 0: be fed by others, feed nobody. Default 4, at most 64. */
    readonly maxChildren?: number;
    /**
     * Most connections to other peers at a time. Each channel has three of them for those who feed the page, and an equal
     * share of the others for those whom the page feeds. Default 8, 1 to 256.
     */
    readonly maxConnections?: number;
    /** A polite page that has been hidden for so long gives back those whom it feeds. Default 10 s, at most an hour. */
    readonly hiddenAfterMs?: number;
    /**
     * Most bytes of frames kept per channel, for children and for an application that is slow. When it is half full of
     * what the application has not taken, whoever feeds the page waits until it has. Default 4 MiB, 64 KiB to 256 MiB.
     */
    readonly logBytes?: number;
    /** STUN and TURN servers besides those that the server names. Default: none. */
    readonly iceServers?: readonly RTCIceServer[];
    /** `relay`: connect to other peers through TURN servers only, so that they do not learn our address. Default `all`. */
    readonly iceTransportPolicy?: RTCIceTransportPolicy;
    /** Program and version, for the server's operator; at most 128 characters. Default: this library's. */
    readonly client?: string;
    /**
     * Whether a Web Worker verifies, inflates and decodes what comes in, which keeps a page free that is busy. True: its script,
     * `tiercast-worker.js`, lies beside that of this library; a URL: there. Where there is no worker the page does it, and the
     * status `no_worker` says why. Default: no.
     */
    readonly worker?: boolean | string | URL;
    /** Closes the client when it is aborted. */
    readonly signal?: AbortSignal;
}
/** Options of {@link Client.subscribe}. */
interface SubscribeOptions {
    /**
     * Where to start: `now`, what is published from now on; `earliest`, everything that the server retains; or a
     * position, everything after it, as an object or as the text `<epoch>-<offset>`. Default `now`.
     */
    readonly since?: "now" | "earliest" | Position | (string & {});
    /**
     * AMQP topic patterns of the routing keys wanted: words between dots, `*` is one word, `#` any number of words.
     * Applied here, at delivery. Default: all events.
     */
    readonly match?: string | readonly string[];
    /**
     * A name, under which the browser keeps how far the application is. A page that is loaded again, or opened again later,
     * goes on there, and at `since` only the first time. See the README for several tabs. Default: nothing is kept.
     */
    readonly remember?: string;
    /** Ends the subscription when it is aborted; loops end, without an error. */
    readonly signal?: AbortSignal;
}
/** A neighbour that a channel is relayed to. */
interface Child {
    /** What it is called in the tree. */
    readonly peer: number;
    /** Bytes of frames handed to it. */
    readonly bytes: number;
}
/** What a peer counts since it was made. */
interface PeerStats {
    /** Frames taken: verified and kept. */
    frames: number;
    /** Bytes of the frames taken that the server sent. */
    serverBytes: number;
    /** Bytes of the frames taken that a parent sent. */
    parentBytes: number;
    /** Frames that were there already. */
    duplicates: number;
    /** Frames not taken because something before them was missing, or there was no room. */
    notTaken: number;
    /** Events given to the application, wanted or not. */
    delivered: number;
    /** Gaps that the application was told of. */
    gaps: number;
    /** Bytes of frames handed to children. */
    relayedBytes: number;
    /** Frames handed to children. */
    relayedFrames: number;
    /** Frames and heads whose signature was not the server's. */
    badSignatures: number;
    /** Messages that could not be decoded. */
    malformed: number;
    /** Times that the server was asked to feed again. */
    feeds: number;
    /** Times that the server was asked for what neither parent nor standby had brought. */
    pulls: number;
    /** Times that a parent or standby was asked again for what had not come. */
    nacks: number;
    /** Frames that children asked for again. */
    repeatedFrames: number;
    /** Times that a child asked for something again and was given nothing, as it had asked for too much. */
    nacksRefused: number;
    /** Times that the standby took the parent's place because it is the faster one. */
    exchanges: number;
    /** Times that the standby took the parent's place because it was ahead. */
    swaps: number;
    /** Times that the application was so slow that the peer held up those who feed it. */
    stalls: number;
}
/** Why a page feeds nobody. */
type Resting = "hidden" | "metered";
interface ClientStats extends Readonly<PeerStats> {
    /** What the server calls the page; undefined while there is no connection to it. */
    readonly peer: number | undefined;
    /** The server that there is a connection to, or the next one. */
    readonly server: string | undefined;
    /** Times that the connection to a server was made again. */
    readonly reconnects: number;
    /** The server's clock minus the page's, in microseconds; good to half a round trip. */
    readonly clockOffsetUs: number | undefined;
    /** How many others the page feeds at most, per channel, as things are now. */
    readonly childrenMax: number;
    /** Why the page feeds nobody now; undefined: it does, as far as it may. */
    readonly resting: Resting | undefined;
    /** Links to other peers, of all channels, that there are now or that wait for a connection. */
    readonly links: number;
    /** Connections to other peers, which links share, that there are now; one that is being closed counts. */
    readonly connections: number;
    /** Connections to other peers that there have been. */
    readonly connectionsOpened: number;
    /** Every subscription. */
    readonly channels: readonly ChannelStats[];
}
interface ChannelStats {
    readonly channel: string;
    /** What the page has. */
    readonly position: Position | undefined;
    /** 1 is fed by the server for good, n by a peer of n - 1, 0 has no place in the tree. */
    readonly tier: number;
    /** The peer that feeds the page; undefined: the server. */
    readonly parent: number | undefined;
    /** The peers that the page feeds, and the bytes handed to each. */
    readonly children: readonly Child[];
}
/** One published message and its offset in the channel. */
interface Event {
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
interface HeaderTable {
    readonly [key: string]: HeaderValue;
}
/** The value of an application header. Integers beyond 2^53 - 1 are bigints. */
type HeaderValue = null | boolean | number | bigint | string | Uint8Array | readonly HeaderValue[] | HeaderTable;
/** The body of an event is not what it was taken for. */
declare class BodyError extends Error {
    readonly name = "BodyError";
}
/** An event of the channel. */
declare class EventNotification implements Event {
    #private;
    readonly type = "event";
    readonly channel: string;
    /** Its position: what to give as `since` to go on after it. */
    readonly position: Position;
    /** When the server sealed its frame, in microseconds since the Unix epoch, by the server's clock. */
    readonly sealedUs: number;
    readonly offset: Offset;
    readonly routingKey: string;
    readonly exchange: string;
    readonly contentType: string | undefined;
    readonly messageId: string | undefined;
    readonly timestamp: number | bigint | undefined;
    readonly headers: HeaderTable;
    readonly body: Uint8Array;
    /** The body as text. Throws {@link BodyError} if it is not UTF-8. */
    text(): string;
    /** What the body says in JSON. Throws {@link BodyError} if it is not JSON in UTF-8. */
    json(): unknown;
}
/** Events that are gone for good: those after `from`, up to where the channel goes on. */
interface GapNotification {
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
/** What is waited for with `for await`. */
type Notification = EventNotification | GapNotification;
/** News of a subscription. */
interface StatusNotification {
    readonly type: "status";
    readonly channel: string;
    readonly status: SubscriptionStatus;
}
type SubscriptionStatus = 
/** The server has granted it, for the first time or after a reconnect. If not `recovered`, a gap follows. */
{
    readonly kind: "subscribed";
    readonly position: Position;
    readonly recovered: boolean;
}
/** All that was published up to a reconnect has been given: so many events that the server brought after it. */
 | {
    readonly kind: "recovered";
    readonly count: number;
}
/** `pause` was called: neither events nor gaps follow until `resumed`. */
 | {
    readonly kind: "paused";
} | {
    readonly kind: "resumed";
}
/** The browser keeps no positions, although `remember` asks for it. */
 | {
    readonly kind: "not_remembered";
    readonly reason: string;
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
/** Why a subscription ended that the application did not end. */
declare class SubscriptionError extends Error {
    readonly name = "SubscriptionError";
    readonly code: Code;
    constructor(code: Code, reason: string);
}
interface SubscriptionEvents extends Readonly<Record<string, unknown>> {
    readonly event: EventNotification;
    readonly gap: GapNotification;
    readonly status: StatusNotification;
}
declare class Subscription implements AsyncIterable<Notification> {
    #private;
    readonly channel: string;
    /**
     * How far the application is: it has been given everything that it wants up to here, what it was given last included.
     * As `since` it goes on after that. Undefined until the server has said where the subscription starts.
     */
    get position(): Position | undefined;
    get isPaused(): boolean;
    /**
     * Gives no events and gaps until `resume`. What comes meanwhile waits in the page's log; when that is half full, the page
     * gives back its children, and whoever feeds it waits. What is still retained when it goes on is given then, the rest is
     * one gap.
     */
    pause(): void;
    /** Goes on where it was paused. */
    resume(): void;
    /**
     * Wants the events that match this pattern, too, from the next event on; false if it did before. What was passed over
     * before does not come again. Who has named no pattern wants `#`, everything. Throws {@link PatternError}.
     */
    bind(pattern: string): boolean;
    /**
     * No longer wants the events that match this pattern and no other, from the next event on; false if it was not among the
     * patterns. Without any pattern nothing is wanted, and only gaps come.
     */
    unbind(pattern: string): boolean;
    /** Calls `listener` with each event, gap or change of status, until the function that it returns is called. */
    on<K extends "event" | "gap" | "status">(type: K, listener: (value: SubscriptionEvents[K]) => void): () => void;
    /** Ends the subscription. Iterations end, without an error. */
    unsubscribe(): void;
    /** Events and gaps in order. Nothing is fetched from the log before it is asked for: the loop sets the pace. */
    [Symbol.asyncIterator](): AsyncIterator<Notification, undefined>;
}
/** News of a client. */
type ClientStatus = {
    readonly kind: "connecting";
    readonly server: string;
}
/** The server has answered; `peer` is what it calls the page. */
 | {
    readonly kind: "connected";
    readonly peer: number;
    readonly server: string;
}
/** The connection is gone, or the attempt has failed; `reconnecting` follows. Links go on working. */
 | {
    readonly kind: "disconnected";
    readonly code: Code;
    readonly reason: string;
}
/** It is tried again in `delayMs`. `attempt`: how many there will have been since one succeeded. */
 | {
    readonly kind: "reconnecting";
    readonly attempt: number;
    readonly delayMs: number;
    readonly server: string;
}
/** The connection is gone for good: every server said that coming back makes no sense, or `close` was called. */
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
/** The page decodes what comes in, although `worker` asks for a Web Worker. Nothing is lost by that. */
 | {
    readonly kind: "no_worker";
    readonly reason: string;
}
/** The link to another peer is gone. Whatever it fed is fed by the server until there is another. */
 | {
    readonly kind: "link_lost";
    readonly peer: number;
    readonly code: Code;
};
declare class Client {
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
/** A text that cannot name a channel. */
declare class ChannelNameError extends Error {
    readonly name = "ChannelNameError";
    constructor(text: string);
}
/** A text that is not a pattern. */
declare class PatternError extends Error {
    readonly name = "PatternError";
    constructor(text: string);
}
/** Why a client cannot even begin to connect. Trying again would not help. */
declare class ConnectError extends Error {
    readonly name = "ConnectError";
    /**
     * `bad_url`: not the address of a server. `insecure`: a page of `https` may not connect to `ws`. `no_websocket`: there
     * is no WebSocket here, as in Node before 22.
     */
    readonly reason: "bad_url" | "insecure" | "no_websocket";
    constructor(reason: ConnectError["reason"], message: string);
}
/** A call that the driver should not have made; the peer is unchanged. */
declare class CommandError extends Error {
    readonly name = "CommandError";
    readonly reason: "already_subscribed" | "not_subscribed";
    constructor(reason: "already_subscribed" | "not_subscribed", channel: string);
}
/**
 * Connects to a server, and stays connected until `close`. Of several it uses one at a time, at first any of them, and turns
 * to another one when it cannot reach that or is sent away; where they have the same streams nothing is lost or repeated.
 *
 * A server's address may be a path of the page's own server; `http` and `https` mean `ws` and `wss`, and without a path `/v1/ws` is
 * meant. Throws {@link ConnectError} if nothing can be reached by it, `RangeError` for an option out of bounds and
 * `TypeError` for one that there is none of.
 */
declare function connect(servers: ServerUrls, options?: ConnectOptions): Client;
export { BodyError, ChannelNameError, ChannelStats, Child, Client, ClientStats, ClientStatus, Code, CommandError, ConnectError, ConnectOptions, Event, EventNotification, GapNotification, GapReason, HeaderTable, HeaderValue, Notification, PatternError, Position, PositionError, Relaying, Resting, ServerUrls, StatusNotification, SubscribeOptions, Subscription, SubscriptionError, SubscriptionStatus, codeName, connect, formatPosition, parsePosition };
