//! The embedded source: channels whose events are published to this server itself.
//!
//! Without a `data_dir` they are kept in memory: messages go to the hub's own queue, not through a sink, since a publisher
//! wants to know the position that its event was given. The numbering lives as long as the process, so each start is a new
//! epoch (`state.rs`). With a `data_dir` they go to the disk first (`stored.rs`).

use tiercast_codec::{BEFORE_FIRST, ChannelName, Epoch, Offset, Position};
use tiercast_mesh::SourceUpdate;

use crate::stopped::Stopped;

/// The first thing that the source of an embedded channel says.
pub(crate) fn opening(epoch: Epoch) -> SourceUpdate {
    SourceUpdate::Opened(Position::new(epoch, BEFORE_FIRST))
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// The position of its event.
    pub position: Position,
    /// The event was there before: one with the same message id, whatever its body. Nothing was published now.
    pub is_duplicate: bool,
}

/// What became of a message of which [`MessageIds`](super::message_ids::MessageIds) has told.
pub(crate) fn published(epoch: Epoch, (offset, is_duplicate): (Offset, bool)) -> Published {
    Published { position: Position::new(epoch, offset), is_duplicate }
}

/// Why an event was not published. It has not been given a position, nor will it be; only where the server stopped meanwhile
/// that is not sure.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// No such channel.
    #[error("there is no channel `{0}` on this server")]
    UnknownChannel(String),
    /// The channel is fed by a broker, and this server only reads from that.
    #[error("`{0}` is fed by a broker: publish to the broker's exchange instead")]
    NotEmbedded(ChannelName),
    /// The channel is not open.
    #[error("the channel is not open yet: try again")]
    NotReady,
    /// No frame can hold the event.
    #[error("an event of {bytes} bytes, properties and headers included, is more than {bytes_max}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// No frame can hold the event.
    #[error("headers nested deeper than {depth_max}")]
    TooDeep {
        /// The limit.
        depth_max: usize,
    },
    /// The event could not be made durable.
    #[error("the event cannot be kept: {reason}")]
    NotKept {
        /// Why, and what to do.
        reason: String,
    },
    /// The server has stopped, or is about to.
    #[error("the server is shutting down")]
    Stopped,
}

impl From<Stopped> for PublishError {
    fn from(Stopped: Stopped) -> Self {
        Self::Stopped
    }
}
