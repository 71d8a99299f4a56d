//! Of places that are as good as each other the nearest: in the same network, else by the way along the earth.
//!
//! Tiers and widths come first, so this decides between open parents of one tier. Those are kept in an order in which
//! neighbours mostly follow each other (`Whereabouts`), and a few on either side are compared: what it costs does not depend on
//! how many are open.

use std::ops::Bound;

use tiercast_codec::PeerId;

use super::{Context, Tree, ancestry::Below};
use crate::{
    Time,
    hub::whereabouts::{Nearness, Whereabouts},
};

/// So many open parents are compared on either side of a peer.
const COMPARED: usize = 16;

/// So many peers are looked at, each time, whether they could have a nearer parent.
const LOOKED_AT: usize = 32;

/// A move saves so much of the way at least: 10 ms of a round trip.
const KM_SAVED_MIN: u16 = 1_000;

/// And leaves this share of it at most, so that it comes to rest.
const SHARE_LEFT_MAX: u16 = 2;

impl Tree {
    /// How near two peers are to each other.
    pub(crate) fn nearness(&self, one: PeerId, other: PeerId) -> Nearness {
        let from = |peer| self.nodes.get(&peer).map_or(Whereabouts::default(), |node| node.from);
        from(one).nearness(from(other))
    }

    /// The nearest of those who are as good for a peer as `parent`, which would do.
    pub(super) fn nearest_like(&self, now: Time, parent: PeerId, below: &Below<'_>) -> PeerId {
        let peer = below.peer;
        let reached = self.nearness(peer, parent).roughly();
        let near = self.near(peer, self.nodes[&parent].tier).into_iter();
        let mut nearer = near.take_while(|candidate| self.nearness(peer, *candidate).roughly() < reached);
        nearer.find(|candidate| self.will_do(now, *candidate, below)).unwrap_or(parent)
    }

    /// Open parents in a tier that may be near a peer and are not its own, the nearest first; of those that are alike the one
    /// with the fewest children.
    pub(super) fn near(&self, peer: PeerId, tier: u32) -> Vec<PeerId> {
        let from = self.nodes[&peer].from;
        if from.is_nowhere() {
            return Vec::new();
        }
        let (first, here) = ((tier, Whereabouts::default(), 0, PeerId(0)), (tier, from, 0, PeerId(0)));
        let before = self.index.near.range(first..here).rev().take(COMPARED);
        let after = self.index.near.range(here..).take_while(|(other, ..)| *other == tier).take(COMPARED);
        let own: Vec<_> = self.parents(peer).chain(self.standby(peer)).collect();
        let others = before.chain(after).filter(|(.., candidate)| !own.contains(candidate));
        let mut ranked: Vec<_> = others
            .map(|(_, there, load, candidate)| (from.nearness(*there).roughly(), *load, *candidate))
            .collect();
        ranked.sort_unstable();
        ranked.into_iter().map(|(.., candidate)| candidate).collect()
    }

    /// Looks at the next few peers, in turn: the first for whom there is a much nearer parent, no farther down, moves there.
    pub(super) fn draw_near(&mut self, now: Time, context: &mut Context<'_>) -> bool {
        let after = (Bound::Excluded(self.looked_at), Bound::Unbounded);
        let turn: Vec<_> = self.nodes.range(after).map(|(peer, _)| *peer).take(LOOKED_AT).collect();
        let found = turn.iter().find_map(|peer| Some((*peer, self.much_nearer(now, *peer)?)));
        self.looked_at = found.map(|(peer, _)| peer).or(turn.last().copied()).unwrap_or(PeerId(0));
        found.inspect(|(peer, parent)| self.begin_move(now, *parent, *peer, None, context)).is_some()
    }

    /// A parent that stands as high as the present one of a peer that has been there for a while, and is much nearer.
    fn much_nearer(&self, now: Time, peer: PeerId) -> Option<PeerId> {
        let node = &self.nodes[&peer];
        let present = node.entry.established.and_then(|_| self.parents(peer).next())?;
        let nearer = self.nearest_like(now, present, &self.below(peer));
        let [was, is] = [present, nearer].map(|parent| self.nearness(peer, parent).km());
        let (was, is) = (was?, is?);
        (was.saturating_sub(is) >= KM_SAVED_MIN && is <= was / SHARE_LEFT_MAX).then_some(nearer)
    }
}
