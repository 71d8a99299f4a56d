//! The format's limits. Every decoder checks them before it reserves memory.

use crate::{FRAME_HEADER_BYTES, SIGNATURE_BYTES};

/// Longest channel name, in bytes.
pub const CHANNEL_NAME_BYTES_MAX: usize = 128;
/// Longest routing key, in bytes: what AMQP allows, so that every event could have come from a broker.
pub const ROUTING_KEY_BYTES_MAX: usize = 255;
/// Most events in one frame.
pub const FRAME_EVENTS_MAX: usize = 4_096;
/// Largest payload of a frame as it travels, in bytes.
pub const FRAME_PAYLOAD_BYTES_MAX: usize = 4 << 20;
/// Largest frame: its header, the largest payload and the signature, in bytes.
pub const FRAME_BYTES_MAX: usize = FRAME_HEADER_BYTES + FRAME_PAYLOAD_BYTES_MAX + SIGNATURE_BYTES;
/// Largest payload of a frame after inflating, in bytes.
pub const FRAME_INFLATED_BYTES_MAX: usize = 4 << 20;
/// Largest event: routing key, exchange, properties, headers and body together, in bytes. A frame holds at least one.
pub const EVENT_BYTES_MAX: usize = (4 << 20) - 4_096;
/// Deepest nesting of header values.
pub const HEADER_DEPTH_MAX: usize = 16;
/// Largest control or link message, in bytes.
pub const CONTROL_BYTES_MAX: usize = 64 << 10;
/// Most bytes in one message on a data channel; a larger frame crosses it in chunks.
pub const LINK_MESSAGE_BYTES_MAX: usize = 16 << 10;
/// Largest message that is sent on the lossy data channel: four packets of 1,160 bytes. Of a larger one a packet is
/// lost too often.
pub const LOSSY_MESSAGE_BYTES_MAX: usize = 4 * 1_160;
/// Largest SDP of an offer or answer that a hub is sure to forward, in bytes. Measured: 458 to 751, with up to four
/// candidates in it (Chromium, webrtc 0.21). Each candidate takes 80 to 150.
pub const SIGNAL_DESCRIPTION_BYTES_MAX: usize = 16 << 10;
/// Largest candidate that a hub is sure to forward, in bytes, its media section included.
pub const SIGNAL_CANDIDATE_BYTES_MAX: usize = 512;
/// Most candidates that a hub is sure to forward from one end of a link.
pub const SIGNAL_CANDIDATES_MAX: u32 = 64;
/// Longest duration in a message, in milliseconds: an hour. Timers of browsers cannot wait for more than 24 days.
pub const DURATION_MS_MAX: u32 = 3_600_000;
/// Most links that a `subscribe` names. With 64 bytes each they fill a quarter of a control message.
pub const LIVING_LINKS_MAX: usize = 256;
