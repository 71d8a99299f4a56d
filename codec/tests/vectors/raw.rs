//! Builds frames, events and heads byte by byte, without the code under test, so that they may be wrong.

use std::io::Write;

use flate2::{Compression, write::ZlibEncoder};
use tiercast_codec::{ChannelName, Signer};

use crate::key;

/// The channel of most vectors.
pub const CHANNEL: &str = "builds";

/// A frame whose every field can be set to anything.
#[derive(Clone)]
pub struct RawFrame {
    pub version: u8,
    pub flags: u8,
    pub dictionary: u8,
    pub epoch: u64,
    pub after: i64,
    pub last: i64,
    pub time_us: u64,
    pub event_count: u32,
    pub inflated_bytes: u32,
    pub payload_bytes: u32,
    pub payload: Vec<u8>,
}

impl RawFrame {
    /// A good frame around `payload`, not compressed.
    pub fn stored(event_count: u32, payload: Vec<u8>) -> Self {
        Self {
            version: 1,
            flags: 0,
            dictionary: 0,
            epoch: 1_790_000_000_000,
            after: 41,
            last: 50,
            time_us: 1_790_000_000_000_000,
            event_count,
            inflated_bytes: payload.len() as u32,
            payload_bytes: payload.len() as u32,
            payload,
        }
    }

    /// A frame that says that `payload` is a zlib stream of `inflated_bytes`.
    pub fn deflated(event_count: u32, inflated_bytes: usize, payload: Vec<u8>) -> Self {
        Self { flags: 1, inflated_bytes: inflated_bytes as u32, ..Self::stored(event_count, payload) }
    }

    /// The bytes, with a good signature.
    pub fn bytes(&self) -> Vec<u8> {
        self.bytes_signed_as("tiercast/1 frame")
    }

    pub fn bytes_signed_as(&self, context: &str) -> Vec<u8> {
        let mut bytes = vec![0x01, self.version, self.flags, self.dictionary];
        bytes.extend(channel_id().to_be_bytes());
        bytes.extend(self.epoch.to_be_bytes());
        bytes.extend(self.after.to_be_bytes());
        bytes.extend(self.last.to_be_bytes());
        bytes.extend(self.time_us.to_be_bytes());
        bytes.extend(self.event_count.to_be_bytes());
        bytes.extend(self.inflated_bytes.to_be_bytes());
        bytes.extend(self.payload_bytes.to_be_bytes());
        bytes.extend(&self.payload);
        signed(context, bytes)
    }
}

/// A head whose every field can be set to anything.
pub fn head(version: u8, reserved: [u8; 2], epoch: u64, offset: i64, time_us: u64) -> Vec<u8> {
    let mut bytes = vec![0x02, version, reserved[0], reserved[1]];
    bytes.extend(channel_id().to_be_bytes());
    bytes.extend(epoch.to_be_bytes());
    bytes.extend(offset.to_be_bytes());
    bytes.extend(time_us.to_be_bytes());
    signed("tiercast/1 head", bytes)
}

pub fn good_head() -> Vec<u8> {
    head(1, [0, 0], 1_790_000_000_000, 50, 1_790_000_000_000_000)
}

/// A frame of one event.
pub fn good_frame() -> RawFrame {
    RawFrame::stored(1, array(&[event(1)]))
}

fn signed(context: &str, mut bytes: Vec<u8>) -> Vec<u8> {
    let mut message = format!("{context}\n{CHANNEL}\n").into_bytes();
    message.extend(&bytes);
    bytes.extend(key().sign(&message));
    bytes
}

fn channel_id() -> u32 {
    CHANNEL.parse::<ChannelName>().unwrap().id().0
}

/// A msgpack array of up to 15 encoded items.
pub fn array(items: &[Vec<u8>]) -> Vec<u8> {
    assert!(items.len() < 16);
    [vec![0x90 | items.len() as u8], items.concat()].concat()
}

/// A msgpack map of up to 15 encoded entries with text keys of up to 31 bytes.
pub fn map(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    assert!(entries.len() < 16);
    let encoded = entries.iter().map(|(key, value)| [text(key), value.clone()].concat());
    [vec![0x80 | entries.len() as u8], encoded.collect::<Vec<_>>().concat()].concat()
}

/// A msgpack string of up to 255 bytes.
pub fn text(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).unwrap();
    let head = if length < 32 { vec![0xa0 | length] } else { vec![0xd9, length] };
    [head, text.as_bytes().to_vec()].concat()
}

/// A msgpack integer of 64 bits without a sign.
pub fn wide(number: u64) -> Vec<u8> {
    [vec![0xcf], number.to_be_bytes().to_vec()].concat()
}

/// A msgpack float of 64 bits.
pub fn float(number: f64) -> Vec<u8> {
    [vec![0xcb], number.to_be_bytes().to_vec()].concat()
}

/// The fields of an event at `offset` beyond the frame's `after`, each encoded.
pub fn fields(offset: u8) -> [Vec<u8>; 8] {
    let nil = || vec![0xc0];
    [vec![offset], text("build.done"), text("ci"), nil(), nil(), nil(), vec![0x80], vec![0xc4, 2, 0x7b, 0x7d]]
}

pub fn event(offset: u8) -> Vec<u8> {
    array(&fields(offset))
}

/// An event whose field number `field` is `encoded`.
pub fn event_with(field: usize, encoded: &[u8]) -> Vec<u8> {
    let mut fields = fields(1);
    fields[field] = encoded.to_vec();
    array(&fields)
}

/// A zlib stream by the compressor of this build.
pub fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A zlib stream of stored blocks: the same by whatever compressor.
pub fn zlib_stored(bytes: &[u8]) -> Vec<u8> {
    let mut stream = vec![0x78, 0x01];
    let blocks = bytes.chunks(100).count();
    for (number, block) in bytes.chunks(100).enumerate() {
        let length = block.len() as u16;
        stream.push(u8::from(number + 1 == blocks));
        stream.extend(length.to_le_bytes());
        stream.extend((!length).to_le_bytes());
        stream.extend(block);
    }
    let (a, b) = bytes.iter().fold((1u32, 0u32), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % 65_521;
        (a, (b + a) % 65_521)
    });
    stream.extend((b << 16 | a).to_be_bytes());
    stream
}
