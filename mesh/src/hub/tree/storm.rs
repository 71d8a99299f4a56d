//! Random things happen to a tree, and after each of them everybody is looked at, which the tree itself never does.

use std::{collections::BTreeMap, time::Duration};

use rand_chacha::{
    ChaCha12Rng,
    rand_core::{Rng, SeedableRng},
};
use tiercast_codec::{Code, LinkId, LinkRole, LivingLink, NodeKind, PeerId, Relay};

use super::{Action, Context, Node, Place, Tree};
use crate::{
    Time,
    hub::{
        HubConfig, Tier1,
        reputation::Reputation,
        tickets::{Ends, Tickets},
        whereabouts::{Location, Whereabouts},
    },
};

/// A tree to which random things happen.
struct Storm {
    tree: Tree,
    now: Time,
    config: HubConfig,
    rng: ChaCha12Rng,
    tickets: Tickets,
    reputation: Reputation,
    last_link: u64,
    peers: Vec<PeerId>,
    away: Vec<PeerId>,
    links: Vec<(LinkId, PeerId, PeerId)>,
    adopted: u64,
    parked: u64,
}

impl Storm {
    fn below(&mut self, bound: usize) -> usize {
        (self.rng.next_u64() % bound.max(1) as u64) as usize
    }

    /// Lets the tree act.
    fn act(&mut self, act: impl FnOnce(&mut Tree, Time, &mut Context<'_>)) {
        let mut context = Context {
            config: &self.config,
            tickets: &self.tickets,
            reputation: &mut self.reputation,
            last_link: &mut self.last_link,
            channel: &"storm".parse().unwrap(),
        };
        act(&mut self.tree, self.now, &mut context);
        for action in self.tree.take_actions() {
            match action {
                Action::Link { link, parent, child, .. } => self.links.push((link, parent, child)),
                Action::Adopted(_) => self.adopted += 1,
                _ => {}
            }
        }
    }

    /// A peer comes or comes back, and names most of the links that it ever had, whatever became of them.
    fn come(&mut self, peer: PeerId) {
        let relay = Relay { node: NodeKind::Native, children_max: [0, 0, 1, 2][self.below(4)] };
        let relay = (self.below(10) > 0).then_some(relay);
        let longitude = self.below(360) as f64 - 180.0;
        let location = Location::new(0.0, longitude).filter(|_| self.below(2) > 0);
        let from = Whereabouts { location, network: None };
        let channel = "storm".parse().unwrap();
        let mut living = Vec::new();
        for (link, parent, child) in self.links.clone().into_iter().rev().take(30) {
            let is_standby = self.below(3) == 0;
            let (other, role) = match peer {
                _ if peer == parent => (child, if is_standby { LinkRole::Held } else { LinkRole::Child }),
                _ if peer == child => (parent, if is_standby { LinkRole::Standby } else { LinkRole::Parent }),
                _ => continue,
            };
            let token = self.tickets.of_link(&channel, Ends { link, parent, child });
            if self.below(4) > 0 {
                living.push(LivingLink { link, peer: other, role, token });
            }
        }
        self.act(|tree, now, context| _ = tree.join(now, peer, from, relay, &living, context));
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
        match (self.below(15), peer, link) {
            (13, Some(peer), _) => {
                let relay = Relay { node: NodeKind::Native, children_max: [0, 1, 2][self.below(3)] };
                self.act(|tree, now, context| tree.resize(now, peer, relay, context));
            }
            (0, ..) if self.peers.len() < 12 => {
                self.peers.push(PeerId(number));
                self.come(PeerId(number));
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
            (10, Some(peer), _) if self.below(4) == 0 => {
                self.peers.retain(|other| *other != peer);
                self.away.push(peer);
                self.act(|tree, now, context| tree.leave_for_now(now, peer, context));
            }
            (11, ..) if !self.away.is_empty() => {
                let peer = self.away.remove(0);
                self.peers.push(peer);
                self.come(peer);
            }
            (12, ..) if self.below(60) == 0 => {
                // The server restarts.
                self.parked += self.tree.next_parked;
                self.tree = Tree::new(&self.config);
                self.away.append(&mut self.peers);
            }
            _ => {
                self.now = self.now + Duration::from_millis(self.below(2_000) as u64);
                self.act(|tree, now, context| tree.handle_timeout(now, context));
            }
        }
    }

    /// Those above a peer stand each a tier higher, as far as that is known, and whatever swaps there are, there is an end
    /// to them.
    fn check_way_up(&self, peer: PeerId) {
        let above = |peer: PeerId| self.tree.parents(peer).chain(self.tree.standby(peer));
        assert!(
            above(peer).all(|other| self.tree.above(other).all(|further| further != peer)),
            "{peer} stands in a cycle"
        );
        let node = &self.tree.nodes[&peer];
        assert!(above(peer).all(|other| self.tree.nodes[&other].order < node.order), "{peer}: {node:?}");
        let below = node.children.iter().map(|link| self.tree.nodes[&self.tree.links[link].child].height);
        assert_eq!(node.height, 1 + below.max().unwrap_or(0), "{peer}: {node:?}");
        if let Place::Child(link) = node.place {
            let parent = &self.tree.nodes[&self.tree.links[&link].parent];
            let tier = parent.shown_tier();
            assert!(tier == 0 || tier + 1 == node.tier, "{node:?} below {parent:?}");
            assert_ne!(self.tree.standby(peer), Some(self.tree.links[&link].parent), "{peer}: {node:?}");
        }
    }

    fn check(&self) {
        let Tree { nodes, index, .. } = &self.tree;
        let mut tiers = BTreeMap::new();
        for (peer, node) in nodes {
            *tiers.entry(node.shown_tier()).or_default() += 1;
            assert_eq!(node.links_beyond_places(), [], "{peer}: {node:?}");
            if self.peers.contains(peer) {
                assert!(!node.is_away, "{peer}: {node:?}");
            }
            self.check_way_up(*peer);
            if node.awaits_parent() {
                let below = self.tree.below(*peer);
                let could_have = |parent: &PeerId| {
                    let is_open = nodes[parent].entry.open.is_some();
                    is_open && self.tree.will_do(self.now, *parent, &below)
                };
                assert_eq!(nodes.keys().find(|parent| could_have(parent)), None, "for {peer}: {node:?}");
            }
        }
        assert_eq!(index.tiers, tiers);
        assert_eq!(nodes.values().filter(|node| node.relay.is_some()).count(), self.tree.relays);
        assert_eq!(nodes.values().filter(|node| node.promised() > 0).count(), index.promising);
        let is_fed_for_now = |place| matches!(place, Place::Waiting | Place::Linking(_));
        let can_root = |node: &&Node| is_fed_for_now(node.place) && node.places() > 0;
        let candidates = nodes.values().filter(can_root).count();
        let free = self.config.tier1.of(self.tree.relays).saturating_sub(index.count(1));
        assert!(candidates == 0 || free == 0, "{candidates} could be in tier 1, {free} places are free");
    }
}

#[test]
fn nobody_waits_for_a_parent_while_there_is_one_whatever_happens() {
    let (mut parked, mut adopted) = (0, 0);
    for seed in 0..1_000 {
        let config = HubConfig {
            tier1: Tier1 { min: 1, max: 2 },
            parent_refused: Duration::from_secs(10 * (seed % 4)),
            link_tries: if seed % 2 == 0 { 3 } else { 1_000 },
            accusations_max: 100,
            accusers_min: 1 + seed as usize % 2,
            suspension: Duration::from_secs(20),
            ..HubConfig::default()
        };
        let rng = ChaCha12Rng::seed_from_u64(seed);
        let (tree, now, tickets) = (Tree::new(&config), Time(0), Tickets::new([1; 32]));
        let (peers, away, links) = (Vec::new(), Vec::new(), Vec::new());
        let mut storm = Storm {
            tree,
            now,
            config,
            rng,
            tickets,
            reputation: Reputation::default(),
            last_link: 0,
            peers,
            away,
            links,
            adopted: 0,
            parked: 0,
        };
        for number in 1..=1_500 {
            storm.step(number);
            storm.check();
        }
        parked += storm.parked + storm.tree.next_parked;
        adopted += storm.adopted;
    }
    println!("{parked} parked, {adopted} adopted");
    assert!(adopted > 1_000, "that {adopted} were adopted shows little");
    assert!(parked > 2_000, "that {parked} were parked shows little");
}
