//! What a tree looks up instead of searching for it: who has room, who waits, how many stand in each tier.

use std::collections::{BTreeMap, BTreeSet};

use tiercast_codec::PeerId;

/// Tiers beyond this are counted together, so that a tree that is a chain does not make the count long. Unvalidated:
/// a million peers with four places each have eleven tiers.
pub(super) const TIERS_MAX: u32 = 64;

/// Peers by what is asked for.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// Peers that can take a child, best first: smallest tier, then fewest children, then oldest.
    pub(super) open: BTreeSet<(u32, usize, PeerId)>,
    /// Peers that have children for whom they stand by, by tier.
    pub(super) holding: BTreeSet<(u32, PeerId)>,
    /// Those who could not and can: the parked have not been offered their places yet.
    pub(super) opened: Vec<PeerId>,
    /// Peers that wait for a parent, the oldest first, and have not been offered every open one.
    pub(super) queue: BTreeSet<PeerId>,
    /// Peers that wait for a parent, and for whom none of the open ones will do, in the order in which that was found.
    pub(super) parked: BTreeMap<u64, PeerId>,
    /// Peers that wait and may have children: they can be in tier 1.
    pub(super) candidates: BTreeSet<PeerId>,
    /// How many peers there are in each tier.
    pub(super) tiers: BTreeMap<u32, usize>,
}

/// Where a peer is found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Entry {
    /// Tier and load, if it can take a child.
    pub(super) open_as: Option<(u32, usize)>,
    /// Tier, if it stands by for somebody.
    pub(super) holding_as: Option<u32>,
    pub(super) is_queued: bool,
    pub(super) parked_as: Option<u64>,
    pub(super) is_candidate: bool,
    pub(super) tier: Option<u32>,
}

impl Index {
    /// Finds a peer under `new` from now on, no longer under `old`.
    pub(super) fn update(&mut self, peer: PeerId, old: Entry, new: Entry) {
        if old.open_as != new.open_as {
            self.update_open(peer, old.open_as, new.open_as);
        }
        if old.holding_as != new.holding_as {
            old.holding_as.map(|tier| self.holding.remove(&(tier, peer)));
            new.holding_as.map(|tier| self.holding.insert((tier, peer)));
        }
        update_set(&mut self.queue, peer, old.is_queued, new.is_queued);
        update_set(&mut self.candidates, peer, old.is_candidate, new.is_candidate);
        if old.parked_as != new.parked_as {
            old.parked_as.map(|number| self.parked.remove(&number));
            new.parked_as.map(|number| self.parked.insert(number, peer));
        }
        if old.tier != new.tier {
            self.update_tiers(old.tier, new.tier);
        }
    }

    /// How many peers stand in a tier.
    pub(super) fn count(&self, tier: u32) -> usize {
        self.tiers.get(&tier).copied().unwrap_or(0)
    }

    fn update_open(&mut self, peer: PeerId, old: Option<(u32, usize)>, new: Option<(u32, usize)>) {
        if let Some((tier, load)) = old {
            self.open.remove(&(tier, load, peer));
        }
        if let Some((tier, load)) = new {
            self.open.insert((tier, load, peer));
            if old.is_none() {
                self.opened.push(peer);
            }
        }
    }

    fn update_tiers(&mut self, old: Option<u32>, new: Option<u32>) {
        if let Some(tier) = new {
            *self.tiers.entry(tier.min(TIERS_MAX)).or_default() += 1;
        }
        if let Some(tier) = old.map(|tier| tier.min(TIERS_MAX)) {
            let left = self.count(tier) - 1;
            if left == 0 {
                self.tiers.remove(&tier);
            } else {
                self.tiers.insert(tier, left);
            }
        }
    }
}

fn update_set(set: &mut BTreeSet<PeerId>, peer: PeerId, was_in: bool, is_in: bool) {
    match (was_in, is_in) {
        (false, true) => _ = set.insert(peer),
        (true, false) => _ = set.remove(&peer),
        _ => {}
    }
}
