//! What can be seen of a network.

use tiercast_codec::{LinkId, PeerId};
use tiercast_mesh::{
    hub::{self, Place},
    peer::Delivery,
};

use super::Net;

impl Net {
    /// The offsets that a node's application got.
    pub fn offsets(&self, node: u64) -> Vec<i64> {
        self.nodes[&node].deliveries.iter().filter_map(offset).collect()
    }

    /// The gaps that a node's application got.
    pub fn gaps(&self, node: u64) -> Vec<&Delivery> {
        let is_gap = |delivery: &&Delivery| matches!(delivery, Delivery::Gap { .. });
        self.nodes[&node].deliveries.iter().filter(is_gap).collect()
    }

    /// Where a node stands in the tree.
    pub fn place(&self, node: u64) -> Option<hub::TreeNode> {
        let peer = self.nodes.get(&node)?.peer.id()?;
        self.hub.topology(&self.channel)?.into_iter().find(|entry| entry.peer == peer)
    }

    /// The link that feeds a node, if it is not the server.
    pub fn link(&self, node: u64) -> Option<LinkId> {
        match self.place(node)?.place {
            Place::Child(link) => Some(link),
            _ => None,
        }
    }

    /// The node that feeds another, if it is not the server.
    pub fn parent(&self, node: u64) -> Option<u64> {
        self.node_of(self.place(node)?.parent?)
    }

    /// What the hub calls a node.
    pub fn name(&self, node: u64) -> PeerId {
        let is_it = |(name, known): (&PeerId, &u64)| (*known == node).then_some(*name);
        self.names.iter().rev().find_map(is_it).expect("a node that was welcomed")
    }

    /// The links of a node, under way or up.
    pub fn links_of(&self, node: u64) -> Vec<LinkId> {
        self.nodes.get(&node).map(|node| node.links.iter().copied().collect()).unwrap_or_default()
    }

    /// The node that the hub calls by this name, if it is still there.
    pub fn node_of(&self, peer: PeerId) -> Option<u64> {
        self.names.get(&peer).copied().filter(|node| self.nodes.contains_key(node))
    }

    /// Whether a node has a settled place.
    pub fn is_settled(&self, node: u64) -> bool {
        self.place(node)
            .is_some_and(|entry| matches!(entry.place, Place::Root | Place::Child(_) | Place::Direct))
    }

    /// Whether everybody has everything.
    pub fn is_caught_up(&self) -> bool {
        self.nodes.values().all(|node| node.peer.position(&self.channel) == Some(self.position))
    }
}

/// The offset of an event; a gap has none.
pub(super) fn offset(delivery: &Delivery) -> Option<i64> {
    match delivery {
        Delivery::Event { position, .. } => Some(position.offset),
        Delivery::Gap { .. } | Delivery::CaughtUp { .. } => None,
    }
}
