//! One whom the server feeds, and how far it is.

use tiercast_codec::Position;

use crate::cursor::Cursor;

/// One whom the server feeds.
#[derive(Debug)]
pub(super) struct Fed {
    pub(super) cursor: Cursor,
    /// Whether heads are sent to it: only to those who may pass them on.
    pub(super) wants_heads: bool,
    pub(super) claim: Claim,
    /// Where the channel was when this began: what lies before has been published for long, and tier 1 gets it in its turn
    /// as others do.
    pub(super) backlog: Option<Position>,
}

/// Whether one may have more than the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Claim {
    /// It has not, or it may: the log will come so far.
    None,
    /// It says so, and is sent nothing until the source has said what to make of it.
    Open,
    /// The channel never came so far: what the peer has is of another numbering.
    Refuted,
}
