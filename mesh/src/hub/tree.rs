//! The tree of one channel: who feeds whom.
//!
//! The hub alone decides. A peer is fed by the server when it joins and until a parent has caught it up, so
//! nobody waits for the tree. A parent's tier is always one less than its child's; a peer that moves takes
//! its subtree along and never goes below a member of it, so that no cycle can arise.
//!
//! `filling` gives places to those who have none, `improving` finds better ones, `near` among those that are as good as each other
//! the nearest; `moving` takes a peer there while its present parent still feeds it.

use std::collections::{BTreeMap, BTreeSet};

use tiercast_codec::{ChannelName, Code, LinkId, LivingLink, PeerId, Relay};

use super::{
    HubConfig,
    reputation::Reputation,
    tickets::{Ends, Tickets},
    whereabouts::Whereabouts,
};
use crate::{Time, timers::Timers};

mod adoption;
mod ancestry;
mod filling;
mod improving;
mod index;
mod judgment;
mod links;
mod moving;
mod near;
mod places;
mod record;
mod signaling;
mod standby;
#[cfg(test)]
mod storm;

use index::{Entry, Index};
use links::{Age, Ended, Link};
use places::Node;
pub use places::{Place, TreeNode};
use standby::Given;

/// The tree of one channel.
#[derive(Debug)]
pub(crate) struct Tree {
    /// Nobody is placed below this tier.
    tiers_max: u32,
    nodes: BTreeMap<PeerId, Node>,
    links: BTreeMap<LinkId, Link>,
    ended: Ended,
    index: Index,
    relays: usize,
    given: Given,
    /// Up to whom it was looked whether they could have a nearer parent.
    looked_at: PeerId,
    /// Those that get no children for a while.
    suspended: BTreeSet<PeerId>,
    /// The number of the next peer that is parked.
    next_parked: u64,
    timers: Timers<Timer>,
    actions: Vec<Action>,
}

/// What the hub has to tell peers.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// `child` shall set up `link` to `parent`.
    Link { link: LinkId, parent: PeerId, child: PeerId, standby: bool },
    /// A link that was set up earlier goes on.
    Adopted(Ends),
    /// A link has come up.
    Up(Ends),
    /// A link could not share a connection that was up.
    NotShared(Ends),
    /// The session of the other end of a link has ended, and `peer` is fed by it or has it as a standby.
    Away { peer: PeerId, link: LinkId },
    /// `link` is no more.
    Lost { peer: PeerId, link: LinkId, code: Code },
    /// `peer` has found its place.
    Placed { peer: PeerId, tier: u32 },
    /// A peer is given a better place.
    Moved,
    /// A link has ended.
    Ended(Ends),
    /// Nothing more can be said about a link.
    Forgotten(LinkId),
    /// A child has accused its parent.
    Accused,
    /// A peer was taken out of service because it was accused.
    Suspended,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    LinkSetup(LinkId),
    LinkProven(LinkId),
    Retry(PeerId),
    Pardon(PeerId),
    Away(PeerId),
    Standby(PeerId),
    Improve,
}

/// What the tree needs from the hub to decide.
pub(crate) struct Context<'a> {
    pub(crate) config: &'a HubConfig,
    pub(crate) tickets: &'a Tickets,
    pub(crate) reputation: &'a mut Reputation,
    pub(crate) last_link: &'a mut u64,
    pub(crate) channel: &'a ChannelName,
}

impl Tree {
    pub(crate) fn new(config: &HubConfig) -> Self {
        Self {
            tiers_max: config.tiers_max,
            nodes: BTreeMap::new(),
            links: BTreeMap::new(),
            ended: Ended::default(),
            index: Index::default(),
            relays: 0,
            given: Given::default(),
            looked_at: PeerId(0),
            suspended: BTreeSet::new(),
            next_parked: 0,
            timers: Timers::default(),
            actions: Vec::new(),
        }
    }

    /// A peer subscribes, for the first time or again, and names its links that are well. True if one of them feeds it;
    /// if not, the server does for now.
    pub(crate) fn join(
        &mut self,
        now: Time,
        peer: PeerId,
        from: Whereabouts,
        relay: Option<Relay>,
        links: &[LivingLink],
        context: &mut Context<'_>,
    ) -> bool {
        let relay = relay.map(|relay| bounded(relay, context.config));
        let known = self.nodes.get(&peer).map(|node| node.relay.is_some());
        if known.is_some_and(|was_relay| was_relay != relay.is_some()) {
            self.leave(now, peer, context);
        }
        self.admit(now, peer, from, relay, context);
        if known.is_none() {
            self.suspend_if_known(now, peer, context);
        }
        self.reconcile(now, peer, links, context);
        if relay.is_none() || known.is_some() {
            self.actions.push(Action::Placed { peer, tier: self.nodes[&peer].shown_tier() });
        }
        self.fill(now, context);
        matches!(self.nodes[&peer].place, Place::Child(_))
    }

    /// A peer can do more for others from now on, or less. Children for whom it has no place any more are sent
    /// elsewhere, those who came last first.
    pub(crate) fn resize(&mut self, now: Time, peer: PeerId, relay: Relay, context: &mut Context<'_>) {
        let Some(node) = self.nodes.get_mut(&peer).filter(|node| node.relay.is_some()) else { return };
        let relay = bounded(relay, context.config);
        node.relay = Some(relay);
        if !node.links_beyond_places().is_empty() {
            node.record.gave_back(relay.children_max.into());
        }
        self.end_beyond_places(now, peer, context);
        if self.node(peer).places() > 0 {
            self.refresh(peer);
        } else {
            self.demote(peer);
        }
        self.fill(now, context);
    }

    /// A peer is gone; its children are told at once. That is no fault of the links.
    pub(crate) fn leave(&mut self, now: Time, peer: PeerId, context: &mut Context<'_>) {
        let children: Vec<_> =
            self.nodes.get(&peer).map(|node| node.links_down().collect()).unwrap_or_default();
        for link in children {
            self.links.entry(link).and_modify(|state| state.is_noted = true);
            let child = self.links[&link].child;
            self.abandon(link, Code::LOST);
            self.want_standby(now, child, context);
        }
        self.cancel_move(peer, Code::LOST);
        self.detach(peer, Code::LOST);
        self.drop_standby(peer, Code::LOST);
        for timer in [Timer::Retry(peer), Timer::Pardon(peer), Timer::Standby(peer), Timer::Away(peer)] {
            self.timers.clear(timer);
        }
        self.suspended.remove(&peer);
        if let Some(node) = self.nodes.remove(&peer) {
            self.relays -= usize::from(node.relay.is_some());
            self.index.update(peer, node.entry, Entry::default());
        }
        self.fill(now, context);
    }

    /// A child says that its new parent has caught it up. True if the server may stop feeding it.
    pub(crate) fn fed(&mut self, now: Time, child: PeerId, link: LinkId, context: &mut Context<'_>) -> bool {
        let Some(node) = self.nodes.get_mut(&child) else { return false };
        if node.standby == Some(link) {
            self.swap(now, child, link, context);
            self.fill(now, context);
            return true;
        }
        let earlier = node.place;
        if earlier != Place::Linking(link) && node.moving != Some(link) {
            return false;
        }
        node.place = Place::Child(link);
        node.moving = None;
        self.timers.clear(Timer::LinkSetup(link));
        let heir = self.begins_to_feed(now, link, context);
        self.part_standby(now, child, context);
        if let Place::Child(earlier) = earlier {
            self.vacate(now, earlier, heir, context);
        } else if self.nodes[&child].standby.is_none() {
            self.want_standby(now, child, context);
        }
        self.fill(now, context);
        true
    }

    /// A peer has to be fed by the server again. `code` says what its parent did, if it was a link's fault.
    pub(crate) fn orphaned(
        &mut self,
        now: Time,
        peer: PeerId,
        link: Option<LinkId>,
        code: Code,
        context: &mut Context<'_>,
    ) {
        let Some(node) = self.nodes.get_mut(&peer) else { return };
        match link {
            Some(link) => _ = self.judge(now, link, peer, code, context),
            None if code == Code::LAGGING => {
                node.is_lagging = false;
                self.refresh(peer);
            }
            None => {}
        }
        let is_fed_by_the_server = match self.nodes[&peer].place {
            Place::Root | Place::Direct | Place::Waiting => true,
            Place::Linking(linking) => link != Some(linking),
            Place::Child(_) | Place::Orphan => false,
        };
        if !is_fed_by_the_server {
            if link.is_some() && self.nodes[&peer].moving == link {
                self.cancel_move(peer, Code::REPLACED);
            }
            self.detach(peer, Code::REPLACED);
            // The server feeds it until it is where it was moving to, if it was.
            let next = self.node(peer).moving.take().map_or(Place::Waiting, Place::Linking);
            self.put(peer, next);
            self.retreat_if_due(now, peer, context.config);
        }
        self.fill(now, context);
    }

    /// One end says that a link is gone.
    pub(crate) fn reported(
        &mut self,
        now: Time,
        reporter: PeerId,
        link: LinkId,
        code: Code,
        context: &mut Context<'_>,
    ) {
        if self.judge(now, link, reporter, code, context) {
            let child = self.links.get(&link).map(|state| state.child);
            self.end(now, link, code, context.config);
            if let Some(child) = child {
                self.want_standby(now, child, context);
            }
            self.fill(now, context);
        }
    }

    /// Handles every deadline that has come.
    pub(crate) fn handle_timeout(&mut self, now: Time, context: &mut Context<'_>) {
        while let Some(timer) = self.timers.expired(now) {
            match timer {
                Timer::LinkSetup(link) => {
                    self.note_end(now, link, Code::LINK_FAILED, context.config);
                    self.end(now, link, Code::LINK_FAILED, context.config);
                    self.fill(now, context);
                }
                Timer::LinkProven(link) => {
                    if let Some(state) = self.links.get_mut(&link) {
                        state.age = Age::Proven;
                        let (parent, child) = (state.parent, state.child);
                        self.node(child).record.link_lasted();
                        let parent_node = self.node(parent);
                        parent_node.record.kept(parent_node.promised());
                        self.refresh(child);
                        self.refresh(parent);
                        self.fill(now, context);
                    }
                }
                Timer::Retry(peer) => {
                    if self.nodes.get(&peer).is_some_and(|node| node.place == Place::Direct) {
                        self.put(peer, Place::Waiting);
                    }
                    self.unpark(peer);
                    self.fill(now, context);
                }
                Timer::Away(peer) => self.leave(now, peer, context),
                Timer::Standby(peer) => self.seek_standby(now, peer, context),
                Timer::Pardon(peer) => {
                    self.suspended.remove(&peer);
                    self.node(peer).is_suspended = false;
                    self.refresh(peer);
                    self.fill(now, context);
                }
                Timer::Improve => self.on_improve(now, context),
            }
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Time> {
        self.timers.next()
    }

    pub(crate) fn take_actions(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.actions)
    }

    /// Whether a peer takes part in the mesh.
    pub(crate) fn is_relay(&self, peer: PeerId) -> bool {
        self.nodes.get(&peer).is_some_and(|node| node.relay.is_some())
    }

    /// How many peers there are.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    fn node(&mut self, peer: PeerId) -> &mut Node {
        self.nodes.get_mut(&peer).expect("links and places name members only")
    }
}

/// What a peer offers, as far as the hub makes use of it.
fn bounded(relay: Relay, config: &HubConfig) -> Relay {
    Relay { children_max: relay.children_max.min(config.children_max), ..relay }
}
