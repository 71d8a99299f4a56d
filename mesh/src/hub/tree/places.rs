//! Where each peer of a tree stands, and what follows from that: its tier, and under what it is found.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use tiercast_codec::{LinkId, PeerId, Relay};

use super::{
    Action, Age, Timer, Tree,
    index::{Entry, Rank},
    record::Record,
};
use crate::{
    Time,
    hub::{
        HubConfig,
        budget::{Class, Priority},
        whereabouts::Whereabouts,
    },
};

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

impl Place {
    /// The link to the parent.
    pub(super) fn link(self) -> Option<LinkId> {
        match self {
            Self::Child(link) | Self::Linking(link) => Some(link),
            _ => None,
        }
    }
}

/// A peer in the tree, for display.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeNode {
    /// The peer.
    pub peer: PeerId,
    /// Who feeds it; `None` is the server.
    pub parent: Option<PeerId>,
    /// Who stands by to do so.
    pub standby: Option<PeerId>,
    /// Its place.
    pub place: Place,
    /// 1: fed by the server for good; n: fed by a peer of tier n - 1; 0: not placed, or direct.
    pub tier: u32,
    /// What it can do, if it takes part.
    pub relay: Option<Relay>,
    /// How many children it has.
    pub children: usize,
}

/// A peer of the tree.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) from: Whereabouts,
    pub(super) relay: Option<Relay>,
    pub(super) joined: Time,
    pub(super) place: Place,
    /// The link to its next parent, while the present one still feeds it.
    pub(super) moving: Option<LinkId>,
    /// The tier that it has, or that it will have once it is fed where it is placed.
    pub(super) tier: u32,
    pub(super) children: BTreeSet<LinkId>,
    /// The links to those for whom it stands by.
    pub(super) stands_by: BTreeSet<LinkId>,
    /// The link to the parent that stands by for it.
    pub(super) standby: Option<LinkId>,
    /// How many tiers it fills with those below it.
    pub(super) height: u32,
    /// Greater than that of everybody above it, by links of any kind.
    pub(super) order: u64,
    /// Under what it is found now.
    pub(super) entry: Entry,
    /// Its number among the parked, if it waits and none of the open parents will do.
    pub(super) parked_as: Option<u64>,
    /// Whether it has children while it waits, because there was no parent for it.
    pub(super) stands_in: bool,
    /// The parked with smaller numbers have been offered its places.
    pub(super) offered_until: u64,
    pub(super) record: Record,
    /// It gets no children for a while: it was accused of sending what cannot be right, or could not be reached.
    pub(super) is_suspended: bool,
    /// Somebody says that it is silent, and it has not answered yet: it gets no children.
    pub(super) is_in_doubt: bool,
    /// Its application is too slow: it gets no children and no parent until it says that this is over.
    pub(super) is_lagging: bool,
    /// It has no session now: it keeps its links, and gets no others, as nobody could tell it of them.
    pub(super) is_away: bool,
}

impl Tree {
    /// Every peer, in the order in which they came.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = TreeNode> {
        self.nodes.iter().map(|(peer, node)| TreeNode {
            peer: *peer,
            parent: match node.place {
                Place::Child(link) => Some(self.links[&link].parent),
                _ => None,
            },
            standby: node.standby.map(|link| self.links[&link].parent),
            place: node.place,
            tier: node.shown_tier(),
            relay: node.relay,
            children: node.load(),
        })
    }

    /// Before whom a peer is fed by the server, and after whom.
    pub(crate) fn priority(&self, peer: PeerId) -> Priority {
        let node = self.nodes.get(&peer);
        let class = match node {
            Some(node) if node.place == Place::Root => Class::Root,
            Some(node) if !node.children.is_empty() => Class::Orphan,
            Some(node) if node.place != Place::Direct => Class::Leaf,
            _ => Class::Direct,
        };
        Priority { class, height: Reverse(node.map_or(1, |node| node.height)) }
    }

    /// How many peers stand in each tier; those far down are counted together.
    pub(crate) fn peers_by_tier(&self) -> &BTreeMap<u32, usize> {
        &self.index.tiers
    }

    /// Moves a peer to another place; `settle` says what follows for those below it.
    pub(super) fn put(&mut self, peer: PeerId, place: Place) {
        self.node(peer).place = place;
        self.refresh(peer);
    }

    /// Gives a peer its tier, and everybody below it theirs.
    pub(super) fn settle(&mut self, peer: PeerId, tier: u32) {
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

    /// A peer has got a child that fills so many tiers.
    pub(super) fn grow(&mut self, peer: PeerId, below: u32) {
        let mut grown = vec![(peer, below + 1)];
        while let Some((peer, height)) = grown.pop() {
            if self.nodes[&peer].height < height {
                self.node(peer).height = height;
                grown.extend(self.parents(peer).map(|parent| (parent, height + 1)));
            }
        }
    }

    /// A peer has lost a child that filled so many tiers.
    pub(super) fn shrink(&mut self, peer: PeerId, below: u32) {
        let mut shrunk = vec![(peer, below)];
        while let Some((peer, below)) = shrunk.pop() {
            let node = &self.nodes[&peer];
            let mut heights = node.children.iter().map(|link| self.nodes[&self.links[link].child].height);
            if node.height > below + 1 || heights.any(|height| height == below) {
                continue;
            }
            let heights = node.children.iter().map(|link| self.nodes[&self.links[link].child].height);
            let (before, height) = (node.height, 1 + heights.max().unwrap_or(0));
            self.node(peer).height = height;
            shrunk.extend(self.parents(peer).map(|parent| (parent, before)));
        }
    }

    /// The present parent of a peer, and the next one if it moves.
    pub(super) fn parents(&self, peer: PeerId) -> impl Iterator<Item = PeerId> + use<> {
        let node = &self.nodes[&peer];
        let parents = [node.place.link(), node.moving].map(|link| Some(self.links.get(&link?)?.parent));
        parents.into_iter().flatten()
    }

    /// The parent that stands by for a peer.
    pub(super) fn standby(&self, peer: PeerId) -> Option<PeerId> {
        Some(self.links.get(&self.nodes[&peer].standby?)?.parent)
    }

    /// Brings the index up to date with a peer.
    pub(super) fn refresh(&mut self, peer: PeerId) {
        let Some(node) = self.nodes.get_mut(&peer) else { return };
        if !node.awaits_parent() {
            node.parked_as = None;
            node.stands_in = false;
        }
        let is_established = match node.place {
            Place::Child(link) if node.moving.is_none() && !node.is_away => {
                self.links[&link].age == Age::Proven
            }
            _ => false,
        };
        let entry = node.found_under(peer, is_established, self.tiers_max);
        let old = std::mem::replace(&mut node.entry, entry);
        self.index.update(peer, old, entry);
    }

    /// A peer that waits for a parent stays with the server for a while if too many links failed it.
    pub(super) fn retreat_if_due(&mut self, now: Time, peer: PeerId, config: &HubConfig) {
        let node = self.node(peer);
        if node.place == Place::Waiting
            && let Some(wait) = node.record.retreat(config)
        {
            self.put(peer, Place::Direct);
            self.timers.set(Timer::Retry(peer), now + wait);
            self.actions.push(Action::Placed { peer, tier: 0 });
        }
    }
}

impl Node {
    pub(super) fn new(now: Time, relay: Option<Relay>, config: &HubConfig) -> Self {
        Self {
            from: Whereabouts::default(),
            relay,
            joined: now,
            place: if relay.is_some() { Place::Waiting } else { Place::Direct },
            moving: None,
            tier: 1,
            children: BTreeSet::new(),
            stands_by: BTreeSet::new(),
            standby: None,
            height: 1,
            order: 0,
            entry: Entry::default(),
            parked_as: None,
            stands_in: false,
            offered_until: 0,
            record: Record::new(config),
            is_suspended: false,
            is_in_doubt: false,
            is_lagging: false,
            is_away: false,
        }
    }

    /// How many children it can have: as many as it promised and is believed to be able to feed, unless it cannot be used now.
    /// A doubt does not count: it is over soon, and who asks whether one lives is not to change its rank.
    pub(super) fn places(&self) -> usize {
        let is_out = self.is_suspended || self.is_lagging || self.is_away;
        if is_out { 0 } else { self.promised().min(self.record.believed) }
    }

    pub(super) fn promised(&self) -> usize {
        self.relay.map_or(0, |relay| relay.children_max.into())
    }

    /// Whether it has a place left, whether or not anybody can be sent there now.
    pub(super) fn keeps_a_place(&self) -> bool {
        self.load() < self.promised()
    }

    /// The links for which it has no place: first those for whom it stands by, then the latest children.
    pub(super) fn links_beyond_places(&self) -> Vec<LinkId> {
        let count = self.load().saturating_sub(self.promised());
        self.stands_by.iter().chain(self.children.iter().rev()).take(count).copied().collect()
    }

    /// Whether its place is known, so that its tier can be shown.
    pub(super) fn is_settled(&self) -> bool {
        matches!(self.place, Place::Root | Place::Child(_))
    }

    /// Whether children can be sent to it: somebody feeds it, or it has been given a parent.
    pub(super) fn is_placed(&self) -> bool {
        self.is_settled() || matches!(self.place, Place::Linking(_)) || self.stands_in
    }

    pub(super) fn awaits_parent(&self) -> bool {
        self.place == Place::Waiting && !self.is_lagging && !self.is_away
    }

    pub(super) fn shown_tier(&self) -> u32 {
        if self.is_settled() { self.tier } else { 0 }
    }

    /// Its links to children, and to those for whom it stands by.
    pub(super) fn links_down(&self) -> impl Iterator<Item = LinkId> {
        self.children.iter().chain(&self.stands_by).copied()
    }

    /// How many places are taken.
    fn load(&self) -> usize {
        self.children.len() + self.stands_by.len()
    }

    pub(super) fn has_room(&self) -> bool {
        self.load() < self.offered()
    }

    /// How many of its places may be taken now: none while its life is in doubt.
    fn offered(&self) -> usize {
        if self.is_in_doubt { 0 } else { self.places() }
    }

    fn found_under(&self, peer: PeerId, is_established: bool, tiers_max: u32) -> Entry {
        let (places, offered, has_room) = (self.places(), self.offered(), self.has_room());
        let rank: Rank = (Reverse((has_room, places)), peer);
        let awaits_parent = self.awaits_parent();
        let is_fed_for_now = matches!(self.place, Place::Waiting | Place::Linking(_));
        let is_open = has_room && self.is_placed() && self.tier < tiers_max;
        Entry {
            open: is_open.then_some((self.tier, self.load(), peer)),
            near: (is_open && !self.from.is_nowhere()).then_some((self.tier, self.from, self.load(), peer)),
            // Without one of them it has room.
            holding: (!self.stands_by.is_empty() && self.is_placed() && self.load() <= offered)
                .then_some((self.tier, peer)),
            queued: (awaits_parent && self.parked_as.is_none()).then_some(rank),
            parked: self.parked_as,
            standing_in: (self.stands_in && has_room).then_some(rank),
            candidate: (is_fed_for_now && offered > 0).then_some((Reverse((awaits_parent, offered)), peer)),
            root: (self.place == Place::Root && !self.is_away).then_some((places, peer)),
            established: is_established.then_some((places, self.tier, peer)),
            tier: Some(self.shown_tier()),
            is_linking: matches!(self.place, Place::Linking(_)),
            promises: self.promised() > 0,
        }
    }
}
