//! What is measured of a simulation.

use std::{collections::BTreeSet, time::Duration};

use rustc_hash::FxHashMap;
use tiercast_mesh::{
    Time,
    hub::{ChannelStats, Class, Spending},
    peer::PeerStats,
};

use crate::{net::Traffic, stalls::Stalls, stats::Sample};

/// Latencies, and what was sent in each second.
#[derive(Debug, Default)]
pub struct Measures {
    /// From publishing to each application.
    pub latencies: Sample,
    /// How long breaks lasted.
    pub stalls: Stalls,
    /// What happened in each second.
    pub seconds: Vec<Second>,
    /// How many seconds there were when each fault struck.
    struck_at: Vec<usize>,
    /// The way of a message from the server to each peer: what nobody can be faster than.
    pub direct: Sample,
    /// Time from joining until a peer was told where it starts, and everything came from then on. A second stands for a
    /// round trip between the peer and the server.
    pub starts: Sample,
    /// The round trips of the links by which peers are fed in the end.
    pub links: Sample,
    joining: FxHashMap<u64, (Time, Duration)>,
}

/// What happened within a second.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Second {
    /// Bytes that the server sent.
    pub server_bytes: u64,
    /// Bytes that peers sent to peers.
    pub link_bytes: u64,
    /// Peers that were there at its end.
    pub peers: u64,
    /// Those of them that the server fed.
    pub fed_by_server: u64,
    /// Those that waited for their turn to be fed.
    pub waiting: u64,
    /// The latest event: how late it came.
    pub latest: Duration,
}

impl Measures {
    /// A node joins, so far away from the server.
    pub fn joined(&mut self, node: u64, now: Time, latency: Duration) {
        self.direct.add(latency);
        self.joining.insert(node, (now, 2 * latency));
    }

    /// A node was told where it starts.
    pub fn started(&mut self, node: u64, now: Time) {
        if let Some((joined, round_trip)) = self.joining.remove(&node) {
            let round_trips = now.since(joined).as_secs_f64() / round_trip.as_secs_f64().max(1e-6);
            self.starts.add(Duration::from_secs_f64(round_trips));
        }
    }

    /// An event came to a node.
    pub fn came(&mut self, node: u64, published: Time, now: Time) {
        let latency = now.since(published);
        self.latencies.add(latency);
        self.stalls.came(node, published, now);
        if let Some(second) = self.seconds.last_mut() {
            second.latest = second.latest.max(latency);
        }
    }

    /// A fault struck: these are those whom it cut off, and those whom something else holds up.
    pub fn struck(&mut self, now: Time, hit: BTreeSet<u64>, apart: &BTreeSet<u64>) {
        self.struck_at.push(self.seconds.len());
        self.stalls.struck(now, hit, apart);
    }

    /// The share of peers that the server fed two seconds after a fault, where that was most; zero without faults.
    pub fn fed_by_server_2_s_after(&self) -> f64 {
        let looks = self.struck_at.iter().filter_map(|at| self.seconds.get(at + 1));
        let share = |second: &Second| second.fed_by_server as f64 / second.peers.max(1) as f64;
        looks.map(share).fold(0.0, f64::max)
    }

    /// What the server sent in the busiest of the ten seconds after each fault; zero without faults.
    pub fn busiest_after_faults(&self) -> u64 {
        let after = self.struck_at.iter().flat_map(|at| self.seconds.iter().skip(*at).take(10));
        after.map(|second| second.server_bytes).max().unwrap_or(0)
    }

    /// A node is gone.
    pub fn left(&mut self, node: u64) {
        self.joining.remove(&node);
        self.stalls.left(node);
    }
}

/// Sums over peers and hubs, also those that are gone.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sums {
    /// Frames that peers took.
    pub frames: u64,
    /// Frames that they had already.
    pub duplicates: u64,
    /// Bytes of the frames that came by links.
    pub parent_bytes: u64,
    /// Bytes of the frames that were handed to children.
    pub relayed_bytes: u64,
    /// Bytes of frames that the server sent.
    pub data_bytes: u64,
    /// Bytes of those frames by why the server sent them.
    pub bytes_by_class: [u64; Class::ALL.len()],
    /// What it would have been without the mesh.
    pub direct_bytes: u64,
    /// Gaps that applications were told of.
    pub gaps: u64,
}

impl Sums {
    /// Adds a peer that ends.
    pub fn add_peer(&mut self, stats: PeerStats) {
        self.frames += stats.frames;
        self.duplicates += stats.duplicates;
        self.parent_bytes += stats.parent_bytes;
        self.relayed_bytes += stats.relayed_bytes;
        self.gaps += stats.gaps;
    }

    /// Adds a hub that ends.
    pub fn add_hub(&mut self, stats: ChannelStats, spending: &[Spending]) {
        self.data_bytes += stats.data_bytes;
        for spending in spending {
            self.bytes_by_class[spending.class as usize] += spending.bytes;
        }
        self.direct_bytes += stats.direct_data_bytes;
    }

    /// The share of data that the server did not have to send.
    pub fn offload(&self) -> f64 {
        1.0 - self.share(self.data_bytes)
    }

    /// A part of what the server sent, as a share of what it would have sent without the mesh.
    pub fn share(&self, bytes: u64) -> f64 {
        bytes as f64 / (self.direct_bytes as f64).max(1.0)
    }

    /// The share of what was sent on links that nobody took: it was there already, or came to nobody.
    pub fn relayed_in_vain(&self) -> f64 {
        1.0 - self.parent_bytes as f64 / (self.relayed_bytes.max(self.parent_bytes) as f64).max(1.0)
    }
}

/// What was sent between two looks.
pub fn between(before: Traffic, after: Traffic) -> (u64, u64) {
    (after.down - before.down, after.links - before.links)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn two_seconds_after_each_fault_it_is_seen_how_many_the_server_feeds() {
        let mut measures = Measures::default();
        assert_eq!(measures.fed_by_server_2_s_after(), 0.0);
        for (number, fed_by_server) in [10, 100, 50, 20, 10, 40, 30].into_iter().enumerate() {
            if [1, 4].contains(&number) {
                measures.struck(Time(0), BTreeSet::new(), &BTreeSet::new());
            }
            let server_bytes = if number == 0 { 1_000 } else { fed_by_server };
            let second = Second { peers: 100, fed_by_server, server_bytes, ..Second::default() };
            measures.seconds.push(second);
        }
        assert_eq!(measures.fed_by_server_2_s_after(), 0.5);
        assert_eq!(measures.busiest_after_faults(), 100);
    }

    #[test]
    fn a_start_is_counted_once_in_round_trips() {
        let mut measures = Measures::default();
        measures.joined(1, Time(0), 50 * MS);
        measures.started(1, Time(250_000));
        measures.started(1, Time(900_000));
        assert_eq!((measures.starts.len(), measures.direct.max().as_millis()), (1, 50));
        assert!((measures.starts.max().as_secs_f64() - 2.5).abs() < 0.01, "{:?}", measures.starts.max());
    }

    #[test]
    fn what_nobody_took_was_relayed_in_vain() {
        let sums = Sums { parent_bytes: 990, relayed_bytes: 1_000, ..Sums::default() };
        assert!((sums.relayed_in_vain() - 0.01).abs() < 1e-9);
        assert_eq!(Sums { parent_bytes: 5, relayed_bytes: 5, ..sums }.relayed_in_vain(), 0.0);
    }

    #[test]
    fn offload_is_what_the_server_did_not_have_to_send() {
        let sums = Sums { data_bytes: 20, direct_bytes: 1_000, ..Sums::default() };
        assert!((sums.offload() - 0.98).abs() < 1e-9);
        assert_eq!(Sums::default().offload(), 1.0);
    }
}
