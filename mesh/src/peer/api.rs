//! What goes into a peer and what comes out of it.

use bytes::Bytes;
use tiercast_codec::{ChannelName, Code, IceServer, LinkId, PeerId, Position, Signal, Since};

/// What happens to a peer.
#[derive(Debug)]
pub enum Input {
    /// The connection to the server is open.
    SessionOpened,
    /// The server sent a message.
    SessionData(Bytes),
    /// The connection to the server is gone. Said in every case, also after [`Output::CloseSession`].
    SessionClosed,
    /// A link's data channel is open.
    LinkOpened(LinkId),
    /// A link brought a message.
    LinkData(LinkId, Bytes),
    /// A link is gone, or could not be set up. Said in every case but that of [`Output::CloseLink`].
    LinkClosed(LinkId),
    /// A link's transport has something for the transport at the other end.
    LocalSignal(LinkId, Signal),
    /// The application wants a channel.
    Subscribe {
        /// The channel.
        channel: ChannelName,
        /// Where to start.
        since: Since,
    },
    /// The application wants a channel no longer.
    Unsubscribe(ChannelName),
    /// The peer serves at most so many children in each channel from now on. Says nothing for one that takes no part in
    /// the mesh.
    Offer(u16),
    /// The time of [`Peer::poll_timeout`](super::Peer::poll_timeout) has come.
    Timeout,
}

/// Somebody to send to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// The server.
    Session,
    /// A link.
    Link(LinkId),
}

/// What the peer wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// There is something for this target: call [`Peer::poll_transmit`](super::Peer::poll_transmit) whenever it is writable, until that
    /// gives nothing. Said once; the driver remembers.
    Transmit(Target),
    /// Close the connection to the server; and reconnect after a while.
    CloseSession {
        /// The WebSocket close code.
        code: Code,
        /// For people.
        reason: String,
    },
    /// Set up a link.
    OpenLink {
        /// Its number.
        link: LinkId,
        /// Whether this end makes the offer, or opens the data channel on the connection that is there.
        offers: bool,
        /// The link whose connection it shares, if it shares one: it may still be being set up, or be gone already.
        via: Option<LinkId>,
    },
    /// Something for a link's transport from the transport at the other end.
    RemoteSignal(LinkId, Signal),
    /// Close a link. The peer has forgotten it already.
    CloseLink {
        /// Its number.
        link: LinkId,
        /// To be sent first, if the link is open.
        bye: Option<Bytes>,
    },
    /// News for whoever watches.
    Status(Status),
}

/// News of a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// The server has answered.
    Welcome {
        /// What the peer is called in the tree.
        peer: PeerId,
        /// The server's clock in microseconds since the Unix epoch.
        server_time_us: u64,
        /// STUN and TURN servers for links.
        ice_servers: Vec<IceServer>,
    },
    /// A subscription has started, or gone on after a reconnect.
    Subscribed {
        /// Its channel.
        channel: ChannelName,
        /// From where on.
        position: Position,
        /// Whether everything after the position asked for is there. If not, a gap follows.
        recovered: bool,
    },
    /// The server refused something. If it is about a subscription, that has ended.
    Refused {
        /// The channel, if it was about one.
        channel: Option<ChannelName>,
        /// Why.
        code: Code,
        /// For people.
        reason: String,
        /// If it was not about a subscription: come back to this server, if at all, no earlier than this.
        retry_after_ms: Option<u32>,
    },
    /// The peer has a place in the tree.
    Placed {
        /// The channel.
        channel: ChannelName,
        /// The tier.
        tier: u32,
    },
    /// Somebody else feeds the peer now.
    Parent {
        /// The channel.
        channel: ChannelName,
        /// Who; `None` is the server.
        parent: Option<PeerId>,
    },
    /// A child has come or gone.
    Children {
        /// The channel.
        channel: ChannelName,
        /// How many there are.
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

/// A call that the driver should not have made; the peer is unchanged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// There is a subscription for this channel.
    #[error("already subscribed to `{0}`")]
    AlreadySubscribed(ChannelName),
    /// There is none.
    #[error("not subscribed to `{0}`")]
    NotSubscribed(ChannelName),
}
