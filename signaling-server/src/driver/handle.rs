//! How the rest of the program talks to the driver.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tiercast_codec::{
    ChannelName, Code, Message, Pattern, Position, PublicKey, SessionId,
    limits::{EVENT_BYTES_MAX, HEADER_DEPTH_MAX},
};
use tiercast_mesh::hub::{ReaderId, Reading, Refusal, TreeNode};
use tokio::sync::{mpsc, oneshot};

use super::{Reader, command::Command};
use crate::{
    EmbeddedPublisher, Published,
    config::SourceKind,
    counters::Counters,
    source::{
        amqp::dynamic::{Dynamic, DynamicError, DynamicStats, Lease},
        stored::StoredChannel,
    },
};

/// A running server, as seen from within the process. Cheap to clone; it does not keep the server alive.
#[derive(Debug, Clone)]
pub struct Handle {
    commands: mpsc::Sender<Command>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    next_session: AtomicU64,
    next_reader: AtomicU64,
    kinds: BTreeMap<ChannelName, SourceKind>,
    /// Those of the embedded channels that are kept on disk.
    stored: BTreeMap<ChannelName, StoredChannel>,
    public_key: PublicKey,
    counters: Counters,
    /// Only where there is a broker.
    dynamic: Option<Arc<Dynamic>>,
}

/// The server has stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the server has stopped")]
pub struct Stopped;

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

impl From<Stopped> for Refusal {
    fn from(stopped: Stopped) -> Self {
        Self::new(Code::SHUTDOWN, stopped.to_string())
    }
}

impl From<Stopped> for PublishError {
    fn from(Stopped: Stopped) -> Self {
        Self::Stopped
    }
}

impl Handle {
    pub(crate) fn new(
        commands: mpsc::Sender<Command>,
        kinds: BTreeMap<ChannelName, SourceKind>,
        stored: BTreeMap<ChannelName, StoredChannel>,
        public_key: PublicKey,
        dynamic: Option<Arc<Dynamic>>,
    ) -> Self {
        let (next_session, next_reader) = (AtomicU64::new(1), AtomicU64::new(1));
        let counters = Counters::default();
        let shared = Shared { next_session, next_reader, kinds, stored, public_key, counters, dynamic };
        Self { commands, shared: Arc::new(shared) }
    }

    /// The hub as it is now.
    pub async fn snapshot(&self) -> Result<super::Snapshot, Stopped> {
        self.ask(Command::Snapshot).await
    }

    /// Who feeds whom in a channel; nothing if there is no such channel.
    pub async fn topology(&self, channel: &ChannelName) -> Result<Option<Vec<TreeNode>>, Stopped> {
        self.ask(|reply| Command::Topology(channel.clone(), reply)).await
    }

    /// A publisher for an embedded channel.
    pub fn publisher(&self, channel: &str) -> Result<EmbeddedPublisher, PublishError> {
        let unknown = || PublishError::UnknownChannel(channel.to_owned());
        let name: ChannelName = channel.parse().map_err(|_| unknown())?;
        match self.shared.kinds.get(&name) {
            Some(SourceKind::Embedded) => Ok(EmbeddedPublisher::new(name, self.clone())),
            Some(SourceKind::Amqp | SourceKind::Dynamic) => Err(PublishError::NotEmbedded(name)),
            None => Err(unknown()),
        }
    }

    /// Reads a channel.
    pub async fn read(&self, reading: Reading) -> Result<Reader, Refusal> {
        Reader::open(self, reading).await
    }

    /// Binds patterns of an exchange that `amqp.dynamic.exchanges` allows, and keeps them bound as long as the lease is
    /// held. It names the channel that has the events, and says from where on each pattern is complete.
    pub async fn dynamic(
        &self,
        exchange: &str,
        patterns: impl IntoIterator<Item = Pattern>,
    ) -> Result<Lease, DynamicError> {
        self.lease(exchange, patterns.into_iter().collect(), 0).await
    }

    /// Binds patterns for one who has so many of the exchange already.
    pub(crate) async fn lease(
        &self,
        exchange: &str,
        patterns: BTreeSet<Pattern>,
        beside: usize,
    ) -> Result<Lease, DynamicError> {
        match &self.shared.dynamic {
            Some(dynamic) => dynamic.lease(self.clone(), exchange, patterns, beside).await,
            None => Err(DynamicError::NotAllowed(exchange.to_owned())),
        }
    }

    /// What there is of dynamic channels; nothing without a broker.
    pub(crate) fn dynamic_stats(&self) -> Option<DynamicStats> {
        self.shared.dynamic.as_ref().map(|dynamic| dynamic.stats())
    }

    /// The key that frames and heads are signed with.
    pub fn public_key(&self) -> PublicKey {
        self.shared.public_key
    }

    pub(crate) async fn publish(
        &self,
        channel: &ChannelName,
        messages: Vec<Message>,
    ) -> Result<Vec<Published>, PublishError> {
        messages.iter().try_for_each(fits_frame)?;
        let published = match self.shared.stored.get(channel) {
            Some(stored) => stored.publish(messages).await?,
            None => {
                let channel = channel.clone();
                self.ask(|reply| Command::Publish { channel, messages, reply }).await??
            }
        };
        self.counters().count(&published);
        Ok(published)
    }

    /// The channels that are kept on disk.
    pub(crate) fn stored(&self) -> &BTreeMap<ChannelName, StoredChannel> {
        &self.shared.stored
    }

    /// What is counted outside of the hub.
    pub(crate) fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    /// Makes a channel for an exchange that a client asks for. False if its name, or its number, is in use.
    pub(crate) async fn add_channel(&self, channel: &ChannelName) -> Result<bool, Stopped> {
        self.ask(|reply| Command::AddChannel(channel.clone(), reply)).await
    }

    /// Takes it away again.
    pub(crate) async fn remove_channel(&self, channel: &ChannelName) -> Result<(), Stopped> {
        self.send(Command::RemoveChannel(channel.clone())).await
    }

    /// Waits until a channel has got so far.
    pub(crate) async fn reaches(&self, channel: &ChannelName, position: Position) -> Result<(), Stopped> {
        self.ask(|reply| Command::Reach(channel.clone(), position, reply)).await
    }

    /// A number for a new session: they count up from 1.
    pub(crate) fn next_session(&self) -> SessionId {
        SessionId(self.shared.next_session.fetch_add(1, Ordering::Relaxed))
    }

    /// A number for a new reader: they count up from 1.
    pub(super) fn next_reader(&self) -> ReaderId {
        ReaderId(self.shared.next_reader.fetch_add(1, Ordering::Relaxed))
    }

    /// Says that a reader is gone, at once or, where the queue is full, when there is room.
    pub(super) fn forget_reader(&self, reader: ReaderId) {
        let closed = Command::ReaderClosed(reader);
        if let Err(mpsc::error::TrySendError::Full(closed)) = self.commands.try_send(closed)
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let handle = self.clone();
            runtime.spawn(async move { handle.send(closed).await });
        }
    }

    /// Waits for room in the driver's queue, which is everybody's backpressure.
    pub(crate) async fn send(&self, command: Command) -> Result<(), Stopped> {
        self.commands.send(command).await.map_err(|_| Stopped)
    }

    pub(super) async fn ask<T>(
        &self,
        question: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, Stopped> {
        let (reply, answer) = oneshot::channel();
        self.send(question(reply)).await?;
        answer.await.map_err(|_| Stopped)
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
