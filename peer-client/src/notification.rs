//! What an application is told: the events of a subscription, and how its peer fares.

use tiercast_codec::{ChannelName, Code, Epoch, Event, GapReason, PeerId, Position};
use tiercast_mesh::peer::PeerStats;

use crate::server_url::ServerUrl;

/// Something that a subscription gives.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
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
    /// All that was published up to a reconnect has been given.
    Recovered {
        /// How many events that the server brought after the reconnect were given.
        count: u64,
    },
    /// Neither events nor gaps follow until [`Self::Resumed`].
    Paused,
    /// It goes on where it was paused.
    Resumed,
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
#[non_exhaustive]
pub enum News {
    /// Connected to the server, under this name.
    Connected {
        /// What the peer is called in the tree.
        peer: PeerId,
        /// The server.
        server: ServerUrl,
    },
    /// Disconnected from the server, or the attempt to connect has failed; [`Self::Reconnecting`] follows.
    Disconnected {
        /// Why.
        reason: String,
    },
    /// It tries again after a while.
    Reconnecting {
        /// How many attempts there will have been since it was connected.
        attempt: u32,
        /// When, in milliseconds from now.
        delay_ms: u64,
        /// The server that it turns to.
        server: ServerUrl,
    },
    /// Disconnected for good: no server wants this peer back.
    Closed {
        /// Why.
        reason: String,
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
#[non_exhaustive]
pub struct Standing {
    /// What it is called in the tree, once it has been connected.
    pub peer: Option<PeerId>,
    /// Whether it is connected to the server.
    pub is_connected: bool,
    /// The server that it is connected to, or was last.
    pub server: Option<ServerUrl>,
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
    /// Links to other peers, of all channels, that are up or being set up.
    pub links: usize,
    /// Connections that these share; one that is being closed counts.
    pub connections: usize,
    /// Its counters.
    pub stats: PeerStats,
}
