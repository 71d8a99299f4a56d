//! A head: the server's signed word on how far a channel is.
//!
//! All numbers are big-endian.
//!
//! | at | bytes | field |
//! |---:|---:|---|
//! | 0 | 1 | kind, `0x02` |
//! | 1 | 1 | version, 1 |
//! | 2 | 2 | reserved, 0 |
//! | 4 | 4 | channel id |
//! | 8 | 8 | epoch |
//! | 16 | 8 | offset of the newest event, signed; -1 = none yet |
//! | 24 | 8 | time of signing, microseconds since the Unix epoch |
//! | 32 | 64 | Ed25519 signature |

use bytes::{BufMut, Bytes, BytesMut};

use crate::{
    ChannelId, ChannelName, DecodeError, Position, PublicKey, SIGNATURE_BYTES, Signer, Verifier,
    frame::{FORMAT_VERSION, check_version, check_zero, number, offset, read_u32, read_u64, split_signature},
    signature::signed_message,
};

/// First byte of a head.
pub const HEAD_KIND: u8 = 0x02;
/// Length of a head.
pub const HEAD_BYTES: usize = 32 + SIGNATURE_BYTES;

const CONTEXT: &str = "tiercast/1 head";

/// How far a channel is, as it travels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The channel's number.
    pub channel: ChannelId,
    /// The newest event's position.
    pub position: Position,
    /// When the server said so, in microseconds since the Unix epoch.
    pub time_us: u64,
    bytes: Bytes,
}

impl Head {
    /// Signs that `channel` is at `position`.
    pub fn sign(channel: &ChannelName, position: Position, time_us: u64, signer: &dyn Signer) -> Self {
        let mut bytes = BytesMut::with_capacity(HEAD_BYTES);
        bytes.put_u8(HEAD_KIND);
        bytes.put_u8(FORMAT_VERSION);
        bytes.put_u16(0);
        bytes.put_u32(channel.id().0);
        bytes.put_u64(position.epoch);
        bytes.put_i64(position.offset);
        bytes.put_u64(time_us);
        let signature = signer.sign(&signed_message(CONTEXT, channel, &bytes));
        bytes.put_slice(&signature);
        Self { channel: channel.id(), position, time_us, bytes: bytes.freeze() }
    }

    /// Reads the head at the start of `bytes` and leaves what follows it.
    pub fn take(bytes: &mut Bytes) -> Result<Self, DecodeError> {
        if bytes.len() < HEAD_BYTES {
            return Err(DecodeError::Truncated { what: "head", needed: HEAD_BYTES, have: bytes.len() });
        }
        check_version(bytes[1])?;
        check_zero(&bytes[2..4])?;
        let epoch = number("epoch", read_u64(bytes, 8))?;
        let offset = offset("offset", read_u64(bytes, 16) as i64)?;
        Ok(Self {
            channel: ChannelId(read_u32(bytes, 4)),
            position: Position::new(epoch, offset),
            time_us: number("time", read_u64(bytes, 24))?,
            bytes: bytes.split_to(HEAD_BYTES),
        })
    }

    /// The bytes to forward.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Whether the server that owns `key` said this of `channel`.
    pub fn verify(&self, channel: &ChannelName, key: &PublicKey, verifier: &dyn Verifier) -> bool {
        let (signed, signature) = split_signature(&self.bytes);
        verifier.verify(key, &signed_message(CONTEXT, channel, signed), signature)
    }
}
