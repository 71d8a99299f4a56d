//! Standbys: the second parent of a peer, whose link is up and silent until the first one fails.
//!
//! A standby takes one of its parent's places like any child, and gives it up to a child that has no parent at all. All
//! links together, to parents and to standbys, are without a cycle: so peers may swap their two on their own.

use std::{collections::BTreeSet, time::Duration};

use tiercast_codec::{Code, LinkId, PeerId};

use super::{Context, Place, Timer, Tree, links::Role};
use crate::{Time, hub::whereabouts::Whereabouts};

/// So many open parents are looked at for a standby. Unvalidated.
const LOOKED_AT: usize = 16;

/// Whoever finds no standby looks again after so many times as long.
const LATER: u32 = 5;

/// In the time of `standby` one peer in so many at most is given one, or so many peers. A link is work for both ends and
/// the server, and there is no hurry.
const ONE_IN: usize = 10;
const GIVEN_MIN: usize = 32;

/// How many standbys were given lately.
#[derive(Debug, Default)]
pub(super) struct Given {
    since: Time,
    count: usize,
}

impl Given {
    /// Whether there may be one more.
    fn has_room(&self, now: Time, period: Duration, most: usize) -> bool {
        self.count < most || now.since(self.since) >= period
    }

    /// Counts one more.
    fn add(&mut self, now: Time, period: Duration) {
        if now.since(self.since) >= period {
            *self = Self { since: now, count: 0 };
        }
        self.count += 1;
    }
}

impl Tree {
    /// A peer with a parent may want a standby after a while: sooner if others hang on it.
    pub(super) fn want_standby(&mut self, now: Time, peer: PeerId, context: &Context<'_>) {
        let is_leaf = self.nodes.get(&peer).is_none_or(|node| node.children.is_empty());
        let delay = context.config.standby * if is_leaf { 2 } else { 1 };
        self.timers.set(Timer::Standby(peer), now + delay);
    }

    /// Gives a peer a standby, if it has none and there is one to be had; else it asks again later. While many wait for
    /// their first link those come first.
    pub(super) fn seek_standby(&mut self, now: Time, peer: PeerId, context: &mut Context<'_>) {
        let Some(node) = self.nodes.get(&peer) else { return };
        if node.standby.is_some() || node.is_lagging || node.is_away || !matches!(node.place, Place::Child(_))
        {
            return;
        }
        let most = (self.nodes.len() / ONE_IN).max(GIVEN_MIN);
        let period = context.config.standby;
        let is_its_turn = self.index.linking <= most && self.given.has_room(now, period, most);
        match is_its_turn.then(|| self.standby_for(now, peer)).flatten() {
            Some(parent) => {
                self.given.add(now, period);
                let link = self.begin(now, parent, peer, Role::Standby, context);
                self.node(peer).standby = Some(link);
            }
            None => self.timers.set(Timer::Standby(peer), now + period * LATER),
        }
    }

    /// The best standby: one whose path to the server shares nobody with the peer's, if there is one. It stands no higher
    /// than the parent where that can be had: the places farther up are for those who bring places. What cuts off a whole
    /// network is not to take both parents, so those of other networks come first, and of these the nearest.
    fn standby_for(&self, now: Time, peer: PeerId) -> Option<PeerId> {
        let path: BTreeSet<_> = self.path(peer).collect();
        let tier = self.nodes[&peer].tier.saturating_sub(1);
        let level = (tier, 0, PeerId(0));
        let beside = self.index.open.range(level..).take(LOOKED_AT);
        let above = self.index.open.range(..level).rev().take(LOOKED_AT);
        let open = beside.chain(above).map(|(_, _, candidate)| *candidate);
        let mut candidates: Vec<_> = self.near(peer, tier).into_iter().chain(open).collect();
        let parent =
            self.parents(peer).next().map_or(Whereabouts::default(), |parent| self.nodes[&parent].from);
        candidates.sort_by_key(|candidate| {
            let node = &self.nodes[candidate];
            let nearness = self.nearness(peer, *candidate).roughly();
            (node.tier < tier, node.from.shares_network(parent), nearness)
        });
        let below = self.below(peer);
        let will_do =
            |candidate: &&PeerId| !path.contains(candidate) && self.will_do(now, **candidate, &below);
        let is_apart = |candidate: &&PeerId| self.path(**candidate).all(|above| !path.contains(&above));
        // Whether one will do costs more to find out than whether it is apart.
        let apart = candidates.iter().filter(is_apart);
        let others = candidates.iter().filter(|candidate| !is_apart(candidate));
        apart.chain(others).find(will_do).copied()
    }

    /// A peer says that its standby feeds it. Who did before, if anybody, is its standby now.
    pub(super) fn swap(&mut self, now: Time, child: PeerId, link: LinkId, context: &mut Context<'_>) {
        let former = match self.nodes[&child].place {
            Place::Child(former) => Some(former),
            Place::Linking(new) => {
                self.end(now, new, Code::REPLACED, context.config);
                None
            }
            _ => None,
        };
        self.node(child).standby = former;
        self.node(child).place = Place::Child(link);
        if let Some(former) = former {
            self.turn(former, Role::Standby);
        }
        self.turn(link, Role::Parent);
        self.begins_to_feed(now, link, context);
        if former.is_none() {
            self.want_standby(now, child, context);
        }
    }

    /// A peer has another parent. A standby that stands on its new path is none any more.
    pub(super) fn part_standby(&mut self, now: Time, peer: PeerId, context: &Context<'_>) {
        if self.standby(peer).is_some_and(|standby| self.path(peer).any(|above| above == standby)) {
            self.drop_standby(peer, Code::REPLACED);
            self.want_standby(now, peer, context);
        }
    }

    /// A parent is something else to its child from now on.
    fn turn(&mut self, link: LinkId, role: Role) {
        let (parent, child) = (self.links[&link].parent, self.links[&link].child);
        self.take_off(parent, link, child);
        self.take_on(parent, link, role);
    }

    /// A peer has no standby any more. It is told before it hears of anything else.
    pub(super) fn drop_standby(&mut self, peer: PeerId, code: Code) {
        if let Some(link) = self.nodes.get(&peer).and_then(|node| node.standby) {
            self.cut(link, code);
        }
    }

    /// Takes a place from somebody's standby for a peer that has no parent. False if there is none to be taken.
    pub(super) fn displace_standby(&mut self, now: Time, peer: PeerId, context: &Context<'_>) -> bool {
        let below = self.below(peer);
        let mut holding = self.index.holding.iter().map(|(_, parent)| *parent).take(LOOKED_AT);
        let parent = holding.find(|parent| self.will_do(now, *parent, &below));
        let link = parent.and_then(|parent| self.nodes[&parent].stands_by.first().copied());
        let Some(child) = link.map(|link| self.links[&link].child) else { return false };
        self.drop_standby(child, Code::REPLACED);
        self.want_standby(now, child, context);
        true
    }

    /// A peer, its parent, and so on.
    fn path(&self, peer: PeerId) -> impl Iterator<Item = PeerId> {
        let parent = |peer: &PeerId| Some(self.links[&self.nodes[peer].place.link()?].parent);
        std::iter::successors(Some(peer), parent)
    }
}
