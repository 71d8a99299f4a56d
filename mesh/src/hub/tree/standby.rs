//! Standbys: the second parent of a peer, whose link is up and silent until the first one fails.
//!
//! A standby takes one of its parent's places like any child, and gives it up to a child that has no parent at all. All
//! links together, of parents and of standbys, are without a cycle: so peers may swap their two on their own.

use std::collections::BTreeSet;

use tiercast_codec::{Code, LinkId, PeerId};

use super::{Action, Age, Context, Place, Timer, Tree};
use crate::Time;

/// So many open parents are looked at for a standby, the best first. Unvalidated.
const LOOKED_AT: usize = 16;

impl Tree {
    /// A peer with a parent may want a standby after a while: sooner if others hang on it.
    pub(super) fn want_standby(&mut self, now: Time, peer: PeerId, context: &Context<'_>) {
        let is_leaf = self.nodes.get(&peer).is_none_or(|node| node.children.is_empty());
        let delay = context.config.standby * if is_leaf { 2 } else { 1 };
        self.timers.set(Timer::Standby(peer), now + delay);
    }

    /// Gives a peer a standby, if it has none and there is one to be had; else it asks again later.
    pub(super) fn seek_standby(&mut self, now: Time, peer: PeerId, context: &mut Context<'_>) {
        let Some(node) = self.nodes.get(&peer) else { return };
        if node.standby.is_some() || node.is_lagging || !matches!(node.place, Place::Child(_)) {
            return;
        }
        match self.standby_for(now, peer) {
            Some(parent) => self.link_standby(parent, peer, context),
            None => self.timers.set(Timer::Standby(peer), now + context.config.standby * 5),
        }
    }

    /// The best standby: one whose path to the server shares nobody with the peer's, if there is one among the best.
    fn standby_for(&self, now: Time, peer: PeerId) -> Option<PeerId> {
        let path: BTreeSet<_> = self.upwards(peer).collect();
        let open = self.index.open.iter().map(|(_, _, candidate)| *candidate).take(LOOKED_AT);
        let will_do: Vec<_> = open
            .filter(|candidate| !path.contains(candidate) && self.will_do(now, *candidate, peer))
            .collect();
        let is_apart = |candidate: &&PeerId| self.upwards(**candidate).all(|above| !path.contains(&above));
        will_do.iter().find(is_apart).or(will_do.first()).copied()
    }

    fn link_standby(&mut self, parent: PeerId, child: PeerId, context: &mut Context<'_>) {
        let (link, token) = self.new_link(parent, child, context);
        self.node(child).standby = Some(link);
        self.stand_by(parent, link, true);
        self.actions.push(Action::Link { link, parent, child, token, standby: true });
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
        let node = self.node(child);
        node.standby = former;
        node.place = Place::Child(link);
        let state = self.links.get_mut(&link).expect("a standby names a link that exists");
        if state.age == Age::New {
            state.age = Age::Fed;
            self.timers.set(Timer::LinkProven(link), now + context.config.link_proven);
        }
        let parent = self.links[&link].parent;
        self.stand_by(parent, link, false);
        if let Some(former) = former {
            self.stand_by(self.links[&former].parent, former, true);
        }
        self.node(parent).record.reached();
        let tier = self.nodes[&parent].tier + 1;
        self.settle(child, tier);
        if former.is_none() {
            self.want_standby(now, child, context);
        }
    }

    /// Takes a place from somebody's standby for a peer that has no parent. False if there is none to be taken.
    pub(super) fn displace_standby(&mut self, now: Time, peer: PeerId) -> bool {
        let holding = self.index.holding.iter().map(|(_, parent)| *parent).take(LOOKED_AT);
        let parent = holding.into_iter().find(|parent| self.will_do(now, *parent, peer));
        let Some(parent) = parent else { return false };
        let Some(link) = self.nodes[&parent].stands_by.first().copied() else { return false };
        self.actions.push(Action::Lost { peer: parent, link, code: Code::REPLACED });
        self.abandon(link, Code::REPLACED);
        true
    }

    /// A parent stands by for the child of this link, or feeds it.
    fn stand_by(&mut self, parent: PeerId, link: LinkId, stands_by: bool) {
        let node = self.node(parent);
        if stands_by {
            node.stands_by.insert(link);
        } else {
            node.stands_by.remove(&link);
        }
        self.refresh(parent);
    }

    /// Everybody above a peer, through parents and standbys.
    pub(super) fn all_above(&self, peer: PeerId) -> BTreeSet<PeerId> {
        let (mut above, mut ways) = (BTreeSet::new(), vec![peer]);
        while let Some(peer) = ways.pop() {
            let Some(node) = self.nodes.get(&peer) else { continue };
            let place = match node.place {
                Place::Child(link) | Place::Linking(link) => Some(link),
                _ => None,
            };
            for link in place.into_iter().chain(node.standby) {
                let parent = self.links[&link].parent;
                if above.insert(parent) {
                    ways.push(parent);
                }
            }
        }
        above
    }
}
