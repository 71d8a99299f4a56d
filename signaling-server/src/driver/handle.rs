//! How the rest of the program talks to the driver.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tiercast_codec::{ChannelName, Pattern, PublicKey, SessionId};
use tiercast_mesh::hub::{ReaderId, TreeNode};
use tokio::sync::{mpsc, oneshot};

use super::{command::Command, snapshot::Snapshot};
use crate::{
    config::SourceKind,
    counters::Counters,
    source::{
        amqp::dynamic::{Dynamic, DynamicError, DynamicStats, Lease},
        stored::StoredChannel,
    },
    stopped::Stopped,
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
    pub async fn snapshot(&self) -> Result<Snapshot, Stopped> {
        self.ask(Command::Snapshot).await
    }

    /// Who feeds whom in a channel; nothing if there is no such channel.
    pub async fn topology(&self, channel: &ChannelName) -> Result<Option<Vec<TreeNode>>, Stopped> {
        self.ask(|reply| Command::Topology(channel.clone(), reply)).await
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

    /// Binds more for the holder of a lease. If that is refused, the lease is as before.
    pub async fn bind(
        &self,
        lease: &mut Lease,
        patterns: impl IntoIterator<Item = Pattern>,
    ) -> Result<(), DynamicError> {
        let lacking = lease.lacks(patterns);
        if !lacking.is_empty() {
            lease.absorb(self.lease(lease.exchange(), lacking, lease.len()).await?);
        }
        Ok(())
    }

    /// The channel of an exchange that clients may ask for.
    pub(crate) fn dynamic_channel(&self, exchange: &str) -> Result<ChannelName, DynamicError> {
        match &self.shared.dynamic {
            Some(dynamic) => dynamic.channel(exchange),
            None => Err(DynamicError::NotAllowed(exchange.to_owned())),
        }
    }

    /// Binds patterns for one who has so many of the exchange already.
    pub(crate) async fn lease(
        &self,
        exchange: &str,
        patterns: BTreeSet<Pattern>,
        beside: usize,
    ) -> Result<Lease, DynamicError> {
        match &self.shared.dynamic {
            Some(dynamic) => dynamic.lease(exchange, patterns, beside).await,
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

    /// Where a channel of the configuration comes from.
    pub(super) fn kind(&self, channel: &ChannelName) -> Option<SourceKind> {
        self.shared.kinds.get(channel).copied()
    }

    /// The channels that are kept on disk.
    pub(crate) fn stored(&self) -> &BTreeMap<ChannelName, StoredChannel> {
        &self.shared.stored
    }

    /// What is counted outside of the hub.
    pub(crate) fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    /// A number for a new session: they count up from 1.
    pub(crate) fn next_session(&self) -> SessionId {
        SessionId(self.shared.next_session.fetch_add(1, Ordering::Relaxed))
    }

    /// A number for a new reader: they count up from 1.
    pub(super) fn next_reader(&self) -> ReaderId {
        ReaderId(self.shared.next_reader.fetch_add(1, Ordering::Relaxed))
    }

    /// Says something at once or, where the queue is full, when there is room.
    pub(super) fn say(&self, command: Command) {
        if let Err(mpsc::error::TrySendError::Full(command)) = self.commands.try_send(command)
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let handle = self.clone();
            runtime.spawn(async move { handle.send(command).await });
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
