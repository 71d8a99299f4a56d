//! What the two ends of a link say of it when it ends, and what that means for either.

use tiercast_codec::{Code, LinkId, PeerId};

use super::{Action, Age, Context, Link, Node, Place, Timer, Tree};
use crate::{
    Time,
    hub::{HubConfig, tickets::Ends},
};

impl Tree {
    /// One end of a link says what became of it, and with that something about the other end. It is heard once, even
    /// if the link has ended meanwhile. False if there is nothing to be said.
    pub(super) fn judge(
        &mut self,
        now: Time,
        link: LinkId,
        reporter: PeerId,
        code: Code,
        context: &mut Context<'_>,
    ) -> bool {
        let Some(state) = self.state_of(link) else { return false };
        let Some((end, other)) = state.end_of(reporter) else { return false };
        if std::mem::replace(&mut state.heard[end], true) {
            return true;
        }
        let is_child = state.child == reporter;
        let is_fed = state.age != Age::New;
        self.note_end(now, link, code, context.config);
        match code {
            // It speaks of itself.
            Code::LAGGING => self.lag(reporter),
            // Only a parent passes anything on: what a child sends it harms nobody else, and the link has ended.
            Code::MALFORMED | Code::BAD_SIGNATURE if is_child => self.accuse(now, reporter, other, context),
            Code::STALE if is_child && is_fed => self.left(now, other, reporter, context),
            _ => {}
        }
        true
    }

    /// Remembers for the child how a link ended.
    pub(super) fn note_end(&mut self, now: Time, link: LinkId, code: Code, config: &HubConfig) {
        let Some(state) = self.state_of(link) else { return };
        if std::mem::replace(&mut state.is_noted, true) {
            return;
        }
        let Link { parent, child, age, is_move, relies_on_another, .. } = *state;
        if relies_on_another && age == Age::New && code == Code::LINK_FAILED {
            // That says nothing about whether the two can reach each other.
            return self.actions.push(Action::NotShared(Ends { link, parent, child }));
        }
        let is_nobodys_fault = match code {
            Code::REPLACED => true,
            // The other end died, or wanted no more.
            Code::LOST | Code::DEPARTED => age == Age::Proven,
            // Either end's application is too slow.
            Code::LAGGING => age != Age::New,
            _ => false,
        };
        let Some(Node { record, standby, .. }) = self.nodes.get_mut(&child).filter(|_| !is_nobodys_fault)
        else {
            return;
        };
        let is_standby = *standby == Some(link);
        record.refuse(now, parent, config);
        // A parent that is too slow says nothing about whether the child can be reached, and one that could not move
        // or has no standby has a parent.
        let has_parent = is_standby || is_move && age == Age::New;
        if age != Age::Proven && !has_parent && !matches!(code, Code::LAGGING | Code::STALE) {
            record.link_failed();
        }
        if code == Code::LINK_FAILED {
            self.doubt(now, parent, child, config);
        }
    }

    /// A parent that sends what cannot be right gets no children and no place in tier 1 for a while, if several accuse
    /// it who cannot be one and the same.
    fn accuse(&mut self, now: Time, accuser: PeerId, culprit: PeerId, context: &mut Context<'_>) {
        self.actions.push(Action::Accused);
        let Some(by) = self.nodes.get(&accuser).map(|node| node.from.origin(accuser)) else { return };
        let Some(culprits) =
            self.nodes.get(&culprit).filter(|node| !node.is_suspended).map(|node| node.from.origin(culprit))
        else {
            return;
        };
        if self.may_suspend(context.config) && context.reputation.accuse(now, by, culprits, context.config) {
            let until = context.reputation.suspend(now, culprits, context.config);
            self.actions.push(Action::Suspended);
            self.suspend(culprit, until);
        }
    }

    /// Whoever comes from where somebody was taken out of service lately is so from the beginning. That takes nobody out
    /// of service who was in it.
    pub(super) fn suspend_if_known(&mut self, now: Time, peer: PeerId, context: &Context<'_>) {
        let until = context.reputation.suspended_until(now, self.nodes[&peer].from.origin(peer));
        if let Some(until) = until.filter(|_| self.is_relay(peer)) {
            self.suspend(peer, until);
            self.suspended.remove(&peer);
        }
    }

    /// However many are accused, or cannot be reached, the others remain.
    fn may_suspend(&self, config: &HubConfig) -> bool {
        self.suspended.len() < (self.index.promising * config.suspended_percent as usize / 100).max(1)
    }

    /// A child could not reach a parent. One that so many children in a row could not reach is spared for a while; but
    /// not where that is so of many, or where nobody could take its place in tier 1: nobody would be left.
    pub(super) fn doubt(&mut self, now: Time, parent: PeerId, child: PeerId, config: &HubConfig) {
        // The child may stay with the server from now on.
        let has_successor = self.index.candidates.iter().any(|(_, other)| *other != child);
        if self.nodes.get_mut(&parent).is_some_and(|node| node.record.unreached(child, config)) {
            self.spare(now, parent, has_successor, config);
        }
    }

    /// A child has left a parent that brings too little. One that so many have left in a row who cannot be one and the same
    /// is spared likewise, and believed to be able to feed half as many.
    fn left(&mut self, now: Time, parent: PeerId, child: PeerId, context: &mut Context<'_>) {
        let Some(node) = self.nodes.get(&child) else { return };
        let by = node.from.origin(child);
        let has_successor = node.places() > 0 || !self.index.candidates.is_empty();
        if !self.nodes.contains_key(&parent) || !context.reputation.heeds(now, by, context.config) {
            return;
        }
        let are_too_many = self.node(parent).record.left(by, context.config);
        if are_too_many && self.may_suspend(context.config) {
            let node = self.node(parent);
            node.record.halve(node.promised());
            let (origin, believed) = (node.from.origin(parent), node.record.believed);
            context.reputation.believe(now, origin, believed, context.config);
            self.spare(now, parent, has_successor, context.config);
        }
    }

    fn spare(&mut self, now: Time, parent: PeerId, has_successor: bool, config: &HubConfig) {
        let may_suspend = self.may_suspend(config);
        let Some(node) = self.nodes.get_mut(&parent).filter(|node| !node.is_suspended) else { return };
        if may_suspend && (has_successor || node.place != Place::Root) {
            let duration = node.record.spare(config);
            self.suspend(parent, now + duration);
        }
    }

    fn suspend(&mut self, peer: PeerId, until: Time) {
        self.node(peer).is_suspended = true;
        self.suspended.insert(peer);
        self.timers.set(Timer::Pardon(peer), until);
        self.demote(peer);
    }

    /// The other end of a link, as one of its ends names it.
    pub(crate) fn other_end(&self, link: LinkId, peer: PeerId) -> Option<PeerId> {
        Some(self.links.get(&link)?.end_of(peer)?.1)
    }

    /// Whether a peer lives is in doubt, or is no longer: those in doubt get no children.
    pub(crate) fn doubt_life(
        &mut self,
        now: Time,
        peer: PeerId,
        is_in_doubt: bool,
        context: &mut Context<'_>,
    ) {
        if let Some(node) = self.nodes.get_mut(&peer) {
            node.is_in_doubt = is_in_doubt;
            self.refresh(peer);
            self.fill(now, context);
        }
    }

    /// The application of a peer is too slow for it to be of use to others.
    fn lag(&mut self, peer: PeerId) {
        if let Some(node) = self.nodes.get_mut(&peer) {
            node.is_lagging = true;
            self.demote(peer);
        }
    }

    /// The application of a peer has caught up: it can have children and a parent again.
    pub(crate) fn keeps_up(&mut self, now: Time, peer: PeerId, context: &mut Context<'_>) {
        if self.nodes.get_mut(&peer).is_some_and(|node| std::mem::take(&mut node.is_lagging)) {
            self.refresh(peer);
            self.fill(now, context);
        }
    }

    /// A peer that may have no children now is not in tier 1 either.
    pub(super) fn demote(&mut self, peer: PeerId) {
        if self.node(peer).place == Place::Root {
            self.put(peer, Place::Waiting);
            self.actions.push(Action::Placed { peer, tier: 0 });
        }
        self.refresh(peer);
    }

    /// A link that is there, or has ended lately.
    fn state_of(&mut self, link: LinkId) -> Option<&mut Link> {
        self.links.get_mut(&link).or_else(|| self.ended.get_mut(link))
    }
}
