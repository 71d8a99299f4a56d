//! The public face of a native peer.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::Stream;
use tiercast_codec::{
    ChannelName, ChannelNameError, Code, Epoch, Event, GapReason, NodeKind, Pattern, PatternError, PeerId,
    Position, Relay, Since,
};
use tiercast_mesh::{
    LogLimits,
    peer::{PeerConfig, PeerStats},
};
use tokio::{
    sync::{Notify, broadcast, mpsc, oneshot, watch},
    task::JoinHandle,
};

use crate::{
    driver::{Command, Driver},
    link::LinkSettings,
};

/// Notifications that wait for the application, per subscription. The rest stays in the log.
pub(crate) const NOTIFICATIONS_MAX: usize = 256;
/// News that wait for one who watches. One who falls behind misses some.
const STATUSES_MAX: usize = 256;

/// How a peer takes part.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// Most children that this peer serves. Default 8. With 0 it has a parent, but relays nothing.
    pub children_max: u16,
    /// Whether it takes part in the mesh. If not, the server feeds it and nobody learns its address.
    /// Default true.
    pub relay: bool,
    /// What it keeps of a channel for its children, and for a slow application. Default 8 MiB.
    pub log_bytes: usize,
    /// How far those who feed it may run ahead of what it has said that it has, in bytes of events: a slow application
    /// costs them so much. At most a quarter of the log. Default 256 KiB: a round trip of 100 ms at 20 Mbit/s.
    pub window_bytes: u32,
    /// How it connects to other peers.
    pub links: LinkSettings,
    /// Program and version, for the server's operator.
    pub client: String,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            children_max: 8,
            relay: true,
            log_bytes: PeerConfig::default().log.bytes,
            window_bytes: PeerConfig::default().window_bytes,
            links: LinkSettings::default(),
            client: concat!("peer-client/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

impl ClientOptions {
    pub(crate) fn peer_config(&self) -> PeerConfig {
        let default = PeerConfig::default();
        PeerConfig {
            client: self.client.clone(),
            relay: self.relay.then_some(Relay { node: NodeKind::Native, children_max: self.children_max }),
            log: LogLimits { bytes: self.log_bytes, ..default.log },
            window_bytes: self.window_bytes,
            link_setup: self.links.connect_timeout,
            ..default
        }
    }
}

/// What an application wants of a channel.
#[derive(Debug, Clone, Default)]
pub struct SubscribeOptions {
    /// Where to start. Default: now.
    pub since: Since,
    /// Topic patterns, of which an event must match one. Default: none, which lets every event through.
    pub patterns: Vec<Pattern>,
}

/// Something that a subscription gives.
#[derive(Debug, Clone, PartialEq)]
pub enum Notification {
    /// The subscription has started, or gone on after a reconnect.
    Subscribed {
        /// From where on.
        position: Position,
        /// Whether everything after the position asked for is there. If not, a gap follows.
        recovered: bool,
    },
    /// An event.
    Event {
        /// The numbering that its offset belongs to.
        epoch: Epoch,
        /// When the server sealed it, in microseconds since the Unix epoch.
        sealed_us: u64,
        /// The event.
        event: Event,
    },
    /// Events that are gone for good: those after `from`, up to where the channel goes on.
    Gap {
        /// What was there.
        from: Position,
        /// Where the channel goes on.
        to: Position,
        /// Why.
        reason: GapReason,
    },
    /// The server refuses the subscription, or the peer cannot go on; nothing follows.
    Refused {
        /// The server's code; `None` if it is not the subscription that was refused.
        code: Option<Code>,
        /// For people.
        reason: String,
    },
}

/// What a peer can be seen doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// Connected to the server, under this name.
    Connected {
        /// What the peer is called in the tree.
        peer: PeerId,
    },
    /// Disconnected from the server.
    Disconnected {
        /// Why.
        reason: String,
        /// When it tries again; `None`: it does not.
        retry_in_ms: Option<u64>,
    },
    /// It has a place in the tree.
    Placed {
        /// The channel.
        channel: ChannelName,
        /// 1: fed by the server for good; n: fed by a peer of tier n - 1; 0: fed by the server, relays nothing.
        tier: u32,
    },
    /// Somebody else feeds it.
    Parent {
        /// The channel.
        channel: ChannelName,
        /// Who; `None` is the server.
        parent: Option<PeerId>,
    },
    /// It has this many children now.
    Children {
        /// The channel.
        channel: ChannelName,
        /// How many.
        count: usize,
    },
    /// A link was closed.
    LinkLost {
        /// The other end.
        other: PeerId,
        /// Why.
        code: Code,
    },
}

/// Where a peer stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// What it is called in the tree, once it has been connected.
    pub peer: Option<PeerId>,
    /// Whether it is connected to the server.
    pub is_connected: bool,
    /// Why it is not, if it was tried.
    pub trouble: Option<String>,
    /// How often it has lost the server.
    pub disconnects: u64,
    /// The newest tier it was given.
    pub tier: u32,
    /// Who feeds it; `None` is the server.
    pub parent: Option<PeerId>,
    /// How many peers it relays to.
    pub children: usize,
    /// Its counters.
    pub stats: PeerStats,
}

/// What can go wrong in calls.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Not a channel name.
    #[error(transparent)]
    ChannelName(#[from] ChannelNameError),
    /// Not a topic pattern.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// There is a subscription already; drop it first.
    #[error("already subscribed to `{0}`")]
    AlreadySubscribed(ChannelName),
    /// The server forbade this peer to come back, or the peer was closed.
    #[error("the peer is closed")]
    Closed,
}

/// A native peer. It lives until this is dropped.
#[derive(Debug)]
pub struct Client {
    commands: mpsc::Sender<Command>,
    standing: watch::Receiver<Standing>,
    news: broadcast::Sender<News>,
    drained: Arc<Notify>,
    task: JoinHandle<()>,
}

/// A subscription: a stream of notifications. It ends when this is dropped.
#[derive(Debug)]
pub struct Subscription {
    channel: ChannelName,
    notifications: mpsc::Receiver<Notification>,
    commands: mpsc::Sender<Command>,
    drained: Arc<Notify>,
}

impl Client {
    /// A peer that connects to a server's `ws://HOST:PORT/v1/ws`, and again whenever it has to. An address that is
    /// none ([`ServerUrl`](crate::ServerUrl)) ends each subscription with the reason.
    ///
    /// Must be called within a tokio runtime.
    pub fn connect(url: impl Into<String>, options: ClientOptions) -> Self {
        let (commands, inbox) = mpsc::channel(16);
        let (standing_sender, standing) = watch::channel(Standing::default());
        let (news, _) = broadcast::channel(STATUSES_MAX);
        let drained = Arc::new(Notify::new());
        let driver = Driver::new(url.into(), options, standing_sender, news.clone(), drained.clone());
        let task = tokio::spawn(driver.run(inbox));
        Self { commands, standing, news, drained, task }
    }

    /// Subscribes to a channel.
    ///
    /// # Errors
    ///
    /// If there is a subscription for it, or the peer is closed.
    pub async fn subscribe(
        &self,
        channel: &str,
        options: SubscribeOptions,
    ) -> Result<Subscription, ClientError> {
        let channel: ChannelName = channel.parse()?;
        let (notify, notifications) = mpsc::channel(NOTIFICATIONS_MAX);
        let (done, answer) = oneshot::channel();
        let SubscribeOptions { since, patterns } = options;
        let command = Command::Subscribe { channel: channel.clone(), since, patterns, notify, done };
        self.commands.send(command).await.map_err(|_| ClientError::Closed)?;
        answer.await.map_err(|_| ClientError::Closed)??;
        let (commands, drained) = (self.commands.clone(), self.drained.clone());
        Ok(Subscription { channel, notifications, commands, drained })
    }

    /// Where the peer stands, now and whenever that changes.
    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.clone()
    }

    /// What the peer does, from now on.
    pub fn news(&self) -> broadcast::Receiver<News> {
        self.news.subscribe()
    }

    /// Says goodbye to its neighbours and the server, and ends.
    pub async fn close(mut self) {
        if self.commands.send(Command::Close).await.is_ok() {
            // A task that panicked has nothing left to close.
            let _ = (&mut self.task).await;
        }
    }

    /// Ends at once, without a goodbye in the protocol. Connections are closed by the system, so neighbours and
    /// server see it sooner than the death of a whole machine.
    pub fn kill(self) {
        self.task.abort();
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Subscription {
    /// The next notification; `None` after the end.
    pub async fn next(&mut self) -> Option<Notification> {
        let notification = self.notifications.recv().await;
        self.drained.notify_one();
        notification
    }

    /// The channel.
    pub fn channel(&self) -> &ChannelName {
        &self.channel
    }
}

impl Stream for Subscription {
    type Item = Notification;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Notification>> {
        let polled = self.notifications.poll_recv(context);
        if polled.is_ready() {
            self.drained.notify_one();
        }
        polled
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        // If the peer is too busy to hear it, it notices by the closed channel.
        let _ = self.commands.try_send(Command::Unsubscribe(self.channel.clone()));
        self.drained.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peer_gets_the_limits_that_were_asked_for() {
        let options = ClientOptions { log_bytes: 1 << 20, window_bytes: 1 << 19, ..ClientOptions::default() };
        let config = options.peer_config();
        assert_eq!((config.log.bytes, config.window_bytes), (1 << 20, 1 << 19));
    }
}
