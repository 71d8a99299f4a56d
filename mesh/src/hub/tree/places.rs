//! Where each peer of a tree stands, and what follows from that: its tier, and who has room for a child.

use std::collections::BTreeSet;

use tiercast_codec::{LinkId, PeerId, Relay};

use super::{Action, Timer, Tree, record::Record};
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
    /// Its key in `open`, if it is there.
    pub(super) open_as: Option<(u32, usize)>,
    pub(super) record: Record,
    /// It gets no children for a while: it was accused of sending what cannot be right, or could not be reached.
    pub(super) is_suspended: bool,
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
            place: node.place,
            tier: if matches!(node.place, Place::Root | Place::Child(_)) { node.tier } else { 0 },
            relay: node.relay,
            children: node.children.len(),
        })
    }

    pub(super) fn wait(&mut self, peer: PeerId) {
        self.node(peer).place = Place::Waiting;
        self.waiting.insert(peer);
        self.refresh(peer);
    }

    pub(super) fn unroot(&mut self, peer: PeerId) {
        if self.nodes.get(&peer).is_some_and(|node| node.place == Place::Root) {
            self.roots -= 1;
        }
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

    /// Brings `open` up to date with a peer.
    pub(super) fn refresh(&mut self, peer: PeerId) {
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

    /// A peer that waits for a parent stays with the server for a while if too many links failed it.
    pub(super) fn retreat_if_due(&mut self, now: Time, peer: PeerId, config: &HubConfig) {
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
}

impl Node {
    pub(super) fn new(relay: Option<Relay>) -> Self {
        Self {
            relay,
            place: if relay.is_some() { Place::Waiting } else { Place::Direct },
            tier: 0,
            children: BTreeSet::new(),
            open_as: None,
            record: Record::default(),
            is_suspended: false,
            is_lagging: false,
        }
    }

    pub(super) fn children_max(&self) -> usize {
        self.relay.map_or(0, |relay| relay.children_max.into())
    }

    pub(super) fn may_have_children(&self) -> bool {
        self.children_max() > 0 && !self.is_suspended && !self.is_lagging
    }
}
