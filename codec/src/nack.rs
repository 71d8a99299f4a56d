//! A nack: what a child of a link has not got although what lies beyond it was sent.
//!
//! All numbers are big-endian.
//!
//! | at | bytes | field |
//! |---:|---:|---|
//! | 0 | 1 | kind, `0x04` |
//! | 1 | 1 | version, 1 |
//! | 2 | 2 | reserved, 0 |
//! | 4 | 8 | epoch of what the child has |
//! | 12 | 8 | offset of it, signed; -1 = nothing yet |
//! | 20 | 8 | epoch of the end of what it lacks |
//! | 28 | 8 | offset of that, signed; -1 = all of the epochs before |

use bytes::{BufMut, Bytes, BytesMut};

use crate::{
    DecodeError, Position,
    frame::{FORMAT_VERSION, check_version, check_zero, number, offset, read_u64},
};

/// First byte of a nack.
pub const NACK_KIND: u8 = 0x04;
/// Length of a nack.
pub const NACK_BYTES: usize = 36;

/// What a child has not got: everything after one position up to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nack {
    /// The child has what comes before.
    pub after: Position,
    /// Up to here and including it.
    pub to: Position,
}

impl Nack {
    /// The bytes to send.
    pub fn encode(&self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(NACK_BYTES);
        bytes.put_slice(&[NACK_KIND, FORMAT_VERSION, 0, 0]);
        for Position { epoch, offset } in [self.after, self.to] {
            bytes.put_u64(epoch);
            bytes.put_i64(offset);
        }
        bytes.freeze()
    }

    /// Reads the nack at the start of `bytes` and leaves what follows it.
    pub fn take(bytes: &mut Bytes) -> Result<Self, DecodeError> {
        if bytes.len() < NACK_BYTES {
            return Err(DecodeError::Truncated { what: "nack", needed: NACK_BYTES, have: bytes.len() });
        }
        check_version(bytes[1])?;
        check_zero(&bytes[2..4])?;
        let (after, to) = (position(bytes, 4)?, position(bytes, 20)?);
        bytes::Buf::advance(bytes, NACK_BYTES);
        Ok(Self { after, to })
    }
}

fn position(bytes: &[u8], at: usize) -> Result<Position, DecodeError> {
    let epoch = number("epoch", read_u64(bytes, at))?;
    Ok(Position::new(epoch, offset("offset", read_u64(bytes, at + 8) as i64)?))
}
