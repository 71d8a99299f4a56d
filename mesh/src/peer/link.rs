//! One link of a peer: to its parent, or to a child.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use tiercast_codec::{
    ChannelId, Code, DecodeError, Frame, Item, LinkMessage, PeerId, Token, WireMessage,
    limits::FRAME_BYTES_MAX,
};

use super::{feeder::Feeder, service::Service};
use crate::{
    Held, Time,
    outbox::{Full, Outbox},
};

/// Messages that wait to be sent again, or to ask for that.
const AGAIN_MAX: usize = 64;

/// A connection to another peer, under way or up.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) channel: ChannelId,
    pub(super) other: PeerId,
    pub(super) token: Token,
    pub(super) end: End,
    pub(super) last_received: Time,
    pub(super) last_sent: Time,
    /// Whether the driver was told that there is something to send.
    pub(super) is_announced: bool,
    outbox: Outbox,
    /// What was lost on the way and is sent again, or is asked for again.
    again: VecDeque<Bytes>,
    assembly: BytesMut,
}

/// Which end of the link this peer is.
#[derive(Debug)]
pub(super) enum End {
    /// The parent's: not yet connected.
    AwaitsChild,
    /// The parent's: connected, and waiting for `join`.
    AwaitsJoin,
    /// The parent's: serving the child.
    Serves(Service),
    /// The child's: not yet connected.
    AwaitsParent,
    /// The child's: `join` was sent then, and asked the parent to hold.
    Joins { asked: Time, hold: bool },
    /// The child's: the parent feeds us, is about to, or stands by.
    Follows(Feeder),
}

impl Link {
    pub(super) fn new(
        now: Time,
        channel: ChannelId,
        other: PeerId,
        token: Token,
        end: End,
        outbox_bytes: usize,
    ) -> Self {
        Self {
            channel,
            other,
            token,
            end,
            last_received: now,
            last_sent: now,
            is_announced: false,
            outbox: Outbox::new(outbox_bytes),
            again: VecDeque::new(),
            assembly: BytesMut::new(),
        }
    }

    pub(super) fn is_open(&self) -> bool {
        !matches!(self.end, End::AwaitsChild | End::AwaitsParent)
    }

    pub(super) fn push(&mut self, message: LinkMessage) -> Result<(), Full> {
        self.outbox.push(message.encode())
    }

    pub(super) fn pop(&mut self) -> Option<Bytes> {
        self.outbox.pop().or_else(|| self.again.pop_front())
    }

    /// Says what may be said again if it is lost. What there is no room for is lost already, and what waits is not said
    /// twice. True if it is said.
    pub(super) fn repeat(&mut self, bytes: Bytes) -> bool {
        let is_said = self.again.len() < AGAIN_MAX && !self.again.contains(&bytes);
        if is_said {
            self.again.push_back(bytes);
        }
        is_said
    }

    /// What waits at the link, beside its bounds.
    pub(super) fn held(&self) -> impl Iterator<Item = Held> + '_ {
        let again = self.again.iter().map(Bytes::len).sum();
        let others = [
            Held { what: "again", bytes: again, bytes_max: AGAIN_MAX * FRAME_BYTES_MAX },
            Held { what: "assembly", bytes: self.assembly.len(), bytes_max: FRAME_BYTES_MAX },
        ];
        self.outbox.held().into_iter().chain(others)
    }

    /// Adds a chunk; gives the frame when it is whole.
    pub(super) fn assemble(&mut self, part: &Bytes, is_last: bool) -> Result<Option<Frame>, DecodeError> {
        let value = self.assembly.len() + part.len();
        if value > FRAME_BYTES_MAX {
            return Err(DecodeError::TooLarge {
                field: "chunked frame",
                value: value as u64,
                max: FRAME_BYTES_MAX as u64,
            });
        }
        self.assembly.extend_from_slice(part);
        if !is_last {
            return Ok(None);
        }
        match Item::all(self.assembly.split().freeze())?.as_slice() {
            [Item::Frame(frame)] => Ok(Some(frame.clone())),
            _ => Err(DecodeError::TrailingBytes),
        }
    }
}

/// The last message on a link, for whoever closes it.
pub fn bye(code: Code) -> Bytes {
    LinkMessage::Bye(tiercast_codec::Bye { code }).encode()
}
