//! Who leaves a channel, and the hub.

use tiercast_codec::{ChannelId, Code, PeerId, SessionId};

use super::{Hub, Output, Receiver, Timer};
use crate::Time;

/// How a peer leaves.
#[derive(Debug, Clone, Copy)]
pub(super) enum Leave {
    /// It may come back, and keeps its place for a while.
    ForNow,
    ForGood,
}

impl Hub {
    pub(super) fn close(&mut self, now: Time, session: SessionId, code: Code, reason: String) {
        if self.sessions.contains_key(&session) {
            self.say_close(session, code, reason);
            self.forget(now, session, Leave::ForGood);
        }
    }

    pub(super) fn say_close(&mut self, session: SessionId, code: Code, reason: String) {
        *self.stats.closed.entry(code).or_default() += 1;
        self.outputs.push_back(Output::Close { session, code, reason });
    }

    pub(super) fn forget(&mut self, now: Time, session: SessionId, leave: Leave) {
        let Some(state) = self.sessions.remove(&session) else { return };
        self.timers.clear(Timer::Heartbeat(session));
        self.timers.clear(Timer::Expiry(session));
        self.timers.clear(Timer::Look(session));
        let Some(peer) = state.peer else { return };
        self.present.remove(&peer);
        for id in state.channels {
            self.remove_member(now, peer, id, leave);
        }
    }

    /// Ends a subscription. False if there was none.
    pub(super) fn leave(&mut self, now: Time, session: SessionId, peer: PeerId, id: ChannelId) -> bool {
        let Some(state) = self.sessions.get_mut(&session) else { return false };
        let before = state.channels.len();
        state.channels.retain(|channel| *channel != id);
        let was_subscribed = state.channels.len() < before;
        if was_subscribed {
            self.remove_member(now, peer, id, Leave::ForGood);
        }
        was_subscribed
    }

    pub(super) fn remove_member(&mut self, now: Time, peer: PeerId, id: ChannelId, leave: Leave) {
        if let Some(channel) = self.channels.get_mut(&id) {
            channel.forget(peer);
        }
        self.budget.forget((id, Receiver::Peer(peer)));
        self.with_tree(id, |tree, context| match leave {
            Leave::ForNow => tree.leave_for_now(now, peer, context),
            Leave::ForGood => tree.leave(now, peer, context),
        });
    }
}
