//! A peer and its frames and heads, from wherever they come.

use tiercast_codec::{ChannelId, Code, Frame, GapReason, Head, Position};

use super::{Peer, Target, Timer, announce, link::End, subscription::Relation};

impl Peer {
    pub(super) fn on_frame(&mut self, frame: Frame, from: Target) -> Result<(), Code> {
        let (id, bytes) = (frame.header().channel, frame.bytes().len());
        self.take(frame, from)?;
        self.count_received(id, from, bytes);
        Ok(())
    }

    /// Takes a frame if it is what comes next, and what waited for it; keeps it if it has come before its turn.
    fn take(&mut self, frame: Frame, from: Target) -> Result<(), Code> {
        let id = frame.header().channel;
        let (bytes, said) = (frame.bytes().len(), self.said_by(from));
        let Some(subscription) = self.subscriptions.get_mut(&id) else { return Ok(()) };
        let Some(taken) = &subscription.taken else { return Ok(()) };
        let missing = subscription.missing_before(&frame, said);
        let before = missing.unwrap_or(frame.position_before());
        let relation = if missing.is_some() { Relation::Ahead } else { taken.relation(&frame) };
        match relation {
            Relation::Duplicate => {
                self.stats.duplicates += 1;
                return Ok(());
            }
            // The server says `gap` before it begins a new numbering: then this was not ours to take yet.
            Relation::NewEpoch | Relation::Ahead if from == Target::Session => {
                self.stats.not_taken += 1;
                self.ask_again(id);
                return Ok(());
            }
            Relation::Ahead if subscription.ahead.holds(&frame, before) => {
                self.stats.duplicates += 1;
                return Ok(());
            }
            Relation::Next | Relation::NewEpoch | Relation::Ahead => {}
        }
        let is_genuine = |key| frame.verify(&subscription.channel, key, &*self.verifier);
        if !self.keys.iter().any(is_genuine) {
            return Err(Code::BAD_SIGNATURE);
        }
        match from {
            Target::Session => self.stats.server_bytes += bytes as u64,
            Target::Link(_) => self.stats.parent_bytes += bytes as u64,
        }
        if relation == Relation::Ahead {
            self.on_ahead(id, frame, before);
            return Ok(());
        }
        let mut next = Some(frame);
        while let Some(frame) = next {
            next = self.keep(id, frame, from);
        }
        self.is_more_missing(id);
        self.announce_children(id);
        Ok(())
    }

    /// Keeps a frame whose turn it is, if there is room; gives the one that waited for it.
    fn keep(&mut self, id: ChannelId, frame: Frame, from: Target) -> Option<Frame> {
        let bytes = frame.bytes().len();
        let subscription = self.subscriptions.get_mut(&id)?;
        let taken = subscription.taken.as_mut()?;
        let begins = frame.header().epoch > taken.log.head().epoch;
        // A new numbering takes a gap as well.
        let entries = if begins { 2 } else { 1 };
        if !taken.has_room(entries, bytes) {
            self.stats.not_taken += 1;
            subscription.ahead.clear();
            self.refuse(id, bytes);
            return None;
        }
        if begins {
            taken.log.jump(frame.position_before(), GapReason::Epoch);
        }
        taken.log.push(frame);
        let position = taken.log.head();
        subscription.has_asked = false;
        self.stats.frames += 1;
        if from != Target::Session {
            subscription.watch.progressed(self.now);
        }
        if subscription.watch.reached(self.now, position) {
            self.timers.clear(Timer::Lead(id));
        }
        self.subscriptions.get_mut(&id)?.ahead.next(position)
    }

    /// How far whoever brings something has said by `have` to be.
    fn said_by(&self, from: Target) -> Option<Position> {
        match from {
            Target::Session => None,
            Target::Link(link) => self.feeder(link)?.said,
        }
    }

    pub(super) fn on_head(&mut self, head: Head, from: Target) -> Result<(), Code> {
        let Some(subscription) = self.subscriptions.get_mut(&head.channel) else { return Ok(()) };
        if let Some(known) = subscription.head.as_ref().filter(|known| known.time_us >= head.time_us) {
            // The server answers all who ask with the same one until there is more: that we know it already does not bring
            // what it shows to be missing.
            let (id, position) = (known.channel, known.position);
            if from == Target::Session {
                self.on_fresh_head(id, position);
            }
            return Ok(());
        }
        if !self.keys.iter().any(|key| head.verify(&subscription.channel, key, &*self.verifier)) {
            return Err(Code::BAD_SIGNATURE);
        }
        let (id, position) = (head.channel, head.position);
        subscription.head = Some(head);
        if from != Target::Session {
            subscription.watch.progressed(self.now);
        }
        self.on_fresh_head(id, position);
        self.announce_children(id);
        Ok(())
    }

    pub(super) fn announce_children(&mut self, id: ChannelId) {
        let Some(subscription) = self.subscriptions.get(&id) else { return };
        for link in &subscription.children {
            if let Some(state) = self.links.get_mut(link).filter(|state| matches!(state.end, End::Serves(_)))
            {
                announce(&mut self.outputs, *link, state);
            }
        }
    }

    pub(super) fn count_fault(&mut self, code: Code) {
        match code {
            Code::BAD_SIGNATURE => self.stats.bad_signatures += 1,
            Code::MALFORMED => self.stats.malformed += 1,
            _ => {}
        }
    }
}
