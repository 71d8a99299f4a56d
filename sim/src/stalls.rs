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
    /// Of those whom nothing but losses held up.
    pub others: Sample,
    paces: FxHashMap<u64, Pace>,
    fault: Option<Fault>,
}

/// What is known of a node.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// What its latency is like when nothing is wrong.
    typical: Duration,
    stall: Stall,
}

/// What the last fault did to a node.
#[derive(Debug, Clone, Copy)]
enum Stall {
    /// It was not there then, or something else held it up.
    Apart,
    /// Nothing of the fault's time has come yet.
    Waits,
    /// The longest that such an event came later than usual.
    Longest(Duration),
}

/// What struck last.
#[derive(Debug)]
struct Fault {
    at: Time,
    hit: BTreeSet<u64>,
    /// When something was published after it for the first time.
    published: Option<Time>,
}

impl Stalls {
    /// A fault strikes, and cuts these off. What comes late to those apart says nothing of it.
    pub fn struck(&mut self, at: Time, hit: BTreeSet<u64>, apart: &BTreeSet<u64>) {
        self.conclude(at);
        self.fault = Some(Fault { at, hit, published: None });
        for (node, pace) in &mut self.paces {
            pace.stall = if apart.contains(node) { Stall::Apart } else { Stall::Waits };
        }
    }

    /// An event was published.
    pub fn published(&mut self, now: Time) {
        if let Some(fault) = &mut self.fault {
            fault.published.get_or_insert(now);
        }
    }

    /// An event came to a node.
    pub fn came(&mut self, node: u64, published: Time, now: Time) {
        let latency = now.since(published);
        let pace = self.paces.entry(node).or_insert(Pace { typical: latency, stall: Stall::Apart });
        let is_of_fault = self.fault.as_ref().is_some_and(|fault| {
            fault.at <= published + pace.typical && published <= fault.at + OF_THE_FAULT
        });
        let late = latency.saturating_sub(pace.typical);
        match pace.stall {
            Stall::Waits if is_of_fault => pace.stall = Stall::Longest(late),
            Stall::Longest(longest) if is_of_fault => pace.stall = Stall::Longest(longest.max(late)),
            // A slow average: one event in thirty-two.
            _ => pace.typical = (pace.typical * 31 + latency) / 32,
        }
    }

    /// A node is gone.
    pub fn left(&mut self, node: u64) {
        self.paces.remove(&node);
    }

    /// Nothing more is to be counted for the last fault. Who still waits has waited until now.
    pub fn conclude(&mut self, now: Time) {
        let Some(Fault { hit, published, .. }) = self.fault.take() else { return };
        for (node, pace) in &mut self.paces {
            let stall = match std::mem::replace(&mut pace.stall, Stall::Apart) {
                Stall::Apart => None,
                Stall::Waits => published.map(|published| now.since(published).saturating_sub(pace.typical)),
                Stall::Longest(longest) => Some(longest),
            };
            let sample = if hit.contains(node) { &mut self.hit } else { &mut self.others };
            stall.into_iter().for_each(|stall| sample.add(stall));
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
        strike(&mut stalls, 10_000, 1, &[]);
        stalls
    }

    fn strike(stalls: &mut Stalls, at_ms: u32, hit: u64, apart: &[u64]) {
        stalls.struck(Time(0) + at_ms * MS, BTreeSet::from([hit]), &apart.iter().copied().collect());
    }

    fn end(stalls: &mut Stalls, at_ms: u32) -> [(u64, u128); 2] {
        stalls.conclude(Time(0) + at_ms * MS);
        [&stalls.hit, &stalls.others].map(|sample| (sample.len(), sample.max().as_millis()))
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
        assert_eq!(end(&mut stalls, 12_000), [(1, 420), (1, 10)], "the third came later");
    }

    #[test]
    fn what_should_have_come_before_or_was_published_long_after_says_nothing_of_the_fault() {
        let mut stalls = struck();
        came(&mut stalls, 1, 9_900, 2_000);
        came(&mut stalls, 1, 9_950, 2_000);
        came(&mut stalls, 1, 15_001, 3_000);
        let [(_, late_ms), _] = end(&mut stalls, 20_000);
        assert!(
            (1_850..1_920).contains(&late_ms),
            "the second alone, against a usual latency that has moved: {late_ms}"
        );
    }

    #[test]
    fn those_who_go_and_those_whom_something_else_held_up_have_no_stall() {
        let mut stalls = struck();
        came(&mut stalls, 1, 10_100, 500);
        stalls.left(1);
        came(&mut stalls, 2, 10_100, 80);
        strike(&mut stalls, 20_000, 3, &[2]);
        came(&mut stalls, 2, 20_100, 9_000);
        assert_eq!(end(&mut stalls, 30_000), [(0, 0), (1, 0)]);
    }

    #[test]
    fn one_who_still_waits_has_waited_until_the_next_fault() {
        let mut stalls = struck();
        stalls.published(Time(0) + 10_200 * MS);
        stalls.published(Time(0) + 10_400 * MS);
        came(&mut stalls, 2, 10_200, 80);
        assert_eq!(end(&mut stalls, 13_200), [(1, 2_920), (1, 0)]);
    }
}
