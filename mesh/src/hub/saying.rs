//! What the hub says to sessions.

use std::collections::{BTreeMap, VecDeque};

use tiercast_codec::{ChannelId, PeerId, SessionId, SignalMessage, ToPeer};

use super::{ChannelStats, Hub, Output, session::Session};

impl Hub {
    pub(super) fn count(&mut self, id: ChannelId, count: impl FnOnce(&mut ChannelStats)) {
        if let Some(channel) = self.channels.get_mut(&id) {
            count(&mut channel.stats);
        }
    }

    /// Tells a peer something about a channel, if it is there to hear it.
    pub(super) fn tell(&mut self, id: ChannelId, peer: PeerId, message: ToPeer) {
        if let Some(session) = self.present.get(&peer).copied() {
            self.send_on(id, session, message);
        }
    }

    /// Says something about a channel.
    pub(super) fn send_on(&mut self, id: ChannelId, session: SessionId, message: ToPeer) {
        let bytes = self.queue(session, &message);
        self.count(id, |stats| stats.control_bytes += bytes);
    }

    /// Says something about no channel.
    pub(super) fn send(&mut self, session: SessionId, message: ToPeer) {
        let bytes = self.queue(session, &message);
        self.stats.control_bytes += bytes;
    }

    /// Forwards a signal. False if those before it are not being read.
    pub(super) fn forward(&mut self, id: ChannelId, peer: PeerId, signal: SignalMessage) -> bool {
        let Some(session) = self.present.get(&peer).copied() else { return true };
        let Some(state) = self.sessions.get_mut(&session) else { return true };
        let Ok(bytes) = state.push_signal(signal) else { return false };
        self.count(id, |stats| stats.control_bytes += bytes as u64);
        announce(&mut self.sessions, &mut self.outputs, session);
        true
    }

    /// Queues a message; says how large it is.
    fn queue(&mut self, session: SessionId, message: &ToPeer) -> u64 {
        // A peer that has just left may still be named by an action of the tree.
        let Some(state) = self.sessions.get_mut(&session) else { return 0 };
        let Ok(bytes) = state.push(message) else {
            self.overflowed.push(session);
            return 0;
        };
        announce(&mut self.sessions, &mut self.outputs, session);
        bytes as u64
    }
}

/// Tells the driver once that there is something for a session.
pub(super) fn announce(
    sessions: &mut BTreeMap<SessionId, Session>,
    outputs: &mut VecDeque<Output>,
    session: SessionId,
) {
    if let Some(state) = sessions.get_mut(&session)
        && !std::mem::replace(&mut state.is_announced, true)
    {
        outputs.push_back(Output::Transmit(session));
    }
}
