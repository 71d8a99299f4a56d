//! What one WebSocket or data channel message holds, told apart by its first byte.
//!
//! Either one or more frames and heads, one after the other (each knows its length); or one chunk of a
//! frame that is too large for a data channel message; or one control or link message, a msgpack map; or a nack.

use bytes::{BufMut, Bytes, BytesMut};

use crate::{
    BEFORE_FIRST, DecodeError, Frame, Head, Nack,
    frame::{FORMAT_VERSION, FRAME_KIND, check_version, check_zero},
    head::HEAD_KIND,
    limits::{CONTROL_BYTES_MAX, LINK_MESSAGE_BYTES_MAX, LOSSY_MESSAGE_BYTES_MAX},
    message::is_map,
    nack::NACK_KIND,
};

/// First byte of a chunk.
pub const CHUNK_KIND: u8 = 0x03;
/// Length of a chunk's header: kind, version, 1 if it is the last chunk else 0, reserved 0.
pub const CHUNK_HEADER_BYTES: usize = 4;

/// One item of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A frame.
    Frame(Frame),
    /// A head.
    Head(Head),
    /// A part of a frame.
    Chunk {
        /// Whether the frame is whole with this one.
        is_last: bool,
        /// The part.
        part: Bytes,
    },
    /// What a child has not got.
    Nack(Nack),
    /// A control or link message, still encoded.
    Control(Bytes),
}

impl Item {
    /// Reads the item at the start of `bytes` and leaves what follows it.
    pub fn take(bytes: &mut Bytes) -> Result<Self, DecodeError> {
        match *bytes.first().ok_or(DecodeError::Empty)? {
            FRAME_KIND => Frame::take(bytes).map(Self::Frame),
            HEAD_KIND => Head::take(bytes).map(Self::Head),
            CHUNK_KIND => take_chunk(bytes),
            NACK_KIND => Nack::take(bytes).map(Self::Nack),
            kind if is_map(kind) => {
                if bytes.len() > CONTROL_BYTES_MAX {
                    let (value, max) = (bytes.len() as u64, CONTROL_BYTES_MAX as u64);
                    return Err(DecodeError::TooLarge { field: "message", value, max });
                }
                Ok(Self::Control(bytes.split_to(bytes.len())))
            }
            kind => Err(DecodeError::UnknownKind(kind)),
        }
    }

    /// Reads all items of one message. Refuses the whole message if any part of it is malformed.
    pub fn all(mut bytes: Bytes) -> Result<Vec<Self>, DecodeError> {
        let mut items = vec![Self::take(&mut bytes)?];
        while !bytes.is_empty() {
            items.push(Self::take(&mut bytes)?);
        }
        let streams = |item: &Item| matches!(item, Item::Frame(_) | Item::Head(_));
        if items.len() == 1 || items.iter().all(streams) {
            Ok(items)
        } else {
            Err(DecodeError::TrailingBytes)
        }
    }
}

/// Whether a message of a link goes on the lossy data channel of its connection: what is lost is noticed by what comes after
/// it, and asked for again. That is so of heads, nacks, and frames but the first of a numbering. Everything else waits for
/// its turn on the reliable one of the link.
pub fn may_be_lost(message: &[u8]) -> bool {
    let is_missed = match message.first() {
        Some(&FRAME_KIND) => message.get(16..24) != Some(&BEFORE_FIRST.to_be_bytes()),
        kind => matches!(kind, Some(&(HEAD_KIND | NACK_KIND))),
    };
    is_missed && message.len() <= LOSSY_MESSAGE_BYTES_MAX
}

/// Cuts a frame that is too large for one data channel message into chunks that fit.
pub fn chunks(frame: &Bytes) -> impl Iterator<Item = Bytes> + use<> {
    let part_bytes = LINK_MESSAGE_BYTES_MAX - CHUNK_HEADER_BYTES;
    let frame = frame.clone();
    (0..frame.len()).step_by(part_bytes).map(move |start| {
        let end = frame.len().min(start + part_bytes);
        let mut chunk = BytesMut::with_capacity(CHUNK_HEADER_BYTES + end - start);
        chunk.put_slice(&[CHUNK_KIND, FORMAT_VERSION, u8::from(end == frame.len()), 0]);
        chunk.put_slice(&frame[start..end]);
        chunk.freeze()
    })
}

fn take_chunk(bytes: &mut Bytes) -> Result<Item, DecodeError> {
    if bytes.len() <= CHUNK_HEADER_BYTES {
        let (needed, have) = (CHUNK_HEADER_BYTES + 1, bytes.len());
        return Err(DecodeError::Truncated { what: "chunk", needed, have });
    }
    check_version(bytes[1])?;
    check_zero(&[bytes[2] & !1, bytes[3]])?;
    let is_last = bytes[2] == 1;
    let mut part = bytes.split_to(bytes.len());
    bytes::Buf::advance(&mut part, CHUNK_HEADER_BYTES);
    Ok(Item::Chunk { is_last, part })
}
