//! The embedded source: channels whose events are published to this server itself.
//!
//! Its updates go to the hub's own queue, not through a sink: a publisher wants to know the position that its
//! event was given. The numbering lives as long as the process, so each start is a new epoch (`state.rs`).

use tiercast_codec::{BEFORE_FIRST, ChannelName, Epoch, Message, Position};
use tiercast_mesh::SourceUpdate;

use crate::driver::{Handle, PublishError};

/// The first thing that the source of an embedded channel says.
pub(crate) fn opening(epoch: Epoch) -> SourceUpdate {
    SourceUpdate::Opened(Position::new(epoch, BEFORE_FIRST))
}

/// Publishes to one embedded channel. Cheap to clone.
#[derive(Debug, Clone)]
pub struct EmbeddedPublisher {
    channel: ChannelName,
    handle: Handle,
}

impl EmbeddedPublisher {
    pub(crate) fn new(channel: ChannelName, handle: Handle) -> Self {
        Self { channel, handle }
    }

    /// The channel.
    pub fn channel(&self) -> &ChannelName {
        &self.channel
    }

    /// Publishes a message and returns the position that it was given. Waits while the hub is busy: at most
    /// `limits.input_queue_messages` inputs are queued.
    pub async fn publish(&self, message: Message) -> Result<Position, PublishError> {
        self.handle.publish(&self.channel, message).await
    }
}
