//! What can be seen of a network.

use tiercast_codec::LinkId;
use tiercast_mesh::{
    hub::{self, Place},
    peer::Delivery,
};

use super::Net;

impl Net {
    /// The offsets that a node's application got.
    pub fn offsets(&self, node: u64) -> Vec<i64> {
        let offset = |delivery: &Delivery| match delivery {
            Delivery::Event { position, .. } => Some(position.offset),
            Delivery::Gap { .. } => None,
        };
        self.nodes[&node].deliveries.iter().filter_map(offset).collect()
    }

    /// The gaps that a node's application got.
    pub fn gaps(&self, node: u64) -> Vec<&Delivery> {
        let is_gap = |delivery: &&Delivery| matches!(delivery, Delivery::Gap { .. });
        self.nodes[&node].deliveries.iter().filter(is_gap).collect()
    }

    /// Where a node stands in the tree.
    pub fn place(&self, node: u64) -> Option<hub::TreeNode> {
        let session = self.nodes.get(&node)?.session?;
        self.hub.topology(&self.channel)?.into_iter().find(|entry| entry.peer.0 == session)
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
        self.node_of(self.place(node)?.parent?.0)
    }

    /// The links of a node, under way or up.
    pub fn links_of(&self, node: u64) -> Vec<LinkId> {
        self.nodes.get(&node).map(|node| node.links.iter().copied().collect()).unwrap_or_default()
    }

    /// The node of a session.
    pub fn node_of(&self, session: u64) -> Option<u64> {
        self.session_node.get(&session).copied()
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
