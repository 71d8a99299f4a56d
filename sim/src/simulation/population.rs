//! Peers come, connect again, and go.

use std::time::Duration;

use rand_chacha::rand_core::Rng;
use tiercast_codec::{NodeKind, Relay, Since};
use tiercast_mesh::{hub::Network, peer::PeerConfig};

use super::{Plan, Simulation};
use crate::{
    chance::{exponential, hash, uniform, weibull_half},
    fault::FaultKind,
    liar::Lie,
    node::SERVER,
};

/// The first ceiling of the delay before a peer connects again (protocol page, "Reconnecting").
const RECONNECT_WITHIN: Duration = Duration::from_millis(500);

/// Places that a liar promises.
const PROMISED: u16 = 64;

/// What it has of an uplink.
const NARROW: f64 = 0.001;

impl Simulation<'_> {
    pub(super) fn join(&mut self) {
        self.next_node += 1;
        let node = self.next_node;
        let population = self.scenario.population;
        let [least, greatest] = population.children;
        let is_leaf = uniform(self.rng.next_u64()) < population.leaves;
        let children = least + (self.rng.next_u64() % u64::from(greatest - least + 1)) as u16;
        let lie = self.draw_lie();
        let children_max = match lie {
            Some(Lie::Promise) => PROMISED,
            _ if is_leaf => 0,
            _ => children,
        };
        let relay = Some(Relay { node: NodeKind::Native, children_max });
        let mut config = PeerConfig { relay, ..PeerConfig::default() };
        config.log.entries = population.log_frames;
        self.measures.joined(node, self.net.now, self.map.latency(SERVER, node));
        self.net.whereabouts.insert(node, self.map.told(node));
        self.net.join(node, config, Since::Now);
        if let Some(lie) = lie {
            self.lie(node, lie);
        }
        if let Some(churn) = self.scenario.churn {
            let stays = match uniform(self.rng.next_u64()) < churn.short {
                true => exponential(self.rng.next_u64(), Duration::from_secs_f64(churn.short_s)),
                false => weibull_half(self.rng.next_u64(), Duration::from_secs_f64(churn.long_s)),
            };
            self.agenda.plan(self.net.now + stays, Plan::Leave(node));
        }
    }

    /// A node goes for good.
    pub(super) fn go(&mut self, kind: FaultKind, node: u64) {
        if let Some(state) = self.net.nodes.get(&node) {
            self.sums.add_peer(state.peer.stats());
        }
        kind.depart(&mut self.net, node);
        self.measures.left(node);
        self.excused.remove(&node);
        self.gang.leave(node);
        self.checks.iter_mut().for_each(|check| check.left(node));
    }

    /// How the next one lies, if it does.
    fn draw_lie(&mut self) -> Option<Lie> {
        let liars = self.scenario.liars.as_ref()?;
        if uniform(self.rng.next_u64()) >= liars.share {
            return None;
        }
        match liars.lies.as_slice() {
            [only] => Some(*only),
            lies => Some(lies[(self.rng.next_u64() % lies.len() as u64) as usize]),
        }
    }

    fn lie(&mut self, node: u64, lie: Lie) {
        self.gang.join(node, lie);
        let share = self.scenario.liars.as_ref().map_or(0.0, |liars| liars.one_network);
        if uniform(hash(&[node, 17])) < share {
            self.net.whereabouts.insert(node, Network(0).into());
        }
        if lie == Lie::Promise {
            self.net.narrow(node, NARROW);
            self.excuse();
        }
    }

    /// A node leaves, if it is still there, and another one comes.
    pub(super) fn leave(&mut self, node: u64) {
        if self.net.now < self.end && self.net.nodes.contains_key(&node) {
            let is_silent =
                self.scenario.churn.is_some_and(|churn| uniform(self.rng.next_u64()) < churn.silent);
            self.go(if is_silent { FaultKind::Vanish } else { FaultKind::Goodbye }, node);
            self.join();
        }
    }

    pub(super) fn connect_soon(&mut self, node: u64) {
        let delay = RECONNECT_WITHIN.mul_f64(uniform(self.rng.next_u64()));
        self.agenda.plan(self.net.now + delay, Plan::Connect(node));
    }

    pub(super) fn connect(&mut self, node: u64) {
        if self.net.nodes.get(&node).is_some_and(|state| state.session.is_none()) {
            self.net.connect(node);
        }
    }
}
