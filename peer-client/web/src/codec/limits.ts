/** The format's limits. Every decoder checks them before it reserves memory. */

/** Longest channel name, in bytes. */
export const CHANNEL_NAME_BYTES_MAX = 128;
/** Longest routing key, in bytes: what AMQP allows. */
export const ROUTING_KEY_BYTES_MAX = 255;
/** Most events in one frame. */
export const FRAME_EVENTS_MAX = 4_096;
/** Largest payload of a frame as it travels, in bytes. */
export const FRAME_PAYLOAD_BYTES_MAX = 4 << 20;
/** Largest payload of a frame after inflating, in bytes. */
export const FRAME_INFLATED_BYTES_MAX = 4 << 20;
/** Deepest nesting of header values. */
export const HEADER_DEPTH_MAX = 16;
/** Largest control or link message, in bytes. */
export const CONTROL_BYTES_MAX = 64 << 10;
/** Deepest nesting of a control or link message. */
export const CONTROL_DEPTH_MAX = 7;
/** Most bytes in one message on a data channel; a larger frame crosses it in chunks. */
export const LINK_MESSAGE_BYTES_MAX = 16 << 10;
/**
 * Largest message that is sent on the lossy data channel: four packets of 1,160 bytes. Of a larger one a packet is
 * lost too often.
 */
export const LOSSY_MESSAGE_BYTES_MAX = 4 * 1_160;
/** Largest SDP of an offer or answer that a hub is sure to forward, in bytes. */
export const SIGNAL_DESCRIPTION_BYTES_MAX = 16 << 10;
/** Largest candidate that a hub is sure to forward, in bytes, its media section included. */
export const SIGNAL_CANDIDATE_BYTES_MAX = 512;
/** Most candidates that a hub is sure to forward from one end of a link. */
export const SIGNAL_CANDIDATES_MAX = 64;
/** Longest duration in a message, in milliseconds: an hour. A browser's timers cannot wait for more than 24 days. */
export const DURATION_MS_MAX = 3_600_000;
/** Most links that a `subscribe` names. */
export const LIVING_LINKS_MAX = 256;
