//! The embedded source: channels whose events are published to this server itself.
//!
//! Without a `data_dir` they are kept in memory: messages go to the hub's own queue, not through a sink, since a publisher
//! wants to know the position that its event was given. The numbering lives as long as the process, so each start is a new
//! epoch (`state.rs`). With a `data_dir` they go to the disk first (`stored.rs`).

use tiercast_codec::{BEFORE_FIRST, ChannelName, Epoch, Message, Offset, Position};
use tiercast_mesh::SourceUpdate;

use crate::driver::{Handle, PublishError};

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

    /// Publishes a message and returns the position of its event. With a `data_dir` the event is durable then. Waits while the
    /// hub or the disk is busy: at most `limits.input_queue_messages` inputs, or `store.queue_bytes`, are queued.
    pub async fn publish(&self, message: Message) -> Result<Position, PublishError> {
        Ok(self.publish_all(vec![message]).await?[0].position)
    }

    /// Publishes messages in their order, all of them or none, and says what became of each of them.
    pub async fn publish_all(&self, messages: Vec<Message>) -> Result<Vec<Published>, PublishError> {
        self.handle.publish(&self.channel, messages).await
    }
}
