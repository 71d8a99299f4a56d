//! Who is below whom: by links to parents and to standbys alike, those under way included.
//!
//! Every peer has a number, and everybody below it a greater one (a topological order, kept as links come; links that go leave
//! it as it is). So nobody is below a peer whose number is not smaller: that ends most questions, and bounds the others.

use std::{
    cell::RefCell,
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
};

use tiercast_codec::PeerId;

use super::Tree;

/// A peer behind its number in the order.
type Numbered = (u64, PeerId);

/// A peer and all that are below it, or will be when they have moved or have turned to their standbys: those that cannot
/// become its parent. It is found out only as far as somebody asks.
pub(super) struct Below<'a> {
    tree: &'a Tree,
    pub(super) peer: PeerId,
    down: RefCell<Walk>,
}

impl Below<'_> {
    /// Looks from both ends by turns: there may be few above the one or few below the other.
    pub(super) fn contains(&self, other: PeerId) -> bool {
        let (peer, other) = (self.tree.numbered(self.peer), self.tree.numbered(other));
        let may_be_below = |other: &Numbered| *other == peer || other.0 > peer.0;
        if !may_be_below(&other) {
            return false;
        }
        let mut down = self.down.borrow_mut();
        let mut up = Walk::new(other);
        loop {
            let Some(above) = up.step(|peer| self.tree.links_up(peer).filter(may_be_below)) else {
                return false;
            };
            if above == self.peer || down.seen.contains(&above) {
                return true;
            }
            if down.step(|peer| self.tree.links_down(peer)).is_none() {
                return down.seen.contains(&other.1);
            }
        }
    }
}

impl Tree {
    pub(super) fn below(&self, peer: PeerId) -> Below<'_> {
        Below { tree: self, peer, down: RefCell::new(Walk::new(self.numbered(peer))) }
    }

    /// A peer and all whom it is below.
    pub(super) fn above(&self, peer: PeerId) -> impl Iterator<Item = PeerId> {
        let mut up = Walk::new(self.numbered(peer));
        std::iter::from_fn(move || up.step(|peer| self.links_up(peer)))
    }

    /// A peer gets a parent or standby: its number, and those of all below it, become greater as far as they must. They are
    /// looked at in the order that they had, so each of them once.
    pub(super) fn keep_in_order(&mut self, parent: PeerId, child: PeerId) {
        let mut least = BTreeMap::from([(self.numbered(child), self.nodes[&parent].order + 1)]);
        while let Some(((present, peer), needed)) = least.pop_first() {
            if present >= needed {
                continue;
            }
            self.node(peer).order = needed;
            for below in self.links_down(peer) {
                let least = least.entry(below).or_default();
                *least = (needed + 1).max(*least);
            }
        }
    }

    fn numbered(&self, peer: PeerId) -> Numbered {
        (self.nodes[&peer].order, peer)
    }

    fn links_up(&self, peer: PeerId) -> impl Iterator<Item = Numbered> {
        self.parents(peer).chain(self.standby(peer)).map(|above| self.numbered(above))
    }

    fn links_down(&self, peer: PeerId) -> impl Iterator<Item = Numbered> {
        self.nodes[&peer].links_down().map(|link| self.numbered(self.links[&link].child))
    }
}

/// A peer and all that are to be reached from it, one after the other: of those that are known the highest first.
struct Walk {
    ahead: BinaryHeap<Reverse<Numbered>>,
    seen: BTreeSet<PeerId>,
}

impl Walk {
    fn new(first: Numbered) -> Self {
        Self { ahead: BinaryHeap::from([Reverse(first)]), seen: BTreeSet::from([first.1]) }
    }

    fn step<Next: Iterator<Item = Numbered>>(&mut self, next: impl FnOnce(PeerId) -> Next) -> Option<PeerId> {
        let Reverse((_, peer)) = self.ahead.pop()?;
        self.ahead.extend(next(peer).filter(|(_, peer)| self.seen.insert(*peer)).map(Reverse));
        Some(peer)
    }
}
