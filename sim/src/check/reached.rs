//! How far applications are.

use std::collections::BTreeMap;

use tiercast_codec::Position;
use tiercast_mesh::peer::Delivery;

use crate::net::Given;

/// What each application was given last.
#[derive(Debug, Default)]
pub(super) struct Reached(BTreeMap<u64, Position>);

impl Reached {
    pub(super) fn of(&self, node: u64) -> Option<Position> {
        self.0.get(&node).copied()
    }

    /// A node was told where it starts. Later sessions go on where its application is.
    pub(super) fn started(&mut self, node: u64, position: Position) {
        self.0.entry(node).or_insert(position);
    }

    pub(super) fn given(&mut self, given: &Given) {
        if let Delivery::Event { position, .. } | Delivery::Gap { to: position, .. } = &given.delivery {
            self.0.insert(given.node, *position);
        }
    }

    pub(super) fn left(&mut self, node: u64) {
        self.0.remove(&node);
    }
}
