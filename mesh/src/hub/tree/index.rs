//! What a tree looks up instead of searching for it: who has room, who waits, who could stand better, how many stand in
//! each tier.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use tiercast_codec::PeerId;

use crate::hub::whereabouts::Whereabouts;

/// Tiers beyond this are counted together, so that a tree that is a chain does not make the count long. Unvalidated:
/// a million peers with four places each have eleven tiers.
pub(super) const TIERS_MAX: u32 = 64;

/// Who comes first: those who bring places, the most first, then the oldest.
pub(super) type Rank = (Reverse<(bool, usize)>, PeerId);

/// Peers by what is asked for.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// Peers that can take a child, best first: smallest tier, then fewest children, then oldest.
    pub(super) open: BTreeSet<(u32, usize, PeerId)>,
    /// Those of them of whom it is known where they are, by tier; neighbours mostly follow each other.
    pub(super) near: BTreeSet<(u32, Whereabouts, usize, PeerId)>,
    /// Peers that have children for whom they stand by, by tier.
    pub(super) holding: BTreeSet<(u32, PeerId)>,
    /// Those who could not and can: the parked have not been offered their places yet.
    pub(super) opened: Vec<PeerId>,
    /// Peers that wait for a parent, and have not been offered every open one.
    pub(super) queue: BTreeSet<Rank>,
    /// Peers that wait for a parent, and for whom none of the open ones will do, in the order in which that was found.
    pub(super) parked: BTreeMap<u64, PeerId>,
    /// Those of them who have places that nobody has taken.
    pub(super) standing_in: BTreeSet<Rank>,
    /// Peers that the server feeds until they have a parent, and that may have children: they can be in tier 1. First
    /// those for whom no link is being set up.
    pub(super) candidates: BTreeSet<Rank>,
    /// Peers in tier 1, by their places.
    pub(super) roots: BTreeSet<(usize, PeerId)>,
    /// Peers that have stood where they are for a while, below a parent, by their places and tier.
    pub(super) established: BTreeSet<(usize, u32, PeerId)>,
    /// How many peers have a link set up to their first parent, or to the one after the last.
    pub(super) linking: usize,
    /// How many peers promise places.
    pub(super) promising: usize,
    /// How many peers there are in each tier.
    pub(super) tiers: BTreeMap<u32, usize>,
}

/// Where a peer is found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) open: Option<(u32, usize, PeerId)>,
    pub(super) near: Option<(u32, Whereabouts, usize, PeerId)>,
    pub(super) holding: Option<(u32, PeerId)>,
    pub(super) queued: Option<Rank>,
    pub(super) parked: Option<u64>,
    pub(super) standing_in: Option<Rank>,
    pub(super) candidate: Option<Rank>,
    pub(super) root: Option<(usize, PeerId)>,
    pub(super) established: Option<(usize, u32, PeerId)>,
    pub(super) tier: Option<u32>,
    pub(super) is_linking: bool,
    pub(super) promises: bool,
}

impl Index {
    /// Finds a peer under `new` from now on, no longer under `old`.
    pub(super) fn update(&mut self, peer: PeerId, old: Entry, new: Entry) {
        if old.open.is_none() && new.open.is_some() {
            self.opened.push(peer);
        }
        replace(&mut self.open, old.open, new.open);
        replace(&mut self.near, old.near, new.near);
        replace(&mut self.holding, old.holding, new.holding);
        replace(&mut self.queue, old.queued, new.queued);
        replace(&mut self.standing_in, old.standing_in, new.standing_in);
        replace(&mut self.candidates, old.candidate, new.candidate);
        replace(&mut self.roots, old.root, new.root);
        replace(&mut self.established, old.established, new.established);
        if old.parked != new.parked {
            old.parked.map(|number| self.parked.remove(&number));
            new.parked.map(|number| self.parked.insert(number, peer));
        }
        self.linking = self.linking + usize::from(new.is_linking) - usize::from(old.is_linking);
        self.promising = self.promising + usize::from(new.promises) - usize::from(old.promises);
        if old.tier != new.tier {
            self.update_tiers(old.tier, new.tier);
        }
    }

    /// How many peers stand in a tier.
    pub(super) fn count(&self, tier: u32) -> usize {
        self.tiers.get(&tier).copied().unwrap_or(0)
    }

    /// The numbers of places that established peers have, in ascending order; each with the tiers of the highest and
    /// of the lowest peer that has so many.
    pub(super) fn widths(&self) -> impl DoubleEndedIterator<Item = (usize, u32, u32)> {
        let mut widths = Vec::new();
        let mut next = self.established.first();
        while let Some((places, highest, _)) = next {
            let lowest = self.with_places(*places).next_back().map_or(*highest, |(tier, _)| tier);
            widths.push((*places, *highest, lowest));
            next = self.established.range((places + 1, 0, PeerId(0))..).next();
        }
        widths.into_iter()
    }

    /// The established peers that have so many places, the highest first.
    pub(super) fn with_places(&self, places: usize) -> impl DoubleEndedIterator<Item = (u32, PeerId)> {
        let range = (places, 0, PeerId(0))..(places + 1, 0, PeerId(0));
        self.established.range(range).map(|(_, tier, peer)| (*tier, *peer))
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

fn replace<T: Ord>(set: &mut BTreeSet<T>, old: Option<T>, new: Option<T>) {
    if old != new {
        old.map(|old| set.remove(&old));
        new.map(|new| set.insert(new));
    }
}
