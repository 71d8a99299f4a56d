//! Who gets which place: the best free one for each of those who wait, first for those who bring the most places.
//!
//! What a change costs depends on what it changes, not on how many wait. Whoever waits is in one of two places. In the
//! *queue* are those who have not been offered every open parent: nobody looks at them while there is none. *Parked*
//! are those for whom none of the open parents will do, because each failed them lately, stands below them or too far down. They
//! hear of a parent again when it opens, and each of them just once; they are queued again when a refusal ends, or
//! when somebody who stood below them does so no more.
//!
//! Whoever waits with places to give *stands in*: the server feeds it anyway, so it takes children meanwhile. Thus no
//! place is idle while somebody waits, whoever came first.

use tiercast_codec::{Code, PeerId};

use super::{Action, Context, Place, Timer, Tree, ancestry::Below};
use crate::{Time, hub::HubConfig};

/// So many parents are looked at for one who waits, more than any honest peer is refused by. Those whom none of them
/// suits hear of the others when they open again.
const SCANNED_MAX: usize = 64;

impl Tree {
    /// Finds places for those who wait, for as long as there are any.
    pub(super) fn fill(&mut self, now: Time, context: &mut Context<'_>) {
        self.fill_tier_1(context.config);
        loop {
            while let Some(parent) = self.index.opened.pop() {
                self.offer(now, parent, context);
            }
            let Some((_, peer)) = self.index.queue.first().copied() else { break };
            match self.parent_for(now, peer) {
                Some(parent) => self.link(now, parent, peer, context),
                None if self.displace_standby(now, peer, context) => {}
                None if self.index.open.is_empty() && !self.nodes[&peer].has_room() => break,
                None => self.park(now, peer),
            }
        }
    }

    /// Gives the free places in tier 1 to those whom the server feeds now, first to those with the most places.
    fn fill_tier_1(&mut self, config: &HubConfig) {
        let free = config.tier1.of(self.relays).saturating_sub(self.index.count(1));
        for (_, peer) in self.index.candidates.iter().copied().take(free).collect::<Vec<_>>() {
            self.root(peer);
        }
    }

    /// Puts a peer into tier 1.
    pub(super) fn root(&mut self, peer: PeerId) {
        self.drop_standby(peer, Code::REPLACED);
        if let Some(link) = self.nodes[&peer].place.link() {
            self.actions.push(Action::Lost { peer, link, code: Code::REPLACED });
            self.drop_child(link, Code::REPLACED);
        }
        self.node(peer).place = Place::Root;
        self.settle(peer, 1);
    }

    /// Offers the places of a parent that has opened to the parked who have not been offered them before.
    fn offer(&mut self, now: Time, parent: PeerId, context: &mut Context<'_>) {
        while let Some(node) = self.nodes.get(&parent).filter(|node| node.entry.open.is_some())
            && let Some((number, peer)) = self.index.parked.range(node.offered_until..).next()
        {
            let (number, peer) = (*number, *peer);
            self.node(parent).offered_until = number + 1;
            if self.will_do(now, parent, &self.below(peer)) {
                self.link(now, parent, peer, context);
            }
        }
    }

    /// None of the open parents will do for a peer. If it has room itself, others can go below it.
    fn park(&mut self, now: Time, peer: PeerId) {
        let number = self.next_parked;
        self.next_parked += 1;
        let node = self.node(peer);
        node.parked_as = Some(number);
        if let Some(until) = node.record.next_retry(now) {
            self.timers.set(Timer::Retry(peer), until);
        }
        self.refresh(peer);
        if self.nodes[&peer].has_room() {
            self.stand_in(peer);
        }
    }

    /// A peer that waits takes children meanwhile: the server feeds it, so its tier is the first.
    fn stand_in(&mut self, peer: PeerId) {
        let node = self.node(peer);
        node.stands_in = true;
        if std::mem::replace(&mut node.tier, 1) == 1 {
            self.refresh(peer);
        } else {
            self.settle(peer, 1);
        }
    }

    /// Something has changed for a peer that may be parked.
    pub(super) fn unpark(&mut self, peer: PeerId) {
        if let Some(node) = self.nodes.get_mut(&peer) {
            node.parked_as = None;
            self.refresh(peer);
        }
    }

    /// The best parent for a peer: of those in the highest tier that there is the nearest, else the one with the fewest
    /// children, else the oldest.
    pub(super) fn parent_for(&self, now: Time, peer: PeerId) -> Option<PeerId> {
        let below = self.below(peer);
        let mut open = self.index.open.iter().map(|(_, _, candidate)| *candidate).take(SCANNED_MAX);
        let parent = open.find(|candidate| self.will_do(now, *candidate, &below))?;
        Some(self.nearest_like(now, parent, &below))
    }

    /// Whether a parent has not failed a peer lately, and may stand above it.
    pub(super) fn will_do(&self, now: Time, parent: PeerId, below: &Below<'_>) -> bool {
        !self.nodes[&below.peer].record.refuses(now, parent) && self.may_stand(parent, below)
    }

    /// Whether a parent is not `below` a peer, and all who are would still be above the last tier.
    pub(super) fn may_stand(&self, parent: PeerId, below: &Below<'_>) -> bool {
        let fits = self.nodes[&parent].tier + self.nodes[&below.peer].height <= self.tiers_max;
        fits && !below.contains(parent)
    }

    /// Something below a peer has changed: those above it who found no parent may find one now.
    pub(super) fn unpark_above(&mut self, peer: PeerId) {
        if self.index.parked.is_empty() {
            return;
        }
        let parked: Vec<_> = self.above(peer).filter(|peer| self.nodes[peer].parked_as.is_some()).collect();
        parked.into_iter().for_each(|peer| self.unpark(peer));
    }
}
