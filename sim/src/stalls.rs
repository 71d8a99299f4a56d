//! How long breaks last: how much later than usual events come to those whom a fault cut off, and to the others, whom losses
//! hold up at any time.

use std::{collections::BTreeSet, time::Duration};

use rustc_hash::FxHashMap;
use tiercast_mesh::Time;

use crate::stats::Sample;

/// Who is cut off misses what is published next, and waits for it the longest. What comes late of later events has other
/// reasons.
const OF_THE_FAULT: Duration = Duration::from_secs(5);

/// The stalls of all faults, one for each peer and fault.
#[derive(Debug, Default)]
pub struct Stalls {
    /// Of those who were cut off.
    pub hit: Sample,
    /// Of all who were not.
    pub others: Sample,
    paces: FxHashMap<u64, Pace>,
    fault: Option<Fault>,
}

/// What is known of a node.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// What its latency is like when nothing is wrong.
    typical: Duration,
    /// The longest that an event of the fault's time came later than that. None if it was not there when the fault struck.
    stall: Option<Duration>,
}

/// What struck last.
#[derive(Debug)]
struct Fault {
    at: Time,
    hit: BTreeSet<u64>,
}

impl Stalls {
    /// A fault strikes, and cuts these off.
    pub fn struck(&mut self, at: Time, hit: BTreeSet<u64>) {
        self.conclude();
        self.fault = Some(Fault { at, hit });
        self.paces.values_mut().for_each(|pace| pace.stall = Some(Duration::ZERO));
    }

    /// An event came to a node.
    pub fn came(&mut self, node: u64, published: Time, now: Time) {
        let latency = now.since(published);
        let pace = self.paces.entry(node).or_insert(Pace { typical: latency, stall: None });
        let is_of_fault = self.fault.as_ref().is_some_and(|fault| {
            fault.at <= published + pace.typical && published <= fault.at + OF_THE_FAULT
        });
        match &mut pace.stall {
            Some(stall) if is_of_fault => *stall = latency.saturating_sub(pace.typical).max(*stall),
            // A slow average: one event in thirty-two.
            _ => pace.typical = (pace.typical * 31 + latency) / 32,
        }
    }

    /// A node is gone.
    pub fn left(&mut self, node: u64) {
        self.paces.remove(&node);
    }

    /// Nothing more is to be counted for the last fault.
    pub fn conclude(&mut self) {
        let Some(Fault { hit, .. }) = self.fault.take() else { return };
        for (node, pace) in &mut self.paces {
            if let Some(stall) = pace.stall.take() {
                let sample = if hit.contains(node) { &mut self.hit } else { &mut self.others };
                sample.add(stall);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Two nodes whose latency is 80 ms, and a fault at ten seconds that cuts the first off.
    fn struck() -> Stalls {
        let mut stalls = Stalls::default();
        for node in [1, 2] {
            (0..100).for_each(|tenth| came(&mut stalls, node, tenth * 100, 80));
        }
        stalls.struck(Time(0) + 10_000 * MS, BTreeSet::from([1]));
        stalls
    }

    fn came(stalls: &mut Stalls, node: u64, published_ms: u32, latency_ms: u32) {
        let published = Time(0) + published_ms * MS;
        stalls.came(node, published, published + latency_ms * MS);
    }

    #[test]
    fn a_stall_is_how_much_later_than_usual_an_event_came_to_one_who_was_cut_off() {
        let mut stalls = struck();
        for (node, latency_ms) in [(1, 500), (1, 300), (1, 90), (2, 90), (3, 900)] {
            came(&mut stalls, node, 10_100, latency_ms);
        }
        stalls.conclude();
        assert_eq!((stalls.hit.len(), stalls.hit.max().as_millis()), (1, 420));
        assert_eq!((stalls.others.len(), stalls.others.max().as_millis()), (1, 10), "the third came later");
    }

    #[test]
    fn what_should_have_come_before_or_was_published_long_after_says_nothing_of_the_fault() {
        let mut stalls = struck();
        came(&mut stalls, 1, 9_900, 2_000);
        came(&mut stalls, 1, 9_950, 2_000);
        came(&mut stalls, 1, 15_001, 3_000);
        stalls.conclude();
        let late_ms = stalls.hit.max().as_millis();
        assert!(
            (1_850..1_920).contains(&late_ms),
            "the second alone, against a usual latency that has moved: {late_ms}"
        );
    }

    #[test]
    fn those_who_go_and_those_whom_nothing_held_up_have_no_stall() {
        let mut stalls = struck();
        came(&mut stalls, 1, 10_100, 500);
        stalls.left(1);
        stalls.struck(Time(0) + 20_000 * MS, BTreeSet::from([2]));
        stalls.conclude();
        assert_eq!((stalls.hit.len(), stalls.hit.max()), (1, Duration::ZERO));
    }
}
