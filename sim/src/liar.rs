//! Peers that lie: they do as they should, but for what they pass on or say of others.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc, time::Duration};

use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use tiercast_codec::{Code, Item, LinkId, Report, ToHub, WireMessage};

use crate::{
    chance::{hash, uniform},
    net::{HoldBack, Tamper},
};

/// Those that lie.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Liars {
    /// Their share of all peers.
    pub share: f64,
    /// What they do: each one of these.
    pub lies: Vec<Lie>,
    /// The share of them that comes from one network; each of the others comes from another one.
    #[serde(default)]
    pub one_network: f64,
    /// How long those that delay hold back what they pass on.
    #[serde(default = "Liars::default_delay_s")]
    pub delay_s: f64,
}

impl Liars {
    fn default_delay_s() -> f64 {
        3.0
    }
}

/// How a peer lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lie {
    /// It answers pings and passes on no event and no head.
    Withhold,
    /// It answers pings at once and passes on events and heads only seconds later.
    Delay,
    /// It changes a bit in one message of ten.
    Corrupt,
    /// It sends an earlier message in the place of one in three.
    Replay,
    /// It offers many places and has next to no uplink.
    Promise,
    /// It accuses everybody at the other end of its links, again and again.
    Accuse,
}

/// What one liar has in mind.
#[derive(Debug)]
pub struct Liar {
    lie: Lie,
    count: u64,
    earlier: Option<Bytes>,
}

/// The liars of a network, and what they do to what they send.
#[derive(Debug, Clone, Default)]
pub struct Gang(Rc<RefCell<BTreeMap<u64, Liar>>>);

impl Gang {
    /// A node is one of them.
    pub fn join(&self, node: u64, lie: Lie) {
        self.0.borrow_mut().insert(node, Liar::new(lie));
    }

    /// A node is gone.
    pub fn leave(&self, node: u64) {
        self.0.borrow_mut().remove(&node);
    }

    /// What they do to messages on links.
    pub fn tamper(&self) -> Tamper {
        let gang = self.clone();
        Box::new(move |from, _, bytes| match gang.0.borrow_mut().get_mut(&from) {
            Some(liar) => liar.tell(from, bytes),
            None => Some(bytes),
        })
    }

    /// How long they hold back what they send.
    pub fn hold_back(&self, delay: Duration) -> HoldBack {
        let gang = self.clone();
        Box::new(move |from, bytes| match gang.0.borrow().get(&from) {
            Some(Liar { lie: Lie::Delay, .. }) if has_data(bytes) => delay,
            _ => Duration::ZERO,
        })
    }

    /// Those who tell this lie.
    pub fn who(&self, lie: Lie) -> Vec<u64> {
        let gang = self.0.borrow();
        gang.iter().filter(|(_, liar)| liar.lie == lie).map(|(node, _)| *node).collect()
    }
}

/// What a node that lies alone does to messages on links.
pub fn lies_of(node: u64, lie: Lie) -> Tamper {
    let gang = Gang::default();
    gang.join(node, lie);
    gang.tamper()
}

impl Liar {
    /// One who lies so.
    pub fn new(lie: Lie) -> Self {
        Self { lie, count: 0, earlier: None }
    }

    /// What becomes of a message that the node sends on a link; `None`: nobody gets it.
    pub fn tell(&mut self, node: u64, bytes: Bytes) -> Option<Bytes> {
        self.count += 1;
        let chance = uniform(hash(&[node, self.count]));
        match self.lie {
            Lie::Withhold => (!has_data(&bytes)).then_some(bytes),
            Lie::Corrupt if chance < 0.1 => Some(flip(bytes, hash(&[node, self.count, 1]))),
            Lie::Replay if has_data(&bytes) => {
                let earlier = self.earlier.replace(bytes.clone());
                Some(earlier.filter(|_| chance < 0.33).unwrap_or(bytes))
            }
            _ => Some(bytes),
        }
    }
}

/// Whether there is anything in a message but words.
fn has_data(bytes: &Bytes) -> bool {
    Item::all(bytes.clone()).is_ok_and(|items| items.iter().any(|item| !matches!(item, Item::Control(_))))
}

fn flip(bytes: Bytes, place: u64) -> Bytes {
    let mut changed = BytesMut::from(&bytes[..]);
    let index = (place / 8) as usize % changed.len().max(1);
    if let Some(byte) = changed.get_mut(index) {
        *byte ^= 1 << (place % 8);
    }
    changed.freeze()
}

/// What an accuser says of a link.
pub fn accusation(link: LinkId) -> Bytes {
    ToHub::Report(Report { link, code: Code::BAD_SIGNATURE }).encode()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CHILD, PARENT, bodies, pair};

    /// What the child of a liar gets, and what its peer counts.
    fn child_of(lie: Lie) -> (usize, tiercast_mesh::peer::PeerStats) {
        let mut net = pair();
        let gang = Gang::default();
        gang.join(PARENT, lie);
        net.tamper = Some(gang.tamper());
        net.hold_back = Some(gang.hold_back(Duration::from_millis(450)));
        for _ in 0..50 {
            net.publish(bodies(1));
            net.run_for(Duration::from_millis(100));
        }
        if !matches!(lie, Lie::Delay) {
            net.run_for(Duration::from_secs(5));
        }
        (net.offsets(CHILD).len(), net.nodes[&CHILD].peer.stats())
    }

    #[test]
    fn one_who_withholds_passes_nothing_on() {
        let (events, stats) = child_of(Lie::Withhold);
        assert!(stats.parent_bytes == 0 && events > 0, "what it has the server gave: {stats:?}");
    }

    #[test]
    fn one_who_delays_passes_everything_on_but_late() {
        // What was published within the last 450 ms is still to come.
        assert_eq!(child_of(Lie::Delay).0, 46);
    }

    #[test]
    fn what_is_changed_is_noticed_and_comes_some_other_way() {
        let (events, stats) = child_of(Lie::Corrupt);
        assert_eq!(events, 50);
        assert!(stats.feeds > 0, "{stats:?}");
    }

    #[test]
    fn what_is_replayed_is_known_already() {
        let (events, stats) = child_of(Lie::Replay);
        assert_eq!(events, 50);
        assert!(stats.duplicates + stats.not_taken > 0, "{stats:?}");
    }
}
