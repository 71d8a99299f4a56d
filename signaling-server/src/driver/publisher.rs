//! Publishing to embedded channels, from within the process or on behalf of a request.

use tiercast_codec::{
    ChannelName, Message, Position,
    limits::{EVENT_BYTES_MAX, HEADER_DEPTH_MAX},
};

use super::{command::Command, handle::Handle};
use crate::{
    config::SourceKind,
    source::embedded::{PublishError, Published},
};

/// Publishes to one embedded channel. Cheap to clone.
#[derive(Debug, Clone)]
pub struct EmbeddedPublisher {
    channel: ChannelName,
    handle: Handle,
}

impl Handle {
    /// A publisher for an embedded channel.
    pub fn publisher(&self, channel: &str) -> Result<EmbeddedPublisher, PublishError> {
        let unknown = || PublishError::UnknownChannel(channel.to_owned());
        let channel: ChannelName = channel.parse().map_err(|_| unknown())?;
        match self.kind(&channel) {
            Some(SourceKind::Embedded) => Ok(EmbeddedPublisher { channel, handle: self.clone() }),
            Some(SourceKind::Amqp | SourceKind::Dynamic) => Err(PublishError::NotEmbedded(channel)),
            None => Err(unknown()),
        }
    }
}

impl EmbeddedPublisher {
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
        messages.iter().try_for_each(fits_frame)?;
        let published = match self.handle.stored().get(&self.channel) {
            Some(stored) => stored.publish(messages).await?,
            None => {
                let channel = self.channel.clone();
                self.handle.ask(|reply| Command::Publish { channel, messages, reply }).await??
            }
        };
        self.handle.counters().count(&published);
        Ok(published)
    }
}

fn fits_frame(message: &Message) -> Result<(), PublishError> {
    let (bytes, depth) = (message.bytes(), message.header_depth());
    if bytes > EVENT_BYTES_MAX {
        return Err(PublishError::TooLarge { bytes, bytes_max: EVENT_BYTES_MAX });
    }
    if depth > HEADER_DEPTH_MAX {
        return Err(PublishError::TooDeep { depth_max: HEADER_DEPTH_MAX });
    }
    Ok(())
}
