//! Who gets which place: the best free one for each of those who wait.
//!
//! What a change costs depends on what it changes, not on how many wait. Whoever waits is in one of two places. In the
//! *queue* are those who have not been offered every open parent: nobody looks at them while there is none. *Parked*
//! are those for whom none of the open parents will do, because each failed them lately or stands below them. They
//! hear of a parent again when it opens, and each of them just once; they are queued again when a refusal ends, or
//! when somebody who stood below them does so no more.

use tiercast_codec::PeerId;

use super::{Context, Place, Timer, Tree};
use crate::{Time, hub::HubConfig};

impl Tree {
    /// Finds places for those who wait, for as long as there are any.
    pub(super) fn fill(&mut self, now: Time, context: &mut Context<'_>) {
        self.fill_tier_1(context.config);
        for parent in std::mem::take(&mut self.index.opened) {
            self.offer(now, parent, context);
        }
        while let Some(peer) = self.index.queue.first().copied() {
            match self.parent_for(now, peer) {
                Some(parent) => self.link(now, parent, peer, context),
                None if self.displace_standby(now, peer) => {}
                None if self.index.open.is_empty() => break,
                None => self.park(now, peer),
            }
        }
    }

    /// Gives the free places in tier 1 to those who wait, the oldest first.
    fn fill_tier_1(&mut self, config: &HubConfig) {
        let free = config.tier1.of(self.relays).saturating_sub(self.index.count(1));
        for peer in self.index.candidates.iter().copied().take(free).collect::<Vec<_>>() {
            self.node(peer).place = Place::Root;
            self.settle(peer, 1);
        }
    }

    /// Offers the places of a parent that has opened to the parked who have not been offered them before.
    fn offer(&mut self, now: Time, parent: PeerId, context: &mut Context<'_>) {
        while let Some(node) = self.nodes.get(&parent).filter(|node| node.entry.open_as.is_some())
            && let Some((number, peer)) = self.index.parked.range(node.offered_until..).next()
        {
            let (number, peer) = (*number, *peer);
            self.node(parent).offered_until = number + 1;
            if self.will_do(now, parent, peer) {
                self.link(now, parent, peer, context);
            }
        }
    }

    /// None of the open parents will do for a peer.
    fn park(&mut self, now: Time, peer: PeerId) {
        let number = self.next_parked;
        self.next_parked += 1;
        let node = self.node(peer);
        node.parked_as = Some(number);
        if let Some(until) = node.record.next_retry(now) {
            self.timers.set(Timer::Retry(peer), until);
        }
        self.refresh(peer);
    }

    /// Something has changed for a peer that may be parked.
    pub(super) fn unpark(&mut self, peer: PeerId) {
        if let Some(node) = self.nodes.get_mut(&peer) {
            node.parked_as = None;
            self.refresh(peer);
        }
    }

    /// The best parent for a peer.
    fn parent_for(&self, now: Time, peer: PeerId) -> Option<PeerId> {
        let mut open = self.index.open.iter().map(|(_, _, candidate)| *candidate);
        open.find(|candidate| self.will_do(now, *candidate, peer))
    }

    /// Whether a parent has not failed a peer lately, and is not below it.
    pub(super) fn will_do(&self, now: Time, parent: PeerId, peer: PeerId) -> bool {
        let node = &self.nodes[&peer];
        let is_below = || !node.children.is_empty() && self.all_above(parent).contains(&peer);
        parent != peer && !node.record.refuses(now, parent) && !is_below()
    }

    /// A peer, its parent, and so on.
    pub(super) fn upwards(&self, peer: PeerId) -> impl Iterator<Item = PeerId> {
        let parent = |peer: &PeerId| match self.nodes[peer].place {
            Place::Child(link) | Place::Linking(link) => Some(self.links[&link].parent),
            _ => None,
        };
        std::iter::successors(Some(peer), parent)
    }
}
