//! Where each peer of a tree stands, and what follows from that: its tier, and under what it is found.

use std::collections::{BTreeMap, BTreeSet};

use tiercast_codec::{LinkId, PeerId, Relay};

use super::{Action, Timer, Tree, index::Entry, record::Record};
use crate::{Time, hub::HubConfig};

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
    pub(super) relay: Option<Relay>,
    pub(super) place: Place,
    pub(super) tier: u32,
    pub(super) children: BTreeSet<LinkId>,
    /// Those of them for whom it stands by.
    pub(super) stands_by: BTreeSet<LinkId>,
    /// The link to the parent that stands by for it.
    pub(super) standby: Option<LinkId>,
    /// Under what it is found now.
    pub(super) entry: Entry,
    /// Its number among the parked, if it waits and none of the open parents will do.
    pub(super) parked_as: Option<u64>,
    /// The parked with smaller numbers have been offered its places.
    pub(super) offered_until: u64,
    pub(super) record: Record,
    /// It gets no children for a while: it was accused of sending what cannot be right, or could not be reached.
    pub(super) is_suspended: bool,
    /// Somebody says that it is silent, and it has not answered yet: it gets no children.
    pub(super) is_in_doubt: bool,
    /// Its application is too slow: it gets no children and no parent until it says that this is over.
    pub(super) is_lagging: bool,
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
            children: node.children.len(),
        })
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

    /// Brings the index up to date with a peer.
    pub(super) fn refresh(&mut self, peer: PeerId) {
        let Some(node) = self.nodes.get_mut(&peer) else { return };
        if !node.awaits_parent() {
            node.parked_as = None;
        }
        let entry = node.found_under();
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
    pub(super) fn new(relay: Option<Relay>) -> Self {
        Self {
            relay,
            place: if relay.is_some() { Place::Waiting } else { Place::Direct },
            tier: 0,
            children: BTreeSet::new(),
            stands_by: BTreeSet::new(),
            standby: None,
            entry: Entry::default(),
            parked_as: None,
            offered_until: 0,
            record: Record::default(),
            is_suspended: false,
            is_in_doubt: false,
            is_lagging: false,
        }
    }

    fn children_max(&self) -> usize {
        self.relay.map_or(0, |relay| relay.children_max.into())
    }

    /// The links for which it has no place, the latest first.
    pub(super) fn children_beyond_max(&self) -> Vec<LinkId> {
        let count = self.children.len().saturating_sub(self.children_max());
        self.children.iter().rev().take(count).copied().collect()
    }

    pub(super) fn may_have_children(&self) -> bool {
        self.children_max() > 0 && !self.is_suspended && !self.is_in_doubt && !self.is_lagging
    }

    /// Whether it has a place where it can have children.
    pub(super) fn is_settled(&self) -> bool {
        matches!(self.place, Place::Root | Place::Child(_))
    }

    pub(super) fn awaits_parent(&self) -> bool {
        self.place == Place::Waiting && !self.is_lagging
    }

    pub(super) fn shown_tier(&self) -> u32 {
        if self.is_settled() { self.tier } else { 0 }
    }

    pub(super) fn has_room(&self) -> bool {
        self.may_have_children() && self.children.len() < self.children_max()
    }

    fn found_under(&self) -> Entry {
        Entry {
            open_as: (self.is_settled() && self.has_room()).then_some((self.tier, self.children.len())),
            holding_as: (self.is_settled() && self.may_have_children() && !self.stands_by.is_empty())
                .then_some(self.tier),
            is_queued: self.awaits_parent() && self.parked_as.is_none(),
            parked_as: self.parked_as,
            is_candidate: self.place == Place::Waiting && self.may_have_children(),
            tier: Some(self.shown_tier()),
        }
    }
}
