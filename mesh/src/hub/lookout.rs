//! The hub looks out for peers that are starved and for peers that are dead: it tells those who are fed by others how far
//! their channels are, and asks those who are said to be silent.

use tiercast_codec::{ChannelId, Code, LinkId, PeerId, Ping, SessionId, ToPeer};

use super::{Hub, Timer, saying::announce};
use crate::Time;

impl Hub {
    /// Tells a peer how far its channels are, where somebody else feeds it: so it sees what is kept from it.
    pub(super) fn say_heads(&mut self, now: Time, session: SessionId) {
        let Some(state) = self.sessions.get_mut(&session) else { return };
        let Some(peer) = state.peer else { return };
        for index in 0..state.channels.len() {
            let Some(channel) = self.channels.get_mut(&state.channels[index]) else { continue };
            let Some(head) = channel.head_for_one(now, peer, &*self.signer) else { continue };
            if state.push_head(head).is_err() {
                self.overflowed.push(session);
            }
        }
        announce(&mut self.sessions, &mut self.outputs, session);
    }

    /// Somebody says that a peer is silent: it is asked, and has little time to answer. It gets no children meanwhile.
    fn look_at(&mut self, now: Time, peer: PeerId) {
        let Some(session) = self.present.get(&peer).copied() else { return };
        let Some(state) = self.sessions.get_mut(&session).filter(|state| state.looked_at.is_none()) else {
            return;
        };
        state.looked_at = Some(now);
        let channels = state.channels.clone();
        self.stats.looks += 1;
        self.timers.set(Timer::Look(session), now + self.config.look);
        self.send(session, ToPeer::Ping(Ping { time_us: now.0 }));
        for id in channels {
            self.with_tree(id, |tree, context| tree.doubt_life(now, peer, true, context));
        }
    }

    pub(super) fn on_look_due(&mut self, now: Time, session: SessionId) {
        let Some(state) = self.sessions.get_mut(&session) else { return };
        let Some(asked) = state.looked_at.take() else { return };
        if state.last_received <= asked {
            self.stats.found_dead += 1;
            let reason = format!("no answer for {} ms", now.since(asked).as_millis());
            return self.close(now, session, Code::SILENT, reason);
        }
        let Some(peer) = state.peer else { return };
        for id in state.channels.clone() {
            self.with_tree(id, |tree, context| tree.doubt_life(now, peer, false, context));
        }
    }

    /// Looks at the other end of a link that is said to be silent.
    pub(super) fn look_behind(&mut self, now: Time, id: ChannelId, peer: PeerId, link: LinkId, code: Code) {
        let other = self.channels.get(&id).and_then(|channel| channel.tree.other_end(link, peer));
        if let Some(other) = other.filter(|_| matches!(code, Code::SILENT | Code::STALE)) {
            self.look_at(now, other);
        }
    }
}
