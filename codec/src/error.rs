//! Why bytes were refused. Each variant has a stable name, which the test vectors use.

/// What is wrong with bytes that came from outside. Nothing was kept; close the link or session they came on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// A message without a single byte.
    #[error("empty message")]
    Empty,
    /// The first byte names no kind of item.
    #[error("unknown kind of item 0x{0:02x}")]
    UnknownKind(u8),
    /// The bytes end too early.
    #[error("{what} needs {needed} bytes, {have} are there")]
    Truncated {
        /// The item that was being read.
        what: &'static str,
        /// Its length.
        needed: usize,
        /// Bytes at hand.
        have: usize,
    },
    /// A version that this build does not know.
    #[error("unknown format version {0}")]
    UnknownVersion(u8),
    /// Flag bits or reserved bytes that must be zero are not.
    #[error("unknown flags 0x{0:02x}")]
    UnknownFlags(u8),
    /// A preset dictionary that this build does not have.
    #[error("unknown dictionary {0}")]
    UnknownDictionary(u8),
    /// An offset, epoch or time outside its range, or a range that covers nothing.
    #[error("{field} is out of range")]
    OutOfRange {
        /// The field at fault.
        field: &'static str,
    },
    /// A length or count above the format's limit.
    #[error("{field} is {value}, the limit is {max}")]
    TooLarge {
        /// The field at fault.
        field: &'static str,
        /// What it says.
        value: u64,
        /// What is allowed.
        max: u64,
    },
    /// The compressed payload is damaged, or inflates to another length than the header says.
    #[error("payload does not inflate to its stated length")]
    BadPayload,
    /// The payload is not the array of events that the header announces.
    #[error("bad events: {0}")]
    BadEvents(String),
    /// The signature is not the server's.
    #[error("signature does not match")]
    BadSignature,
    /// A message of a type that this build does not know. Answer with an error and go on.
    #[error("unknown message type `{kind}`")]
    UnknownMessage {
        /// Its type.
        kind: String,
        /// Its request id, for the answer.
        id: Option<u64>,
    },
    /// A message of a known type with missing or wrong fields, or not a msgpack map at all.
    #[error("bad message: {0}")]
    BadMessage(String),
    /// Bytes after the end of the last item.
    #[error("bytes after the end of the message")]
    TrailingBytes,
}

impl DecodeError {
    /// The stable name of this kind of error.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::UnknownKind(_) => "unknown_kind",
            Self::Truncated { .. } => "truncated",
            Self::UnknownVersion(_) => "unknown_version",
            Self::UnknownFlags(_) => "unknown_flags",
            Self::UnknownDictionary(_) => "unknown_dictionary",
            Self::OutOfRange { .. } => "out_of_range",
            Self::TooLarge { .. } => "too_large",
            Self::BadPayload => "bad_payload",
            Self::BadEvents(_) => "bad_events",
            Self::BadSignature => "bad_signature",
            Self::UnknownMessage { .. } => "unknown_message",
            Self::BadMessage(_) => "bad_message",
            Self::TrailingBytes => "trailing_bytes",
        }
    }
}

/// Why something of ours cannot be put into the format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The events do not fit into one frame.
    #[error("{field} is {value}, the limit is {max}")]
    TooLarge {
        /// What is too large.
        field: &'static str,
        /// How large it is.
        value: u64,
        /// What is allowed.
        max: u64,
    },
    /// Offsets not ascending within the frame's range, or out of the format's range.
    #[error("offsets must ascend within the frame's range and stay below 2^53")]
    BadRange,
}
