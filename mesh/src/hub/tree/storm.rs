//! Random things happen to a tree, and after each of them everybody is looked at, which the tree itself never does.

use std::{collections::BTreeMap, time::Duration};

use rand_chacha::{
    ChaCha12Rng,
    rand_core::{Rng, SeedableRng},
};
use tiercast_codec::{Code, LinkId, NodeKind, PeerId, Relay};

use super::{Action, Context, Node, Place, Tree};
use crate::{
    Time,
    hub::{HubConfig, Tier1},
};

/// A tree to which random things happen.
struct Storm {
    tree: Tree,
    now: Time,
    config: HubConfig,
    rng: ChaCha12Rng,
    next_link: u64,
    peers: Vec<PeerId>,
    links: Vec<(LinkId, PeerId, PeerId)>,
}

impl Storm {
    fn below(&mut self, bound: usize) -> usize {
        (self.rng.next_u64() % bound.max(1) as u64) as usize
    }

    /// Lets the tree act.
    fn act(&mut self, act: impl FnOnce(&mut Tree, Time, &mut Context<'_>)) {
        let mut tokens = ChaCha12Rng::from_seed([1; 32]);
        let (config, next_link) = (&self.config, &mut self.next_link);
        act(&mut self.tree, self.now, &mut Context { config, rng: &mut tokens, next_link });
        for action in self.tree.take_actions() {
            if let Action::Link { link, parent, child, .. } = action {
                self.links.push((link, parent, child));
            }
        }
    }

    /// Something happens.
    fn step(&mut self, number: u64) {
        let peer = self.below(self.peers.len());
        let peer = self.peers.get(peer).copied();
        // Mostly the links that are new.
        let age = self.below(8);
        let link = self.links.iter().rev().nth(age).copied();
        let codes = [Code::DEPARTED, Code::DEPARTED, Code::LINK_FAILED, Code::BAD_SIGNATURE, Code::LAGGING];
        let code = codes[self.below(codes.len())];
        match (self.below(13), peer, link) {
            (12, Some(peer), _) => {
                let relay = Relay { node: NodeKind::Native, children_max: [0, 1, 2][self.below(3)] };
                self.act(|tree, now, context| tree.resize(now, peer, relay, context));
            }
            (0, ..) if self.peers.len() < 12 => {
                let relay = Relay { node: NodeKind::Native, children_max: [0, 0, 1, 2][self.below(4)] };
                let relay = (self.below(10) > 0).then_some(relay);
                self.peers.push(PeerId(number));
                self.act(|tree, now, context| tree.join(now, PeerId(number), relay, context));
            }
            (1, Some(peer), _) if self.peers.len() > 6 => {
                self.peers.retain(|other| *other != peer);
                self.act(|tree, now, context| tree.leave(now, peer, context));
            }
            (2..=5, _, Some((link, _, child))) => {
                self.act(|tree, now, context| _ = tree.fed(now, child, link, context));
            }
            (6..=7, _, Some((link, _, child))) => {
                self.act(|tree, now, context| tree.orphaned(now, child, Some(link), code, context));
            }
            (8, _, Some((link, parent, child))) => {
                let reporter = if self.below(2) == 0 { parent } else { child };
                self.act(|tree, now, context| tree.reported(now, reporter, link, code, context));
            }
            (9, Some(peer), _) => {
                let code = [Code::LAGGING, Code::UNAVAILABLE][self.below(2)];
                self.act(|tree, now, context| tree.orphaned(now, peer, None, code, context));
            }
            _ => {
                self.now = self.now + Duration::from_millis(self.below(2_000) as u64);
                self.act(|tree, now, context| tree.handle_timeout(now, context));
            }
        }
    }

    fn check(&self) {
        let Tree { nodes, index, .. } = &self.tree;
        let mut tiers = BTreeMap::new();
        for (peer, node) in nodes {
            *tiers.entry(node.shown_tier()).or_default() += 1;
            let could_have = |parent: &PeerId| {
                let is_open = nodes[parent].entry.open.is_some();
                is_open && self.tree.will_do(self.now, *parent, *peer)
            };
            assert_eq!(node.links_beyond_places(), [], "{peer}: {node:?}");
            if node.awaits_parent() {
                assert_eq!(nodes.keys().find(|parent| could_have(parent)), None, "for {peer}: {node:?}");
            }
        }
        assert_eq!(index.tiers, tiers);
        let is_fed_for_now = |place| matches!(place, Place::Waiting | Place::Linking(_));
        let can_root = |node: &&Node| is_fed_for_now(node.place) && node.places() > 0;
        let candidates = nodes.values().filter(can_root).count();
        let free = self.config.tier1.of(self.tree.relays).saturating_sub(index.count(1));
        assert!(candidates == 0 || free == 0, "{candidates} could be in tier 1, {free} places are free");
    }
}

#[test]
fn nobody_waits_for_a_parent_while_there_is_one_whatever_happens() {
    let mut parked = 0;
    for seed in 0..100 {
        let config = HubConfig {
            tier1: Tier1 { min: 1, max: 2 },
            parent_refused: Duration::from_secs(10 * (seed % 4)),
            link_tries: if seed % 2 == 0 { 3 } else { 1_000 },
            accusations_max: 100,
            suspension: Duration::from_secs(20),
            ..HubConfig::default()
        };
        let rng = ChaCha12Rng::from_seed([seed as u8; 32]);
        let (tree, now, peers, links) = (Tree::new(&config), Time(0), Vec::new(), Vec::new());
        let mut storm = Storm { tree, now, config, rng, next_link: 0, peers, links };
        for number in 1..=1_500 {
            storm.step(number);
            storm.check();
        }
        parked += storm.tree.next_parked;
    }
    println!("{parked} parked");
    assert!(parked > 2_000, "that {parked} were parked shows little");
}
