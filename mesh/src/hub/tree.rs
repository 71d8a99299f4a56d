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

mod judgment;
mod record;

use record::Record;

/// So many links that ended are remembered for what is still to be said about them.
const ENDED_MAX: usize = 4_096;

/// The tree of one channel.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    nodes: BTreeMap<PeerId, Node>,
    links: BTreeMap<LinkId, Link>,
    /// The last links that ended: both ends have something to say about that, and not at the same time.
    ended: BTreeMap<LinkId, Link>,
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
    /// A link has ended.
    Ended,
    /// Nothing more can be said about a link.
    Forgotten(LinkId),
    /// A peer was taken out of service because it was accused.
    Suspended,
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
    record: Record,
    /// It gets no children for a while: it was accused of sending what cannot be right, or could not be reached.
    is_suspended: bool,
    /// Its application is too slow: it gets no children and no parent until it says that this is over.
    is_lagging: bool,
}

#[derive(Debug)]
struct Link {
    parent: PeerId,
    child: PeerId,
    age: Age,
    /// Whether its end was noted for the child.
    is_noted: bool,
    /// Which of parent and child have said what became of it.
    heard: [bool; 2],
    /// How many signals there were to pass on from the parent, and from the child.
    signals: [u32; 2],
}

/// How far a link has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Age {
    /// It has not fed the child yet.
    New,
    Fed,
    /// It has done so for long enough.
    Proven,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    LinkSetup(LinkId),
    LinkProven(LinkId),
    Retry(PeerId),
    Pardon(PeerId),
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
        let children_max = context.config.children_max;
        let relay = relay.map(|relay| Relay { children_max: relay.children_max.min(children_max), ..relay });
        let node = Node {
            relay,
            place: if relay.is_some() { Place::Waiting } else { Place::Direct },
            tier: 0,
            children: BTreeSet::new(),
            open_as: None,
            record: Record::default(),
            is_suspended: false,
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

    /// A peer is gone; its children are told at once. That is no fault of the links.
    pub(crate) fn leave(&mut self, now: Time, peer: PeerId, context: &mut Context<'_>) {
        let children: Vec<_> =
            self.nodes.get(&peer).map(|node| node.children.iter().copied().collect()).unwrap_or_default();
        for link in children {
            self.links.entry(link).and_modify(|state| state.is_noted = true);
            self.abandon(link, Code::LOST);
        }
        self.detach(peer, Code::LOST);
        self.unroot(peer);
        self.waiting.remove(&peer);
        self.timers.clear(Timer::Retry(peer));
        self.timers.clear(Timer::Pardon(peer));
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
        self.timers.clear(Timer::LinkSetup(link));
        self.timers.set(Timer::LinkProven(link), now + context.config.link_proven);
        let state = self.links.get_mut(&link).expect("a place names a link that exists");
        state.age = Age::Fed;
        let parent = state.parent;
        self.node(parent).record.reached();
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
        let Some(node) = self.nodes.get_mut(&peer) else { return };
        match link {
            Some(link) => _ = self.judge(now, link, peer, code, context.config),
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
            self.detach(peer, Code::REPLACED);
            self.wait(peer);
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
        if self.judge(now, link, reporter, code, context.config) {
            self.end(now, link, code, context.config);
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
                        let child = state.child;
                        self.node(child).record.link_lasted();
                    }
                }
                Timer::Retry(peer) => {
                    if self.nodes.get(&peer).is_some_and(|node| node.place == Place::Direct) {
                        self.wait(peer);
                    }
                    self.fill(now, context);
                }
                Timer::Pardon(peer) => {
                    self.node(peer).is_suspended = false;
                    self.refresh(peer);
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
    pub(crate) fn signals_to(&mut self, link: LinkId, peer: PeerId, config: &HubConfig) -> Option<PeerId> {
        let state = self.links.get_mut(&link)?;
        let (end, other) = state.end_of(peer)?;
        let count = &mut state.signals[end];
        *count = count.saturating_add(1);
        (*count <= config.link_signals_max).then_some(other)
    }

    /// Whether a link is under way or up.
    pub(crate) fn has_link(&self, link: LinkId) -> bool {
        self.links.contains_key(&link)
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
        self.fill_tier_1(context.config);
        if self.open.is_empty() {
            return;
        }
        for peer in self.waiting.iter().copied().collect::<Vec<_>>() {
            if self.open.is_empty() {
                return;
            }
            if self.nodes[&peer].is_lagging {
                continue;
            }
            if let Some(parent) = self.parent_for(now, peer) {
                self.waiting.remove(&peer);
                self.link(now, parent, peer, context);
            } else if let Some(until) = self.nodes[&peer].record.next_retry(now) {
                self.timers.set(Timer::Retry(peer), until);
            }
        }
    }

    /// Gives the free places in tier 1 to those who wait, the oldest first.
    fn fill_tier_1(&mut self, config: &HubConfig) {
        let free = config.tier1.of(self.relays).saturating_sub(self.roots);
        let can_root = |peer: &PeerId| self.nodes[peer].may_have_children();
        for peer in self.waiting.iter().copied().filter(can_root).take(free).collect::<Vec<_>>() {
            self.waiting.remove(&peer);
            self.roots += 1;
            self.node(peer).place = Place::Root;
            self.settle(peer, 1);
        }
    }

    /// The best parent for a peer: the first open one that is not below it and has not failed it lately.
    fn parent_for(&self, now: Time, peer: PeerId) -> Option<PeerId> {
        let record = &self.nodes[&peer].record;
        self.open
            .iter()
            .map(|(_, _, candidate)| *candidate)
            .find(|candidate| !record.refuses(now, *candidate) && !self.is_below(*candidate, peer))
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
        self.links.insert(link, Link::new(parent, child));
        self.node(child).place = Place::Linking(link);
        self.node(parent).children.insert(link);
        self.refresh(parent);
        self.timers.set(Timer::LinkSetup(link), now + context.config.link_setup);
        self.actions.push(Action::Link { link, parent, child, token });
    }

    /// A link did not come up, or broke: both ends are told, and the child goes on some other way. One that was fed
    /// by this link has to say where it is before it can be fed again.
    fn end(&mut self, now: Time, link: LinkId, code: Code, config: &HubConfig) {
        let Some(Link { parent, child, .. }) = self.links.get(&link) else { return };
        let (parent, child) = (*parent, *child);
        self.actions.push(Action::Lost { peer: parent, link, code });
        self.abandon(link, code);
        self.retreat_if_due(now, child, config);
    }

    /// A peer that waits for a parent stays with the server for a while if too many links failed it.
    fn retreat_if_due(&mut self, now: Time, peer: PeerId, config: &HubConfig) {
        let node = self.node(peer);
        if node.place == Place::Waiting
            && let Some(wait) = node.record.retreat(config)
        {
            node.place = Place::Direct;
            self.waiting.remove(&peer);
            self.timers.set(Timer::Retry(peer), now + wait);
            self.actions.push(Action::Placed { peer, tier: 0 });
        }
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
        self.timers.clear(Timer::LinkProven(link));
        let Some(state) = self.links.remove(&link) else { return };
        let parent = state.parent;
        self.node(parent).children.remove(&link);
        self.refresh(parent);
        self.actions.push(Action::Ended);
        self.ended.insert(link, state);
        if self.ended.len() > ENDED_MAX
            && let Some((oldest, _)) = self.ended.pop_first()
        {
            self.actions.push(Action::Forgotten(oldest));
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
        self.children_max() > 0 && !self.is_suspended && !self.is_lagging
    }
}

impl Link {
    fn new(parent: PeerId, child: PeerId) -> Self {
        Self { parent, child, age: Age::New, is_noted: false, heard: [false; 2], signals: [0; 2] }
    }

    /// Which end `peer` is, 0 the parent or 1 the child, and who is at the other.
    fn end_of(&self, peer: PeerId) -> Option<(usize, PeerId)> {
        match peer {
            _ if peer == self.parent => Some((0, self.child)),
            _ if peer == self.child => Some((1, self.parent)),
            _ => None,
        }
    }
}
