//! What goes into the hub and what comes out of it.

use bytes::Bytes;
use tiercast_codec::{ChannelName, Code, Offset, Position, SessionId};

use super::{ReaderId, Whereabouts};
use crate::SourceUpdate;

/// What happens to the hub.
#[derive(Debug)]
pub enum Input<'a> {
    /// A connection is open. The number counts up and is never used again. It comes from there, as far as that is
    /// known.
    SessionOpened(SessionId, Whereabouts),
    /// A connection brought a message.
    SessionData(SessionId, Bytes),
    /// A connection is gone without a goodbye: its peer may come back. For every connection that is gone the driver says
    /// this or the next, but after an [`Output::Close`].
    SessionClosed(SessionId),
    /// The peer closed the connection on purpose, to leave for good.
    SessionDeparted(SessionId),
    /// A source has news of its channel.
    Source(&'a ChannelName, SourceUpdate),
    /// The time of [`Hub::poll_timeout`](super::Hub::poll_timeout) has come.
    Timeout,
}

/// What the hub wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// There is something for this session: call [`Hub::poll_transmit`](super::Hub::poll_transmit) whenever it is writable, until that
    /// gives nothing. Said once; the driver remembers.
    Transmit(SessionId),
    /// There is something for this reader: call [`Hub::poll_read`](super::Hub::poll_read) whenever it can take some, until that
    /// gives nothing. Said once; the driver remembers.
    Read(ReaderId),
    /// Ask the channel's source where the channel ends now; it answers with [`SourceUpdate::End`]. At most one question
    /// for each channel waits for its answer, however long that takes.
    FindEnd {
        /// The channel.
        channel: ChannelName,
        /// The farthest position that a peer claims to have. A source that has come so far itself need not look.
        claimed: Position,
    },
    /// Ask the channel's source for a page of the past; it answers with [`SourceUpdate::Fetched`] or
    /// [`SourceUpdate::NotFetched`], or says that it is [lost](SourceUpdate::Lost). Of all channels together at most
    /// [`PastLimits::fetches_max`](super::PastLimits::fetches_max) wait for their answer.
    Fetch(Fetch),
    /// Close a reader: its channel has ended. The hub has forgotten it already.
    CloseReader(ReaderId, Refusal),
    /// Close the connection. The hub has forgotten it already.
    Close {
        /// The connection.
        session: SessionId,
        /// The WebSocket close code.
        code: Code,
        /// For people.
        reason: String,
    },
}

/// A page of a channel's past that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetch {
    /// The channel.
    pub channel: ChannelName,
    /// The page begins after this position.
    pub after: Position,
    /// The page ends here at the latest. The source has said everything up to here, so there is no waiting for it.
    pub to: Offset,
    /// Most events of the page.
    pub events_max: usize,
    /// Bytes of events with which the page is full; the last one may exceed them.
    pub bytes_max: usize,
}

/// A call that the driver should not have made. The hub is unchanged, but for the part of the input before
/// the part at fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// The driver named a session that is not open, or opened one twice.
    #[error("session {0} is not open, or was opened before")]
    Session(SessionId),
    /// The driver named a channel that was not added.
    #[error("there is no channel `{0}`")]
    UnknownChannel(ChannelName),
    /// A channel that is there already, or whose number another one has; one of the two must be renamed.
    #[error("the channel `{0}` is there already, or shares its number with another: rename it")]
    ChannelTaken(ChannelName),
    /// A source gave events before it said where the channel is.
    #[error("the source gave events before it was open")]
    NotOpen,
}

/// Why somebody is not served, or no longer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason} ({code})")]
pub struct Refusal {
    /// What kind of reason.
    pub code: Code,
    /// What is wrong and what to do, for people.
    pub reason: String,
}

impl Refusal {
    /// A refusal.
    pub fn new(code: Code, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into() }
    }
}
