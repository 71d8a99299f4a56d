//! Link messages between parent and child, beside frames and heads: msgpack maps with readable keys.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use crate::{ChannelId, Code, Ping, Pong, Position, message::message_family, token::Token};

message_family! {
    /// What peers say to each other on a link.
    pub enum LinkMessage {
        /// The child's first message.
        Join(Join) = "join",
        /// The parent's answer.
        Joined(Joined) = "joined",
        /// Says how far the child is, so that the parent may send more.
        At(At) = "at",
        /// Says how far a parent is that sends nothing because the child holds it.
        Have(Have) = "have",
        /// The child wants frames from here on.
        Send(SendMessage) = "send",
        /// The child wants no frames for now.
        Hold(Hold) = "hold",
        /// The last message before a link is closed.
        Bye(Bye) = "bye",
        /// Asks for a `pong`.
        Ping(Ping) = "ping",
        /// Answers a `ping`.
        Pong(Pong) = "pong",
    }
}

/// The child's first message: who it is, and from where on it wants frames.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Join {
    /// What the hub gave both ends.
    pub token: Token,
    /// The channel.
    pub channel: ChannelId,
    /// What the child has.
    pub position: Position,
    /// How far the parent may run ahead of the last position that it heard, in bytes of frames.
    pub window_bytes: NonZeroU32,
    /// Whether the parent is to send no frames until the child says [`SendMessage`].
    pub hold: bool,
}

/// The parent's answer: how far it is itself. A child that has reached this is fed by the link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joined {
    /// What the parent has.
    pub position: Position,
}

/// Says how far the child is. The parent stays within a window beyond it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct At {
    /// What the child has.
    pub position: Position,
}

/// Says how far a parent is that the child holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Have {
    /// What the parent has.
    pub position: Position,
}

/// Releases a parent that was held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendMessage {
    /// What the child has.
    pub position: Position,
}

/// Holds a parent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {}

/// The last message before a link is closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bye {
    /// Why.
    pub code: Code,
}
