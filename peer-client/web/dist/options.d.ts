import { type Position } from "./codec/position.js";
/** Options of {@link connect}. */
export interface ConnectOptions {
    /**
     * Whether to take part in the mesh: to be fed by other peers and to feed others. Peers that are linked learn each
     * other's addresses; with `false` nobody but the server does, and the server feeds the page for good. Default:
     * true where the browser has WebRTC.
     */
    readonly relay?: boolean;
    /** Most peers to feed. 0: be fed by others, feed nobody. Default 4, at most 64. */
    readonly maxChildren?: number;
    /**
     * Most bytes of frames kept per channel, for children and for an application that is slow. When it is full of
     * what the application has not taken, no more is fetched until it has. Default 4 MiB, 64 KiB to 256 MiB.
     */
    readonly logBytes?: number;
    /** STUN and TURN servers besides those that the server names. Default: none. */
    readonly iceServers?: readonly RTCIceServer[];
    /** `relay`: connect to other peers through TURN servers only, so that they do not learn our address. Default `all`. */
    readonly iceTransportPolicy?: RTCIceTransportPolicy;
    /** Program and version, for the server's operator; at most 128 characters. Default: this library's. */
    readonly client?: string;
}
/** Options of {@link Client.subscribe}. */
export interface SubscribeOptions {
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
}
