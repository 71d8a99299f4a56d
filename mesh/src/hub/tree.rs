//! The tree of one channel: who feeds whom.
//!
//! The hub alone decides. A peer is fed by the server when it joins and until a parent has caught it up, so
//! nobody waits for the tree. A parent's tier is always one less than its child's; a peer that moves takes
//! its subtree along and never goes below a member of it, so that no cycle can arise.

use std::collections::{BTreeMap, BTreeSet};

use rand_chacha::{ChaCha12Rng, rand_core::Rng};
use tiercast_codec::{Code, LinkId, PeerId, Relay, Token};

use super::HubConfig;
use crate::{Time, timers::Timers};

/// Most signals that are passed on for one link, both ways together. A negotiation takes two, and one more for each
/// late candidate; the rest is dropped, so that nobody can flood a neighbour through the hub.
pub const LINK_SIGNALS_MAX: u32 = 256;

/// The tree of one channel.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    nodes: BTreeMap<PeerId, Node>,
    links: BTreeMap<LinkId, Link>,
    /// Peers that can take a child, best first: smallest tier, then fewest children, then oldest.
    open: BTreeSet<(u32, usize, PeerId)>,
    waiting: BTreeSet<PeerId>,
    relays: usize,
    roots: usize,
    timers: Timers<Timer>,
    actions: Vec<Action>,
}

/// What the hub has to tell peers.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// `child` shall set up `link` to `parent`.
    Link { link: LinkId, parent: PeerId, child: PeerId, token: Token },
    /// `link` is no more.
    Lost { peer: PeerId, link: LinkId, code: Code },
    /// `peer` has found its place.
    Placed { peer: PeerId, tier: u32 },
}

/// Where a peer stands in the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Tier 1: fed by the server for good.
    Root,
    /// Fed by the server because it takes no part in the mesh, or because no parent could reach it.
    Direct,
    /// Fed by the server until a parent has room.
    Waiting,
    /// Fed by the server until the link to its parent has caught up.
    Linking(LinkId),
    /// Fed by its parent.
    Child(LinkId),
    /// Its parent is gone, and it has not said yet from where it wants to be fed.
    Orphan,
}

/// A peer in the tree, for display.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeNode {
    /// The peer.
    pub peer: PeerId,
    /// Who feeds it; `None` is the server.
    pub parent: Option<PeerId>,
    /// Its place.
    pub place: Place,
    /// 1: fed by the server for good; n: fed by a peer of tier n - 1; 0: not placed, or direct.
    pub tier: u32,
    /// What it can do, if it takes part.
    pub relay: Option<Relay>,
    /// How many children it has.
    pub children: usize,
}

#[derive(Debug)]
struct Node {
    relay: Option<Relay>,
    place: Place,
    tier: u32,
    children: BTreeSet<LinkId>,
    /// Its key in `open`, if it is there.
    open_as: Option<(u32, usize)>,
    /// Parents that failed it, until when they are not given to it again.
    refused: BTreeMap<PeerId, Time>,
    failures: u32,
    /// A child said that it sent what the server never signed: it gets no more children.
    accused: bool,
    /// Its application is too slow: it gets no children until it says that this is over.
    is_lagging: bool,
}

#[derive(Debug)]
struct Link {
    parent: PeerId,
    child: PeerId,
    /// How many signals were passed on.
    signals: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    LinkSetup(LinkId),
    Retry(PeerId),
}

/// What the tree needs from the hub to decide.
pub(crate) struct Context<'a> {
    pub(crate) config: &'a HubConfig,
    pub(crate) rng: &'a mut ChaCha12Rng,
    pub(crate) next_link: &'a mut u64,
}

impl Tree {
    /// A peer subscribes; the server feeds it for now.
    pub(crate) fn join(&mut self, now: Time, peer: PeerId, relay: Option<Relay>, context: &mut Context<'_>) {
        let node = Node {
            relay,
            place: if relay.is_some() { Place::Waiting } else { Place::Direct },
            tier: 0,
            children: BTreeSet::new(),
            open_as: None,
            refused: BTreeMap::new(),
            failures: 0,
            accused: false,
            is_lagging: false,
        };
        self.nodes.insert(peer, node);
        if relay.is_some() {
            self.relays += 1;
            self.waiting.insert(peer);
            self.fill(now, context);
        } else {
            self.actions.push(Action::Placed { peer, tier: 0 });
        }
    }

    /// A peer is gone; its children are told at once.
    pub(crate) fn leave(&mut self, now: Time, peer: PeerId, context: &mut Context<'_>) {
        self.detach(peer, Code::LOST);
        let children: Vec<_> =
            self.nodes.get(&peer).map(|node| node.children.iter().copied().collect()).unwrap_or_default();
        for link in children {
            self.abandon(link, Code::LOST);
        }
        self.unroot(peer);
        self.waiting.remove(&peer);
        self.timers.clear(Timer::Retry(peer));
        if let Some(node) = self.nodes.remove(&peer) {
            self.relays -= usize::from(node.relay.is_some());
            if let Some((tier, load)) = node.open_as {
                self.open.remove(&(tier, load, peer));
            }
        }
        self.fill(now, context);
    }

    /// A child says that its new parent has caught it up. True if the server may stop feeding it.
    pub(crate) fn fed(&mut self, now: Time, child: PeerId, link: LinkId, context: &mut Context<'_>) -> bool {
        let Some(node) = self.nodes.get_mut(&child) else { return false };
        if node.place != Place::Linking(link) {
            return false;
        }
        node.place = Place::Child(link);
        node.failures = 0;
        self.timers.clear(Timer::LinkSetup(link));
        let parent = self.links[&link].parent;
        let tier = self.nodes[&parent].tier + 1;
        self.settle(child, tier);
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
        if let Some(Link { parent, child, .. }) = link.and_then(|link| self.links.get(&link))
            && *child == peer
        {
            let parent = *parent;
            self.blame(now, peer, parent, code, context.config);
        }
        if link.is_none() && code == Code::LAGGING && self.nodes.contains_key(&peer) {
            self.node(peer).is_lagging = false;
            self.refresh(peer);
            self.fill(now, context);
        }
        match self.nodes.get(&peer).map(|node| node.place) {
            Some(Place::Child(_) | Place::Linking(_)) => self.detach(peer, Code::REPLACED),
            Some(Place::Orphan) => {}
            // Fed by the server already.
            Some(Place::Root | Place::Direct | Place::Waiting) | None => return,
        }
        self.wait(peer);
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
        let Some(Link { parent, child, .. }) = self.links.get(&link) else { return };
        let (parent, child) = (*parent, *child);
        if reporter == parent {
            match code {
                Code::MALFORMED => self.accuse(child),
                Code::LAGGING => {
                    self.node(parent).is_lagging = true;
                    self.refresh(parent);
                }
                _ => {}
            }
            // A child that is fed by this link has to say where it is before it can be fed again.
            self.fail(now, link, code, context);
        } else if reporter == child {
            // A child that is too slow itself has nothing to say against its parent.
            if code != Code::LAGGING {
                self.blame(now, child, parent, code, context.config);
            }
            self.fail(now, link, code, context);
        }
    }

    /// Handles every deadline that has come.
    pub(crate) fn handle_timeout(&mut self, now: Time, context: &mut Context<'_>) {
        while let Some(timer) = self.timers.expired(now) {
            match timer {
                Timer::LinkSetup(link) => self.fail(now, link, Code::LINK_FAILED, context),
                Timer::Retry(peer) => {
                    if self.nodes.get(&peer).is_some_and(|node| node.place == Place::Direct) {
                        self.wait(peer);
                    }
                    self.fill(now, context);
                }
            }
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Time> {
        self.timers.next()
    }

    pub(crate) fn take_actions(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.actions)
    }

    /// To whom a signal of `peer` for a link goes: the other end, if `peer` is one of its ends and has not signaled
    /// too often.
    pub(crate) fn signals_to(&mut self, link: LinkId, peer: PeerId) -> Option<PeerId> {
        let Link { parent, child, signals } = self.links.get_mut(&link)?;
        *signals += 1;
        if *signals > LINK_SIGNALS_MAX {
            return None;
        }
        [(*parent, *child), (*child, *parent)]
            .into_iter()
            .find(|(end, _)| *end == peer)
            .map(|(_, other)| other)
    }

    /// Whether a peer takes part in the mesh.
    pub(crate) fn is_relay(&self, peer: PeerId) -> bool {
        self.nodes.get(&peer).is_some_and(|node| node.relay.is_some())
    }

    /// How many peers there are.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Every peer, in the order in which they came.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = TreeNode> {
        self.nodes.iter().map(|(peer, node)| TreeNode {
            peer: *peer,
            parent: match node.place {
                Place::Child(link) => Some(self.links[&link].parent),
                _ => None,
            },
            place: node.place,
            tier: if matches!(node.place, Place::Root | Place::Child(_)) { node.tier } else { 0 },
            relay: node.relay,
            children: node.children.len(),
        })
    }

    /// Finds places for those who wait, for as long as there are any.
    fn fill(&mut self, now: Time, context: &mut Context<'_>) {
        let target = context.config.tier1.of(self.relays);
        for peer in self.waiting.iter().copied().collect::<Vec<_>>() {
            let can_root = self.nodes[&peer].may_have_children();
            if can_root && self.roots < target {
                self.waiting.remove(&peer);
                self.roots += 1;
                self.node(peer).place = Place::Root;
                self.settle(peer, 1);
            } else if self.open.is_empty() {
                if self.roots >= target {
                    return;
                }
            } else if let Some(parent) = self.parent_for(now, peer) {
                self.waiting.remove(&peer);
                self.link(now, parent, peer, context);
            } else if let Some(until) = self.nodes[&peer].refused.values().filter(|until| **until > now).min()
            {
                self.timers.set(Timer::Retry(peer), *until);
            }
        }
    }

    /// The best parent for a peer: the first open one that is not below it and has not failed it lately.
    fn parent_for(&self, now: Time, peer: PeerId) -> Option<PeerId> {
        let refused = &self.nodes[&peer].refused;
        self.open.iter().map(|(_, _, candidate)| *candidate).find(|candidate| {
            refused.get(candidate).is_none_or(|until| *until <= now) && !self.is_below(*candidate, peer)
        })
    }

    /// Whether `peer` is `root` or stands below it.
    fn is_below(&self, peer: PeerId, root: PeerId) -> bool {
        let parent = |peer: &PeerId| match self.nodes[peer].place {
            Place::Child(link) | Place::Linking(link) => Some(self.links[&link].parent),
            _ => None,
        };
        std::iter::successors(Some(peer), parent).any(|ancestor| ancestor == root)
    }

    fn link(&mut self, now: Time, parent: PeerId, child: PeerId, context: &mut Context<'_>) {
        *context.next_link += 1;
        let link = LinkId(*context.next_link);
        let mut token = Token::default();
        context.rng.fill_bytes(&mut token.0);
        self.links.insert(link, Link { parent, child, signals: 0 });
        self.node(child).place = Place::Linking(link);
        self.node(parent).children.insert(link);
        self.refresh(parent);
        self.timers.set(Timer::LinkSetup(link), now + context.config.link_setup);
        self.actions.push(Action::Link { link, parent, child, token });
    }

    /// A link did not come up, or broke: both ends are told, and the child goes on some other way.
    fn fail(&mut self, now: Time, link: LinkId, code: Code, context: &mut Context<'_>) {
        let Some(Link { parent, child, .. }) = self.links.get(&link) else { return };
        let (parent, child) = (*parent, *child);
        let was_linking = self.nodes[&child].place == Place::Linking(link);
        self.actions.push(Action::Lost { peer: parent, link, code });
        self.abandon(link, code);
        if !was_linking {
            return;
        }
        let config = context.config;
        let node = self.node(child);
        node.refused.retain(|_, until| *until > now);
        node.refused.insert(parent, now + config.parent_refused);
        // A parent that is too slow says nothing about whether the child can be reached.
        node.failures += u32::from(code != Code::LAGGING);
        if node.failures >= config.link_tries || node.accused {
            let doublings = (node.failures - config.link_tries.min(node.failures)).min(5);
            node.place = Place::Direct;
            self.waiting.remove(&child);
            self.timers.set(Timer::Retry(child), now + config.link_retry * 2u32.pow(doublings));
            self.actions.push(Action::Placed { peer: child, tier: 0 });
        }
        self.fill(now, context);
    }

    /// Remembers what a child says of its parent.
    fn blame(&mut self, now: Time, child: PeerId, parent: PeerId, code: Code, config: &HubConfig) {
        if matches!(code, Code::LOST | Code::DEPARTED | Code::REPLACED) {
            return;
        }
        let refused = &mut self.node(child).refused;
        refused.retain(|_, until| *until > now);
        refused.insert(parent, now + config.parent_refused);
        if matches!(code, Code::BAD_SIGNATURE | Code::MALFORMED) {
            self.accuse(parent);
        }
    }

    /// A peer that sends what the server never signed gets no more children, and no place in tier 1.
    fn accuse(&mut self, peer: PeerId) {
        self.node(peer).accused = true;
        if self.node(peer).place == Place::Root {
            self.unroot(peer);
            self.node(peer).place = Place::Direct;
            self.actions.push(Action::Placed { peer, tier: 0 });
        }
        self.refresh(peer);
    }

    /// Takes a peer away from its parent, which is told.
    fn detach(&mut self, peer: PeerId, code: Code) {
        if let Some(Place::Child(link) | Place::Linking(link)) = self.nodes.get(&peer).map(|node| node.place)
        {
            let parent = self.links[&link].parent;
            self.actions.push(Action::Lost { peer: parent, link, code });
            self.unlink(link);
        }
    }

    /// Takes a child away from its parent; the child is told. A child that was fed by it is then an orphan.
    fn abandon(&mut self, link: LinkId, code: Code) {
        let Some(Link { child, .. }) = self.links.get(&link) else { return };
        let child = *child;
        self.actions.push(Action::Lost { peer: child, link, code });
        self.unlink(link);
        if self.nodes[&child].place == Place::Child(link) {
            self.node(child).place = Place::Orphan;
            self.refresh(child);
        } else {
            self.wait(child);
        }
    }

    fn unlink(&mut self, link: LinkId) {
        self.timers.clear(Timer::LinkSetup(link));
        if let Some(Link { parent, .. }) = self.links.remove(&link) {
            self.node(parent).children.remove(&link);
            self.refresh(parent);
        }
    }

    fn wait(&mut self, peer: PeerId) {
        self.node(peer).place = Place::Waiting;
        self.waiting.insert(peer);
        self.refresh(peer);
    }

    fn unroot(&mut self, peer: PeerId) {
        if self.nodes.get(&peer).is_some_and(|node| node.place == Place::Root) {
            self.roots -= 1;
        }
    }

    /// Gives a peer its tier, and everybody below it theirs.
    fn settle(&mut self, peer: PeerId, tier: u32) {
        let mut moved = vec![(peer, tier)];
        while let Some((peer, tier)) = moved.pop() {
            self.node(peer).tier = tier;
            self.refresh(peer);
            self.actions.push(Action::Placed { peer, tier });
            for link in &self.nodes[&peer].children {
                let child = self.links[link].child;
                if self.nodes[&child].place == Place::Child(*link) {
                    moved.push((child, tier + 1));
                }
            }
        }
    }

    /// Brings `open` up to date with a peer.
    fn refresh(&mut self, peer: PeerId) {
        let Some(node) = self.nodes.get_mut(&peer) else { return };
        let settled = matches!(node.place, Place::Root | Place::Child(_));
        let free = node.may_have_children() && node.children.len() < node.children_max();
        let open_as = (settled && free).then_some((node.tier, node.children.len()));
        if let Some((tier, load)) = std::mem::replace(&mut node.open_as, open_as) {
            self.open.remove(&(tier, load, peer));
        }
        if let Some((tier, load)) = open_as {
            self.open.insert((tier, load, peer));
        }
    }

    fn node(&mut self, peer: PeerId) -> &mut Node {
        self.nodes.get_mut(&peer).expect("links and places name members only")
    }
}

impl Node {
    fn children_max(&self) -> usize {
        self.relay.map_or(0, |relay| relay.children_max.into())
    }

    fn may_have_children(&self) -> bool {
        self.children_max() > 0 && !self.accused && !self.is_lagging
    }
}
