//! What the hub remembers of a peer: the parents that failed it, the links that did not last, and who could not reach it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tiercast_codec::PeerId;

use crate::{
    Time,
    hub::{HubConfig, reputation::Origin},
};

/// Waiting times double so often at most.
const DOUBLINGS_MAX: u32 = 5;

/// A peer's record.
#[derive(Debug)]
pub(super) struct Record {
    /// Parents that failed it, until when they are not given to it again.
    refused: BTreeMap<PeerId, Time>,
    /// Links in a row that never came up, or broke soon.
    failures: u32,
    /// The children that could not reach it since one could.
    unreached: BTreeSet<PeerId>,
    /// Who left it because it brought too little, since a link of its last lasted.
    left_by: BTreeSet<Origin>,
    /// How often it was spared for either.
    spared: u32,
    /// How many children it is believed to be able to feed, whatever it promises.
    pub(super) believed: usize,
}

impl Record {
    /// That of one of whom nothing is known.
    pub(super) fn new(config: &HubConfig) -> Self {
        Self {
            refused: BTreeMap::new(),
            failures: 0,
            unreached: BTreeSet::new(),
            left_by: BTreeSet::new(),
            spared: 0,
            believed: config.children_unproven.into(),
        }
    }

    /// A parent failed it.
    pub(super) fn refuse(&mut self, now: Time, parent: PeerId, config: &HubConfig) {
        self.refused.retain(|_, until| *until > now);
        self.refused.insert(parent, now + config.parent_refused);
    }

    /// Whether a parent failed it lately.
    pub(super) fn refuses(&self, now: Time, parent: PeerId) -> bool {
        self.refused.get(&parent).is_some_and(|until| *until > now)
    }

    /// When the first of the parents that failed it may be tried again.
    pub(super) fn next_retry(&self, now: Time) -> Option<Time> {
        self.refused.values().copied().filter(|until| *until > now).min()
    }

    pub(super) fn link_failed(&mut self) {
        self.failures += 1;
    }

    pub(super) fn link_lasted(&mut self) {
        self.failures = 0;
    }

    /// How long it stays with the server, if too many links failed.
    pub(super) fn retreat(&self, config: &HubConfig) -> Option<Duration> {
        let more = self.failures.checked_sub(config.link_tries)?;
        Some(doubled(config.link_retry, more))
    }

    /// A child reached it.
    pub(super) fn reached(&mut self) {
        self.unreached.clear();
        self.spared = 0;
    }

    /// A child could not reach it. Says whether too many could not.
    pub(super) fn unreached(&mut self, child: PeerId, config: &HubConfig) -> bool {
        fills_up(&mut self.unreached, child, config)
    }

    /// A child has left it because it brings too little. Says whether too many have who cannot be one and the same.
    pub(super) fn left(&mut self, by: Origin, config: &HubConfig) -> bool {
        fills_up(&mut self.left_by, by, config)
    }

    /// One that promised so many places is believed to be able to feed half as many.
    pub(super) fn halve(&mut self, promised: usize) {
        self.believed = (self.believed.min(promised) / 2).max(1);
    }

    /// A child has been fed by one that promised so many places for long enough, so it may be able to feed one more.
    pub(super) fn kept(&mut self, promised: usize) {
        self.left_by.clear();
        if self.believed < promised {
            self.believed += 1;
        }
    }

    /// It sends children away and keeps so many: it is believed to be able to feed no more, at least one.
    pub(super) fn gave_back(&mut self, kept: usize) {
        self.believed = self.believed.min(kept).max(1);
    }

    /// It is spared for either; says for how long.
    pub(super) fn spare(&mut self, config: &HubConfig) -> Duration {
        self.spared += 1;
        doubled(config.link_retry, self.spared - 1)
    }
}

/// Whether there are too many now; then they are counted anew.
fn fills_up<T: Ord>(those: &mut BTreeSet<T>, one: T, config: &HubConfig) -> bool {
    those.insert(one);
    let are_too_many = those.len() >= config.link_tries as usize;
    if are_too_many {
        those.clear();
    }
    are_too_many
}

fn doubled(first: Duration, times: u32) -> Duration {
    first.saturating_mul(1 << times.min(DOUBLINGS_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_that_failed_is_refused_for_a_while() {
        let (config, now, parent) = (HubConfig::default(), Time(0), PeerId(1));
        let mut record = Record::new(&config);
        record.refuse(now, parent, &config);
        let until = now + config.parent_refused;
        assert_eq!(record.next_retry(now), Some(until));
        assert!(record.refuses(now, parent) && !record.refuses(now, PeerId(2)));
        assert!(!record.refuses(until, parent));
        assert_eq!(record.next_retry(until), None);
    }

    #[test]
    fn after_three_failures_in_a_row_it_stays_with_the_server_for_twice_as_long_each_time() {
        let config = HubConfig::default();
        let mut record = Record::new(&config);
        let mut seconds = Vec::new();
        for _ in 0..10 {
            record.link_failed();
            seconds.push(record.retreat(&config).map(|wait| wait.as_secs()));
        }
        let waits = [30, 60, 120, 240, 480, 960, 960, 960].map(Some);
        assert_eq!(seconds, [vec![None, None], waits.into()].concat());
        record.link_lasted();
        assert_eq!(record.retreat(&config), None);
    }

    #[test]
    fn three_who_have_left_count_if_they_are_three() {
        let config = HubConfig::default();
        let mut record = Record::new(&config);
        let left = |record: &mut Record, by| record.left(Origin::Peer(PeerId(by)), &config);
        assert_eq!([1, 1, 2, 3].map(|by| left(&mut record, by)), [false, false, false, true]);
        assert_eq!([4, 5].map(|by| left(&mut record, by)), [false, false]);
        record.kept(8);
        assert!(!left(&mut record, 6), "they are counted anew");
    }

    #[test]
    fn it_is_believed_to_feed_one_more_with_each_child_that_stays_up_to_what_it_promised() {
        let mut record = Record::new(&HubConfig::default());
        (0..10).for_each(|_| record.kept(12));
        assert_eq!(record.believed, 12);
        let halves = [(); 5].map(|()| {
            record.halve(10);
            record.believed
        });
        assert_eq!(halves, [5, 2, 1, 1, 1]);
        record.gave_back(0);
        assert_eq!(record.believed, 1);
    }

    #[test]
    fn one_whom_three_different_children_cannot_reach_is_spared_for_twice_as_long_each_time() {
        let config = HubConfig::default();
        let mut record = Record::new(&config);
        let mut children = [1, 1, 2, 1, 3, 4, 5, 6].map(PeerId).into_iter();
        let mut spared = |record: &mut Record, count: usize| {
            let waits = children
                .by_ref()
                .take(count)
                .map(|child| record.unreached(child, &config).then(|| record.spare(&config).as_secs()));
            waits.collect::<Vec<_>>()
        };
        assert_eq!(spared(&mut record, 5), [None, None, None, None, Some(30)]);
        assert_eq!(spared(&mut record, 3), [None, None, Some(60)]);
        record.unreached(PeerId(7), &config);
        record.reached();
        assert_eq!([8, 9].map(|child| record.unreached(PeerId(child), &config)), [false, false]);
    }
}
