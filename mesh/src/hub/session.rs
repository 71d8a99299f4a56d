//! One session of the hub: whose it is, what waits for it, and whether it is alive.

use tiercast_codec::{ChannelId, Head, PeerId, SignalMessage, ToPeer, WireMessage};

use super::{HubConfig, Rights, Whereabouts};
use crate::{
    Held, Time,
    outbox::{Full, Outbox},
};

/// A connection of a peer.
#[derive(Debug)]
pub(super) struct Session {
    /// Whose it is; known once `hello` was answered.
    pub(super) peer: Option<PeerId>,
    /// Where it comes from.
    pub(super) from: Whereabouts,
    /// What it may read.
    pub(super) rights: Rights,
    /// What it is subscribed to; the first one is served next.
    pub(super) channels: Vec<ChannelId>,
    pub(super) last_received: Time,
    pub(super) last_sent: Time,
    /// When it was asked whether it lives, if it was.
    pub(super) looked_at: Option<Time>,
    /// Whether the driver was told that there is something to send.
    pub(super) is_announced: bool,
    outbox: Outbox,
}

impl Session {
    pub(super) fn new(now: Time, from: Whereabouts, rights: Rights, config: &HubConfig) -> Self {
        Self {
            peer: None,
            from,
            rights,
            channels: Vec::new(),
            last_received: now,
            last_sent: now,
            looked_at: None,
            is_announced: false,
            outbox: Outbox::new(config.outbox_bytes).with_signals(config.outbox_signal_bytes),
        }
    }

    /// What waits for it, beside its bounds.
    pub(super) fn held(&self) -> [Held; 2] {
        self.outbox.held()
    }

    /// Queues a message; says how large it is.
    pub(super) fn push(&mut self, message: &ToPeer) -> Result<usize, Full> {
        let bytes = message.encode();
        let length = bytes.len();
        self.outbox.push(bytes)?;
        Ok(length)
    }

    /// Queues a head.
    pub(super) fn push_head(&mut self, head: &Head) -> Result<(), Full> {
        self.outbox.push(head.bytes().clone())
    }

    /// Queues a signal; says how large it is.
    pub(super) fn push_signal(&mut self, signal: SignalMessage) -> Result<usize, Full> {
        let bytes = ToPeer::Signal(signal).encode();
        let length = bytes.len();
        self.outbox.push_signal(bytes)?;
        Ok(length)
    }

    pub(super) fn pop(&mut self) -> Option<bytes::Bytes> {
        self.outbox.pop()
    }
}
