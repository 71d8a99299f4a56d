//! Who gets which place: the best free one for each of those who wait.

use tiercast_codec::PeerId;

use super::{Context, Place, Timer, Tree};
use crate::{Time, hub::HubConfig};

impl Tree {
    /// Finds places for those who wait, for as long as there are any.
    pub(super) fn fill(&mut self, now: Time, context: &mut Context<'_>) {
        self.fill_tier_1(context.config);
        if self.open.is_empty() {
            return;
        }
        for peer in self.waiting.iter().copied().collect::<Vec<_>>() {
            if self.open.is_empty() {
                return;
            }
            if self.nodes[&peer].is_lagging {
                continue;
            }
            if let Some(parent) = self.parent_for(now, peer) {
                self.waiting.remove(&peer);
                self.link(now, parent, peer, context);
            } else if let Some(until) = self.nodes[&peer].record.next_retry(now) {
                self.timers.set(Timer::Retry(peer), until);
            }
        }
    }

    /// Gives the free places in tier 1 to those who wait, the oldest first.
    fn fill_tier_1(&mut self, config: &HubConfig) {
        let free = config.tier1.of(self.relays).saturating_sub(self.roots);
        let can_root = |peer: &PeerId| self.nodes[peer].may_have_children();
        for peer in self.waiting.iter().copied().filter(can_root).take(free).collect::<Vec<_>>() {
            self.waiting.remove(&peer);
            self.roots += 1;
            self.node(peer).place = Place::Root;
            self.settle(peer, 1);
        }
    }

    /// The best parent for a peer: the first open one that is not below it and has not failed it lately.
    fn parent_for(&self, now: Time, peer: PeerId) -> Option<PeerId> {
        let record = &self.nodes[&peer].record;
        self.open
            .iter()
            .map(|(_, _, candidate)| *candidate)
            .find(|candidate| !record.refuses(now, *candidate) && !self.is_below(*candidate, peer))
    }

    /// Whether `peer` is `root` or stands below it.
    fn is_below(&self, peer: PeerId, root: PeerId) -> bool {
        let parent = |peer: &PeerId| match self.nodes[peer].place {
            Place::Child(link) | Place::Linking(link) => Some(self.links[&link].parent),
            _ => None,
        };
        std::iter::successors(Some(peer), parent).any(|ancestor| ancestor == root)
    }
}
