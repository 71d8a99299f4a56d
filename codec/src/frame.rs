//! A frame: a signed batch of consecutive events, encoded once and forwarded unchanged.
//!
//! All numbers are big-endian.
//!
//! | at | bytes | field |
//! |---:|---:|---|
//! | 0 | 1 | kind, `0x01` |
//! | 1 | 1 | version, 1 |
//! | 2 | 1 | flags: 1 = payload is zlib, 2 = filtered for its receiver |
//! | 3 | 1 | preset dictionary, 0 = none |
//! | 4 | 4 | channel id |
//! | 8 | 8 | epoch |
//! | 16 | 8 | after, signed |
//! | 24 | 8 | last |
//! | 32 | 8 | time of sealing, microseconds since the Unix epoch |
//! | 40 | 4 | number of events |
//! | 44 | 4 | payload length after inflating |
//! | 48 | 4 | payload length |
//! | 52 | | payload |
//! | | 64 | Ed25519 signature |

use bytes::{BufMut, Bytes, BytesMut};

use crate::{
    BEFORE_FIRST, ChannelId, ChannelName, DecodeError, EncodeError, Epoch, Event, NUMBER_MAX, Offset,
    Position, PublicKey, SIGNATURE_BYTES, Signature, Signer, Verifier,
    limits::{FRAME_EVENTS_MAX, FRAME_INFLATED_BYTES_MAX, FRAME_PAYLOAD_BYTES_MAX},
    payload::{Deflater, decode_events, encode_events, inflate},
    signature::signed_message,
};

/// First byte of a frame.
pub const FRAME_KIND: u8 = 0x01;
/// The format version of frames, heads and chunks.
pub const FORMAT_VERSION: u8 = 1;
/// Length of a frame's header.
pub const FRAME_HEADER_BYTES: usize = 52;

const CONTEXT: &str = "tiercast/1 frame";
const FLAG_DEFLATED: u8 = 1;
const FLAG_FILTERED: u8 = 2;

/// What a frame's header says. Readable without inflating, and without trust until the frame is verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// Whether the payload is compressed.
    pub deflated: bool,
    /// Whether events in the range were left out because its receiver did not ask for them.
    pub filtered: bool,
    /// The channel's number.
    pub channel: ChannelId,
    /// The numbering that the offsets belong to.
    pub epoch: Epoch,
    /// The frame covers the offsets from here, exclusive ...
    pub after: Offset,
    /// ... to here, inclusive.
    pub last: Offset,
    /// When the hub sealed it, in microseconds since the Unix epoch.
    pub time_us: u64,
    /// How many events it holds.
    pub event_count: u32,
    /// Payload length after inflating.
    pub inflated_bytes: u32,
    /// Payload length.
    pub payload_bytes: u32,
}

/// A frame as it travels: its header, parsed, and its bytes, untouched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    header: FrameHeader,
    bytes: Bytes,
}

impl Frame {
    /// Reads the frame at the start of `bytes` and leaves what follows it.
    ///
    /// Checks the header and the length; the signature and the events are checked by [`Frame::verify`] and
    /// [`Frame::events`].
    pub fn take(bytes: &mut Bytes) -> Result<Self, DecodeError> {
        let truncated = |needed| DecodeError::Truncated { what: "frame", needed, have: bytes.len() };
        let Some(head) = bytes.first_chunk::<FRAME_HEADER_BYTES>() else {
            return Err(truncated(FRAME_HEADER_BYTES));
        };
        let header = parse_header(head)?;
        let total = FRAME_HEADER_BYTES + header.payload_bytes as usize + SIGNATURE_BYTES;
        if bytes.len() < total {
            return Err(truncated(total));
        }
        Ok(Self { header, bytes: bytes.split_to(total) })
    }

    /// The header.
    pub fn header(&self) -> &FrameHeader {
        &self.header
    }

    /// The bytes to forward.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The position of one who has taken this frame.
    pub fn position(&self) -> Position {
        Position::new(self.header.epoch, self.header.last)
    }

    /// The position that this frame follows.
    pub fn position_before(&self) -> Position {
        Position::new(self.header.epoch, self.header.after)
    }

    /// Whether the server that owns `key` sealed exactly these bytes for `channel`.
    pub fn verify(&self, channel: &ChannelName, key: &PublicKey, verifier: &dyn Verifier) -> bool {
        let (signed, signature) = split_signature(&self.bytes);
        verifier.verify(key, &signed_message(CONTEXT, channel, signed), signature)
    }

    /// Inflates and decodes the events.
    pub fn events(&self) -> Result<Vec<Event>, DecodeError> {
        let payload = self.bytes.slice(FRAME_HEADER_BYTES..self.bytes.len() - SIGNATURE_BYTES);
        let payload = if self.header.deflated {
            inflate(&payload, self.header.inflated_bytes as usize)?
        } else if payload.len() == self.header.inflated_bytes as usize {
            payload
        } else {
            return Err(DecodeError::BadPayload);
        };
        decode_events(&payload, &self.header)
    }
}

/// Seals events into frames: encodes, compresses and signs each batch once.
#[derive(Debug, Default)]
pub struct Sealer {
    deflater: Deflater,
}

impl Sealer {
    /// Seals `events`, which are all that `channel` has in the range after `before` up to `last`.
    pub fn seal(
        &mut self,
        channel: &ChannelName,
        before: Position,
        last: Offset,
        time_us: u64,
        events: &[Event],
        signer: &dyn Signer,
    ) -> Result<Frame, EncodeError> {
        check_range(before, last, time_us, events)?;
        within("event count", events.len(), FRAME_EVENTS_MAX)?;
        let encoded = encode_events(before.offset, events);
        within("inflated length", encoded.len(), FRAME_INFLATED_BYTES_MAX)?;
        let deflated = self.deflater.deflate(&encoded);
        let payload = deflated.unwrap_or(&encoded);
        let header = FrameHeader {
            deflated: deflated.is_some(),
            filtered: false,
            channel: channel.id(),
            epoch: before.epoch,
            after: before.offset,
            last,
            time_us,
            event_count: events.len() as u32,
            inflated_bytes: encoded.len() as u32,
            payload_bytes: payload.len() as u32,
        };
        let mut bytes = BytesMut::with_capacity(FRAME_HEADER_BYTES + payload.len() + SIGNATURE_BYTES);
        put_header(&mut bytes, &header);
        bytes.put_slice(payload);
        let signature = signer.sign(&signed_message(CONTEXT, channel, &bytes));
        bytes.put_slice(&signature);
        Ok(Frame { header, bytes: bytes.freeze() })
    }
}

pub(crate) fn split_signature(bytes: &[u8]) -> (&[u8], &Signature) {
    bytes.split_last_chunk().expect("a signed item is longer than its signature")
}

fn within(field: &'static str, value: usize, max: usize) -> Result<(), EncodeError> {
    if value <= max {
        Ok(())
    } else {
        Err(EncodeError::TooLarge { field, value: value as u64, max: max as u64 })
    }
}

fn check_range(before: Position, last: Offset, time_us: u64, events: &[Event]) -> Result<(), EncodeError> {
    let in_range = before.in_range() && Position::new(before.epoch, last).in_range() && time_us <= NUMBER_MAX;
    let mut previous = before.offset;
    let ascending = events.iter().all(|event| {
        let follows = event.offset > previous && event.offset <= last;
        previous = event.offset;
        follows
    });
    if in_range && ascending && last > before.offset { Ok(()) } else { Err(EncodeError::BadRange) }
}

fn put_header(bytes: &mut BytesMut, header: &FrameHeader) {
    bytes.put_u8(FRAME_KIND);
    bytes.put_u8(FORMAT_VERSION);
    let flag = |set: bool, flag: u8| if set { flag } else { 0 };
    bytes.put_u8(flag(header.deflated, FLAG_DEFLATED) | flag(header.filtered, FLAG_FILTERED));
    bytes.put_u8(0);
    bytes.put_u32(header.channel.0);
    bytes.put_u64(header.epoch);
    bytes.put_i64(header.after);
    bytes.put_i64(header.last);
    bytes.put_u64(header.time_us);
    bytes.put_u32(header.event_count);
    bytes.put_u32(header.inflated_bytes);
    bytes.put_u32(header.payload_bytes);
}

fn parse_header(head: &[u8; FRAME_HEADER_BYTES]) -> Result<FrameHeader, DecodeError> {
    check_version(head[1])?;
    check_zero(&[head[2] & !(FLAG_DEFLATED | FLAG_FILTERED)])?;
    if head[3] != 0 {
        return Err(DecodeError::UnknownDictionary(head[3]));
    }
    let epoch = number("epoch", read_u64(head, 8))?;
    let after = offset("after", read_u64(head, 16) as i64)?;
    let last = offset("last", read_u64(head, 24) as i64)?;
    if last <= after {
        return Err(DecodeError::OutOfRange { field: "last" });
    }
    let time_us = number("time", read_u64(head, 32))?;
    Ok(FrameHeader {
        deflated: head[2] & FLAG_DEFLATED != 0,
        filtered: head[2] & FLAG_FILTERED != 0,
        channel: ChannelId(read_u32(head, 4)),
        epoch,
        after,
        last,
        time_us,
        event_count: at_most("event count", read_u32(head, 40), FRAME_EVENTS_MAX)?,
        inflated_bytes: at_most("inflated length", read_u32(head, 44), FRAME_INFLATED_BYTES_MAX)?,
        payload_bytes: at_most("payload length", read_u32(head, 48), FRAME_PAYLOAD_BYTES_MAX)?,
    })
}

pub(crate) fn check_version(version: u8) -> Result<(), DecodeError> {
    if version == FORMAT_VERSION { Ok(()) } else { Err(DecodeError::UnknownVersion(version)) }
}

/// What later versions may give a meaning must be 0 in this one.
pub(crate) fn check_zero(reserved: &[u8]) -> Result<(), DecodeError> {
    reserved.iter().find(|byte| **byte != 0).map_or(Ok(()), |byte| Err(DecodeError::UnknownFlags(*byte)))
}

pub(crate) fn read_u32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

pub(crate) fn read_u64(bytes: &[u8], at: usize) -> u64 {
    u64::from_be_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

pub(crate) fn number(field: &'static str, value: u64) -> Result<u64, DecodeError> {
    if value <= NUMBER_MAX { Ok(value) } else { Err(DecodeError::OutOfRange { field }) }
}

pub(crate) fn offset(field: &'static str, value: i64) -> Result<Offset, DecodeError> {
    if (BEFORE_FIRST..=NUMBER_MAX as i64).contains(&value) {
        Ok(value)
    } else {
        Err(DecodeError::OutOfRange { field })
    }
}

fn at_most(field: &'static str, value: u32, max: usize) -> Result<u32, DecodeError> {
    if value as usize <= max {
        Ok(value)
    } else {
        Err(DecodeError::TooLarge { field, value: value.into(), max: max as u64 })
    }
}
