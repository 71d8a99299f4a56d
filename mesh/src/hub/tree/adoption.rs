//! Peers that are away, and what comes back: a place outlives a session, and links outlive the server.
//!
//! A peer whose session ended without a goodbye is *away*: it keeps its place and its links for a while. After a restart
//! of the server everybody is away, but the new hub does not know it yet. Peers name their living links when they
//! subscribe; one that the hub has never seen, and whose other end is not there, is taken over together with that end,
//! which is away from then on. So the same thing happens after a blink and after a restart: a link stays if both
//! ends name it, each when it comes back, and if neither end stays away for too long.

use std::collections::BTreeSet;

use tiercast_codec::{Code, LinkId, LinkRole, LivingLink, NodeKind, PeerId, Relay};

use super::{Action, Age, Context, Link, Node, Place, Timer, Tree, links::Role};
use crate::{
    Time,
    hub::{tickets::Ends, whereabouts::Whereabouts},
};

impl Tree {
    /// The session of a peer has ended without a goodbye. It keeps its place for a while; those who depend on it are told
    /// that they should look after their links. What was being set up to feed somebody cannot go on without it.
    pub(crate) fn leave_for_now(&mut self, now: Time, peer: PeerId, context: &mut Context<'_>) {
        for link in self.links_of(peer) {
            if self.is_being_set_up(link) {
                self.links.entry(link).and_modify(|state| state.is_noted = true);
                self.end(now, link, Code::LOST, context.config);
            }
        }
        if self.links_of(peer).is_empty() || context.config.resume.is_zero() {
            return self.leave(now, peer, context);
        }
        for link in self.nodes[&peer].links_down() {
            self.actions.push(Action::Away { peer: self.links[&link].child, link });
        }
        self.wait_for(now, peer, context);
        self.fill(now, context);
    }

    /// Whether a link is to feed its child and has not done so yet. Of a standby's link it is not known whether it is up;
    /// the ends say so when they come back.
    fn is_being_set_up(&self, link: LinkId) -> bool {
        let Some(state) = self.links.get(&link) else { return false };
        state.age == Age::New && self.nodes[&state.child].standby != Some(link)
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
    pub(super) fn admit(
        &mut self,
        now: Time,
        peer: PeerId,
        from: Whereabouts,
        relay: Option<Relay>,
        context: &Context<'_>,
    ) {
        self.timers.clear(Timer::Away(peer));
        if self.nodes.is_empty() {
            self.timers.set(Timer::Improve, now + context.config.improve);
        }
        if !self.nodes.contains_key(&peer) {
            self.relays += usize::from(relay.is_some());
        }
        let believed = context.reputation.believed(from.origin(peer));
        let node = self.nodes.entry(peer).or_insert_with(|| {
            let mut node = Node::new(now, relay, context.config);
            node.record.believed = believed.unwrap_or(node.record.believed);
            node
        });
        node.from = from;
        node.relay = relay;
        node.is_away = false;
        node.is_lagging = false;
        node.is_in_doubt = false;
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
                self.end_and_replace(now, link, Code::LOST, context);
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
            } else if living.role == LinkRole::Parent && self.nodes[&peer].standby == Some(living.link) {
                // It swapped its two while nobody could hear of it.
                self.swap(now, peer, living.link, context);
            }
        }
        let node = &self.nodes[&peer];
        if matches!(node.place, Place::Child(_)) && node.standby.is_none() {
            self.want_standby(now, peer, context);
        }
        self.end_beyond_places(now, peer, context);
    }

    /// Takes over a link that one end names, if it was set up by a hub with our secret, its other end is not there to
    /// deny it, and the tree has room for it.
    fn adopt(&mut self, now: Time, peer: PeerId, living: &LivingLink, context: &mut Context<'_>) -> bool {
        let (parent, child) = ends(peer, living);
        let (link, other) = (living.link, living.peer);
        let is_known = context.tickets.is_link(context.channel, Ends { link, parent, child }, &living.token);
        let may_wait = !context.config.resume.is_zero();
        if !is_known || !may_wait || self.nodes.get(&other).is_some_and(|node| !node.is_away) {
            return false;
        }
        self.keep_place_for(now, other, context);
        let role = role_of_parent(living.role);
        if !self.is_free(child, role)
            || self.parents(child).chain(self.standby(child)).any(|above| above == parent)
            || !self.nodes[&parent].keeps_a_place()
            || !self.may_stand(parent, &self.below(child))
        {
            self.forget_if_idle([other, other]);
            return false;
        }
        self.ended.remove(link);
        let age = if role == Role::Parent { Age::Proven } else { Age::New };
        self.links.insert(link, Link { age, ..Link::new(parent, child) });
        self.take_on(parent, link, role);
        self.actions.push(Action::Adopted(Ends { link, parent, child }));
        match role {
            Role::Standby => self.node(child).standby = Some(link),
            Role::Parent => {
                self.node(child).place = Place::Child(link);
                // What the parent has shown before it shows again.
                self.timers.set(Timer::LinkProven(link), now + context.config.link_proven);
                self.settle(child, self.nodes[&parent].tier + 1);
            }
        }
        true
    }

    /// Whether a peer has nobody yet who is to it what the other end of a link is.
    fn is_free(&self, child: PeerId, role: Role) -> bool {
        let Node { place, standby, .. } = &self.nodes[&child];
        match role {
            Role::Parent => matches!(place, Place::Waiting | Place::Orphan),
            Role::Standby => standby.is_none() && !matches!(place, Place::Root | Place::Direct),
        }
    }

    /// Sees to it that a peer that is not there has a place, to which it may come back. What it can do it has not said
    /// yet, nor who is above it: until then it is as if the server fed it.
    fn keep_place_for(&mut self, now: Time, peer: PeerId, context: &mut Context<'_>) {
        if self.nodes.contains_key(&peer) {
            return;
        }
        let relay = Relay { node: NodeKind::Native, children_max: context.config.children_max };
        self.admit(now, peer, Whereabouts::default(), Some(relay), context);
        self.put(peer, Place::Orphan);
        self.wait_for(now, peer, context);
    }

    /// The links of a peer that has more of them than it takes children end.
    pub(super) fn end_beyond_places(&mut self, now: Time, peer: PeerId, context: &Context<'_>) {
        for link in self.nodes[&peer].links_beyond_places() {
            self.end_and_replace(now, link, Code::REPLACED, context);
        }
    }

    /// Ends a link; its child is given a standby again, if it was that.
    fn end_and_replace(&mut self, now: Time, link: LinkId, code: Code, context: &Context<'_>) {
        let child = self.links[&link].child;
        self.end(now, link, code, context.config);
        self.want_standby(now, child, context);
    }

    fn links_of(&self, peer: PeerId) -> Vec<LinkId> {
        let Some(node) = self.nodes.get(&peer) else { return Vec::new() };
        let up = [node.place.link(), node.moving, node.standby].into_iter().flatten();
        node.links_down().chain(up).filter(|link| self.links.contains_key(link)).collect()
    }
}

/// The parent and the child of a link that `peer` names.
fn ends(peer: PeerId, living: &LivingLink) -> (PeerId, PeerId) {
    match living.role {
        LinkRole::Parent | LinkRole::Standby => (living.peer, peer),
        LinkRole::Child | LinkRole::Held => (peer, living.peer),
    }
}

/// What the parent of a link is to its child.
fn role_of_parent(role: LinkRole) -> Role {
    match role {
        LinkRole::Parent | LinkRole::Child => Role::Parent,
        LinkRole::Standby | LinkRole::Held => Role::Standby,
    }
}
