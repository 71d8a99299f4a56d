//! What goes wrong.

use std::{collections::BTreeSet, time::Duration};

use serde::{Deserialize, Serialize};
use tiercast_mesh::peer::Input;

use crate::{
    cut::{Cut, Reach},
    net::{Net, channel},
};

/// Something that goes wrong once.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// When, in seconds since everybody was there.
    pub at_s: f64,
    /// What.
    pub kind: FaultKind,
    /// Whom: this share of those of the group.
    #[serde(default = "Fault::everybody")]
    pub share: f64,
    /// Of which group.
    #[serde(default)]
    pub group: Group,
    /// How long it lasts, where it does.
    #[serde(default)]
    pub for_s: f64,
    /// What is left of what a peer can send, where it is narrowed.
    #[serde(default)]
    pub to: f64,
    /// From whom, where peers are cut off.
    #[serde(default)]
    pub from: Reach,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// Peers unsubscribe and leave.
    Goodbye,
    /// Peers die; the server sees their connections end, their links fall silent: `kill -9`.
    Kill,
    /// Peers die, and nobody is told: a machine without power.
    Vanish,
    /// Peers stand still for a while.
    Freeze,
    /// Applications read nothing for a while.
    Slow,
    /// Peers have a narrower uplink for a while.
    Narrow,
    /// Sessions end and come back; links stay.
    Blink,
    /// Sessions and links end and come back, every few seconds.
    Flap,
    /// Peers are cut off from others, as an island.
    Partition,
    /// What peers send vanishes, and they hear the others.
    OneWay,
    /// The server restarts: all sessions end, and it knows nothing of links.
    Restart,
}

/// Who may be hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Group {
    /// Everybody.
    #[default]
    All,
    /// Those who have children.
    Relays,
}

impl Fault {
    fn everybody() -> f64 {
        1.0
    }

    /// How long it lasts.
    pub fn lasts(&self) -> Duration {
        Duration::from_secs_f64(self.for_s)
    }

    /// Whether those whom it hits are gone for good.
    pub fn is_final(&self) -> bool {
        matches!(self.kind, FaultKind::Goodbye | FaultKind::Kill | FaultKind::Vanish)
    }

    /// Chooses whom it hits.
    pub fn victims(&self, net: &mut Net) -> Vec<u64> {
        let mut group: Vec<u64> = net
            .nodes
            .iter()
            .filter(|(_, node)| self.group == Group::All || !node.peer.children(&channel()).is_empty())
            .map(|(id, _)| *id)
            .collect();
        let count = (group.len() as f64 * self.share).round() as usize;
        for chosen in 0..count {
            let other = chosen + net.below((group.len() - chosen) as u64) as usize;
            group.swap(chosen, other);
        }
        group.truncate(count);
        group
    }

    /// Lets it happen to a node.
    pub fn strike(&self, net: &mut Net, node: u64) {
        match self.kind {
            FaultKind::Freeze => net.freeze(node),
            FaultKind::Slow => net.set_reads(node, false),
            FaultKind::Narrow => net.narrow(node, self.to),
            FaultKind::Blink => net.disconnect(node),
            FaultKind::Flap => {
                net.break_links(node);
                net.disconnect(node);
            }
            departure => departure.depart(net, node),
        }
    }

    /// The cut that it makes between these and others, if it makes one.
    pub fn cut(&self, victims: &[u64]) -> Option<Cut> {
        let makes_one = matches!(self.kind, FaultKind::Partition | FaultKind::OneWay);
        let (island, one_way) = (victims.iter().copied().collect(), self.kind == FaultKind::OneWay);
        makes_one.then(|| Cut { island, from: self.from, one_way, lasts: self.lasts() })
    }

    /// Whether those whom it hits cannot be blamed for what they lack as long as it lasts.
    pub fn excuses(&self) -> bool {
        use FaultKind::{Flap, Freeze, Narrow, OneWay, Partition, Slow};
        // A line that is narrow enough holds up even what its node asks for.
        matches!(self.kind, Freeze | Slow | Narrow | Partition | OneWay | Flap)
    }

    /// Lets it be over for a node.
    pub fn relent(&self, net: &mut Net, node: u64) {
        match self.kind {
            FaultKind::Freeze => net.thaw(node),
            FaultKind::Slow => net.set_reads(node, true),
            FaultKind::Narrow => net.narrow(node, 1.0),
            _ => {}
        }
    }
}

impl FaultKind {
    /// A node goes for good in this way, if it is one.
    pub fn depart(self, net: &mut Net, node: u64) {
        match self {
            FaultKind::Goodbye => {
                net.peer(node, Input::Unsubscribe(channel()));
                net.kill(node);
            }
            FaultKind::Kill => net.kill(node),
            FaultKind::Vanish => net.vanish(node),
            _ => {}
        }
    }
}

/// Everybody below these nodes in the tree, without themselves.
pub fn below(net: &Net, nodes: &[u64]) -> BTreeSet<u64> {
    let mut found = BTreeSet::new();
    let mut next: Vec<u64> = nodes.to_vec();
    while let Some(node) = next.pop() {
        let children = net.nodes.get(&node).map(|node| node.peer.children(&channel())).unwrap_or_default();
        for child in children.into_iter().filter_map(|peer| net.node_of(peer)) {
            let is_fed = net.nodes[&child].peer.parent(&channel()).is_some();
            if is_fed && found.insert(child) {
                next.push(child);
            }
        }
    }
    for node in nodes {
        found.remove(node);
    }
    found
}
