//! Control messages between a peer and the hub: msgpack maps with readable keys.
//!
//! Unknown fields are ignored, so that fields can be added. The field `type` names the message. Integers are refused
//! beyond the ranges that docs/protocol.md gives for them.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use crate::{
    ChannelId, ChannelName, Code, IceServer, LinkId, Offset, PeerId, Position, SessionId, Signal, Since,
    message::message_family,
    range,
    token::{KeyBytes, Token},
};

/// The protocol version that `hello` names.
pub const PROTOCOL_VERSION: u32 = 1;

message_family! {
    /// What a peer says to the hub.
    pub enum ToHub {
        /// First message of a session.
        Hello(Hello) = "hello",
        /// Asks for a channel.
        Subscribe(Subscribe) = "subscribe",
        /// Ends a subscription.
        Unsubscribe(Unsubscribe) = "unsubscribe",
        /// Says that the peer can do more for others from now on, or less, in all its channels.
        Relay(Relay) = "relay",
        /// Asks the server to feed a subscription from a position on, because its parent cannot.
        Feed(Feed) = "feed",
        /// Says that the parent feeds the subscription now, so that the server may stop.
        Fed(Fed) = "fed",
        /// Asks the server for what it has beyond a position, once; who feeds the subscription goes on doing so.
        Pull(ChannelAt) = "pull",
        /// Says how far a subscription is, so that the server may send more.
        At(ChannelAt) = "at",
        /// A step of the negotiation of a link, for the other end.
        Signal(SignalMessage) = "signal",
        /// Says that a link is gone, and why.
        Report(Report) = "report",
        /// Asks for a `pong`.
        Ping(Ping) = "ping",
        /// Answers a `ping`.
        Pong(Pong) = "pong",
    }
}

message_family! {
    /// What the hub says to a peer.
    pub enum ToPeer {
        /// Answers `hello`.
        Welcome(Welcome) = "welcome",
        /// Answers `subscribe`.
        Subscribed(Subscribed) = "subscribed",
        /// Answers `unsubscribe`.
        Unsubscribed(Unsubscribed) = "unsubscribed",
        /// Gives a peer its parent.
        Assign(Assign) = "assign",
        /// Announces a child to a parent.
        Expect(Expect) = "expect",
        /// Tells a peer its place in the tree.
        Place(Place) = "place",
        /// A step of the negotiation of a link, from the other end.
        Signal(SignalMessage) = "signal",
        /// Ends a link.
        Lost(Lost) = "lost",
        /// The session of the other end of a link has ended: does the link live?
        Away(Away) = "away",
        /// Events that are gone for good.
        Gap(Gap) = "gap",
        /// Answers a request that failed, or a message that was ignored.
        Error(ErrorMessage) = "error",
        /// Asks for a `pong`.
        Ping(Ping) = "ping",
        /// Answers a `ping`.
        Pong(Pong) = "pong",
    }
}

/// First message of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Request id; the answer carries it.
    #[serde(deserialize_with = "range::number")]
    pub id: u64,
    /// [`PROTOCOL_VERSION`].
    pub protocol: u32,
    /// Program and version, for the operator.
    pub client: String,
    /// Who the peer was in an earlier session, if it wants to be that again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<Resume>,
}

/// Who a peer was in an earlier session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resume {
    /// What it was called in the tree.
    pub peer: PeerId,
    /// What came with that name in [`Welcome`].
    pub token: Token,
}

/// Asks for a channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscribe {
    /// Request id.
    #[serde(deserialize_with = "range::number")]
    pub id: u64,
    /// The channel.
    pub channel: ChannelName,
    /// Where to start; `now` if absent.
    #[serde(default)]
    pub since: Since,
    /// How far the server may run ahead of the last position that it heard, in bytes of frames.
    pub window_bytes: NonZeroU32,
    /// What the peer can do for others. Absent: it takes no part in the mesh and the server feeds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relay: Option<Relay>,
    /// The links of the channel that outlived the session in which they were set up.
    #[serde(default, deserialize_with = "range::links_if_any", skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<LivingLink>,
}

/// A link that outlived the session in which it was set up, and perhaps the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LivingLink {
    /// The link.
    pub link: LinkId,
    /// The other end.
    pub peer: PeerId,
    /// What the other end is to this one.
    pub role: LinkRole,
    /// What the hub gave both ends: it shows that this link was set up by a hub with the same secret.
    pub token: Token,
}

/// What the other end of a link is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkRole {
    /// It feeds this end.
    Parent,
    /// It stands by to feed this end.
    Standby,
    /// It is fed by this end.
    Child,
    /// It holds this end, which stands by to feed it.
    Held,
}

/// What a peer can do for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relay {
    /// What kind of node it is.
    pub node: NodeKind,
    /// Most children that it serves; 0: a leaf that can have a parent.
    pub children_max: u16,
}

/// What kind of node a peer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum NodeKind {
    /// A page.
    Browser,
    /// A program.
    Native,
}

/// Ends a subscription.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unsubscribe {
    /// Request id.
    #[serde(deserialize_with = "range::number")]
    pub id: u64,
    /// The channel.
    pub channel: ChannelName,
}

/// Asks the server to feed a subscription from a position on, because its parent cannot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feed {
    /// The channel.
    pub channel: ChannelName,
    /// What the peer has.
    pub position: Position,
    /// As in [`Subscribe`].
    pub window_bytes: NonZeroU32,
    /// The link that failed, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<LinkId>,
    /// Why.
    pub code: Code,
}

/// Says that the parent feeds the subscription now, so that the server may stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fed {
    /// The channel.
    pub channel: ChannelName,
    /// The link that feeds it.
    pub link: LinkId,
}

/// Says how far a subscription is: `at`, beyond which the server stays within a window, or `pull`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelAt {
    /// The channel.
    pub channel: ChannelName,
    /// What the peer has.
    pub position: Position,
}

/// A step of the negotiation of a link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignalMessage {
    /// The link.
    pub link: LinkId,
    /// The step.
    pub signal: Signal,
}

/// Says that a link is gone, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The link.
    pub link: LinkId,
    /// Why.
    pub code: Code,
}

/// Asks for a [`Pong`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ping {
    /// Comes back in the answer: the asker's clock in microseconds.
    #[serde(deserialize_with = "range::number")]
    pub time_us: u64,
}

/// Answers a [`Ping`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pong {
    /// The ping's.
    #[serde(deserialize_with = "range::number")]
    pub time_us: u64,
}

/// Answers `hello`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// Request id.
    #[serde(deserialize_with = "range::number")]
    pub id: u64,
    /// This session.
    pub session: SessionId,
    /// What the peer is called in the tree.
    pub peer: PeerId,
    /// Shown in [`Resume`], it makes a later session that of the same peer.
    pub resume: Token,
    /// The server's clock in microseconds since the Unix epoch.
    #[serde(deserialize_with = "range::number")]
    pub server_time_us: u64,
    /// The Ed25519 keys that frames and heads may be signed with.
    pub keys: Vec<KeyBytes>,
    /// Either side that has nothing to say sends a `ping` this often; silence for three times as long ends
    /// the session. At least 1, at most an hour.
    #[serde(deserialize_with = "range::interval_ms")]
    pub heartbeat_ms: u32,
    /// A channel without frames says this often how far it is. At least 1, at most an hour.
    #[serde(deserialize_with = "range::interval_ms")]
    pub head_ms: u32,
    /// STUN and TURN servers for links.
    pub ice_servers: Vec<IceServer>,
}

/// Answers `subscribe`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscribed {
    /// Request id.
    #[serde(deserialize_with = "range::number")]
    pub id: u64,
    /// The channel.
    pub channel: ChannelName,
    /// The number that stands for it in frames and heads.
    pub channel_id: ChannelId,
    /// Where the subscription starts. If it is not where the peer asked to start, a `gap` follows.
    pub position: Position,
    /// The newest offset.
    #[serde(deserialize_with = "range::offset")]
    pub head: Offset,
    /// Whether everything after the position asked for is there.
    pub recovered: bool,
}

/// Answers `unsubscribe`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unsubscribed {
    /// Request id.
    #[serde(deserialize_with = "range::number")]
    pub id: u64,
    /// The channel.
    pub channel: ChannelName,
}

/// Gives a peer its parent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assign {
    /// The channel.
    pub channel: ChannelName,
    /// The link to set up.
    pub link: LinkId,
    /// The parent.
    pub parent: PeerId,
    /// What the child shows the parent, once.
    pub token: Token,
    /// Whether this end makes the WebRTC offer, or opens the data channel on the connection that is there.
    pub offers: bool,
    /// Whether this parent stands by while another one feeds the peer.
    pub standby: bool,
    /// Another link between the two, whose connection this one is to share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<LinkId>,
}

/// Announces a child to a parent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expect {
    /// The channel.
    pub channel: ChannelName,
    /// The link to set up.
    pub link: LinkId,
    /// The child.
    pub child: PeerId,
    /// What the child will show.
    pub token: Token,
    /// As in [`Assign`].
    pub offers: bool,
    /// As in [`Assign`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<LinkId>,
}

/// Tells a peer its place in the tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The channel.
    pub channel: ChannelName,
    /// 1: fed by the server for good. n: fed by a peer of tier n - 1. 0: fed by the server, relays nothing.
    pub tier: u32,
}

/// Ends a link: the other end is gone, or the hub changed the tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lost {
    /// The link.
    pub link: LinkId,
    /// Why.
    pub code: Code,
}

/// The session of the other end of a link has ended without a goodbye. The link may be well: a peer that depends on it
/// asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Away {
    /// The link.
    pub link: LinkId,
}

/// Events that are gone for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The channel.
    pub channel: ChannelName,
    /// What the peer has.
    pub from: Position,
    /// Where the channel goes on.
    pub to: Position,
    /// Why.
    pub reason: GapReason,
}

/// Why events are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum GapReason {
    /// Older than what the server retains.
    Retention,
    /// The numbering began anew; how many events lie between is not known.
    Epoch,
    /// The source lost them, or they are larger than the server carries.
    Source,
}

/// Answers a request that failed, or a message that was ignored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorMessage {
    /// The request's id, if it had one.
    #[serde(default, deserialize_with = "range::number_if_any", skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
    /// What kind of error.
    pub code: Code,
    /// What is wrong and what to do, for people.
    pub reason: String,
    /// If trying again makes sense: no earlier than this. At most an hour.
    #[serde(default, deserialize_with = "range::wait_ms_if_any", skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u32>,
}
