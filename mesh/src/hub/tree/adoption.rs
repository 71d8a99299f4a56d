//! Peers that are away, and what comes back: a place outlives a session, and links outlive the server.
//!
//! A peer whose session ended without a goodbye is *away*: it keeps its place and its links for a while. After a restart
//! of the server everybody is away, but the new hub does not know it yet. Peers name their living links when they
//! subscribe; one that the hub has never seen, and whose other end is not there, is taken over together with that end,
//! which is away from then on. So the same thing happens after a blink and after a restart: a link stays if both
//! ends name it, each when it comes back, and if neither end stays away for too long.

use std::collections::BTreeSet;

use tiercast_codec::{Code, LinkId, LinkRole, LivingLink, NodeKind, PeerId, Relay};

use super::{Action, Age, Context, Link, Node, Place, Timer, Tree};
use crate::{Time, hub::tickets::Ends};

impl Tree {
    /// The session of a peer has ended without a goodbye. It keeps its place for a while; those who depend on it are told
    /// that they should look after their links. What was being set up cannot go on without it.
    pub(crate) fn leave_for_now(&mut self, now: Time, peer: PeerId, context: &mut Context<'_>) {
        for link in self.links_of(peer) {
            if self.links[&link].age == Age::New {
                self.links.entry(link).and_modify(|state| state.is_noted = true);
                self.end(now, link, Code::LOST, context.config);
            }
        }
        if self.links_of(peer).is_empty() || context.config.resume.is_zero() {
            return self.leave(now, peer, context);
        }
        for link in self.nodes[&peer].children.clone() {
            self.actions.push(Action::Away { peer: self.links[&link].child, link });
        }
        self.wait_for(now, peer, context);
        self.fill(now, context);
    }

    /// A peer is away from now on.
    fn wait_for(&mut self, now: Time, peer: PeerId, context: &Context<'_>) {
        self.node(peer).is_away = true;
        self.timers.set(Timer::Away(peer), now + context.config.resume);
        self.refresh(peer);
    }

    /// A peer that is away and has no links left has nothing to come back to.
    pub(super) fn forget_if_idle(&mut self, ends: [PeerId; 2]) {
        for peer in ends {
            if self.nodes.get(&peer).is_some_and(|node| node.is_away) && self.links_of(peer).is_empty() {
                self.timers.set(Timer::Away(peer), Time::default());
            }
        }
    }

    /// A peer is there, for the first time or again.
    pub(super) fn admit(&mut self, peer: PeerId, relay: Option<Relay>) {
        self.timers.clear(Timer::Away(peer));
        if !self.nodes.contains_key(&peer) {
            self.relays += usize::from(relay.is_some());
        }
        let node = self.nodes.entry(peer).or_insert_with(|| Node::new(relay));
        node.relay = relay;
        node.is_away = false;
        node.is_lagging = false;
        self.refresh(peer);
    }

    /// A peer has named the links that it has. Others end, those that are new are taken over if they can be, and it keeps
    /// no more children than it takes now.
    pub(super) fn reconcile(
        &mut self,
        now: Time,
        peer: PeerId,
        named: &[LivingLink],
        context: &mut Context<'_>,
    ) {
        let living: BTreeSet<_> = named.iter().map(|living| living.link).collect();
        for link in self.links_of(peer) {
            if !living.contains(&link) {
                self.end(now, link, Code::LOST, context.config);
            }
        }
        if self.nodes[&peer].place == Place::Orphan {
            self.put(peer, Place::Waiting);
        }
        for living in named {
            let is_ours = match self.links.get(&living.link) {
                Some(state) => (state.parent, state.child) == ends(peer, living),
                None => self.adopt(now, peer, living, context),
            };
            if !is_ours {
                self.actions.push(Action::Lost { peer, link: living.link, code: Code::LOST });
            }
        }
        let takes = self.nodes[&peer].children_max();
        for link in self.nodes[&peer].children.iter().skip(takes).copied().collect::<Vec<_>>() {
            self.end(now, link, Code::REPLACED, context.config);
        }
    }

    /// Takes over a link that one end names, if it was set up by a hub with our secret, its other end is not there to
    /// deny it, and the tree has room for it.
    fn adopt(&mut self, now: Time, peer: PeerId, living: &LivingLink, context: &mut Context<'_>) -> bool {
        let (parent, child) = ends(peer, living);
        let (link, other) = (living.link, living.peer);
        let is_known =
            context.tickets.is_link(now, context.channel, Ends { link, parent, child }, &living.token);
        let may_wait = !context.config.resume.is_zero();
        if !is_known || !may_wait || self.nodes.get(&other).is_some_and(|node| !node.is_away) {
            return false;
        }
        self.stand_in(now, other, context);
        let is_free = matches!(self.nodes[&child].place, Place::Waiting | Place::Orphan);
        if !is_free || !self.nodes[&parent].has_room() || self.upwards(parent).any(|above| above == child) {
            self.forget_if_idle([other, other]);
            return false;
        }
        self.ended.remove(&link);
        self.links.insert(link, Link { age: Age::Proven, ..Link::new(parent, child) });
        self.node(parent).children.insert(link);
        self.refresh(parent);
        self.put(child, Place::Child(link));
        self.actions.push(Action::Adopted(link));
        match self.nodes[&parent].shown_tier() {
            // It is not known yet how far up the parent stands; once it is, all below it are told.
            0 => self.unsettle(child),
            tier => self.settle(child, tier + 1),
        }
        true
    }

    /// Sees to it that a peer that is not there has a place, to which it may come back. What it can do it has not said
    /// yet.
    fn stand_in(&mut self, now: Time, peer: PeerId, context: &mut Context<'_>) {
        if self.nodes.contains_key(&peer) {
            return;
        }
        self.admit(peer, Some(Relay { node: NodeKind::Native, children_max: context.config.children_max }));
        self.put(peer, Place::Orphan);
        self.wait_for(now, peer, context);
    }

    fn unsettle(&mut self, peer: PeerId) {
        self.node(peer).tier = 0;
        self.refresh(peer);
    }

    fn links_of(&self, peer: PeerId) -> Vec<LinkId> {
        let Some(node) = self.nodes.get(&peer) else { return Vec::new() };
        let upward = match node.place {
            Place::Child(link) | Place::Linking(link) => Some(link),
            _ => None,
        };
        node.children.iter().copied().chain(upward.filter(|link| self.links.contains_key(link))).collect()
    }
}

/// The parent and the child of a link that `peer` names.
fn ends(peer: PeerId, living: &LivingLink) -> (PeerId, PeerId) {
    match living.role {
        LinkRole::Parent => (living.peer, peer),
        LinkRole::Child => (peer, living.peer),
    }
}
