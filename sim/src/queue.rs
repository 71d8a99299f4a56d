//! What is going to happen, in order: by time, and what was planned first comes first.
//!
//! Only what happens within the present slot of time is kept in order; what comes later waits in the slot of its time.
//! Millions of plans cost as little as hundreds.

use std::{
    cmp::{Ordering, Reverse},
    collections::{BTreeMap, BinaryHeap},
};

use tiercast_mesh::Time;

/// A slot of time: a millisecond or so.
const SLOT_US: u64 = 1_024;

/// Things that are planned.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    /// What is planned up to the end of the present slot.
    present: BinaryHeap<Reverse<Planned<T>>>,
    slot: u64,
    later: BTreeMap<u64, Vec<Reverse<Planned<T>>>>,
    count: u64,
}

#[derive(Debug)]
struct Planned<T> {
    at: Time,
    number: u64,
    what: T,
}

impl<T> Queue<T> {
    pub(crate) fn new() -> Self {
        Self { present: BinaryHeap::new(), slot: 0, later: BTreeMap::new(), count: 0 }
    }

    pub(crate) fn plan(&mut self, at: Time, what: T) {
        self.count += 1;
        let planned = Reverse(Planned { at, number: self.count, what });
        let slot = at.0 / SLOT_US;
        if slot <= self.slot {
            self.present.push(planned);
        } else {
            self.later.entry(slot).or_default().push(planned);
        }
    }

    /// When the next thing happens.
    pub(crate) fn next(&mut self) -> Option<Time> {
        self.turn();
        self.present.peek().map(|Reverse(planned)| planned.at)
    }

    pub(crate) fn pop(&mut self) -> Option<(Time, T)> {
        self.turn();
        self.present.pop().map(|Reverse(Planned { at, what, .. })| (at, what))
    }

    /// Begins the next slot if nothing is left of the present one.
    fn turn(&mut self) {
        if self.present.is_empty()
            && let Some((slot, planned)) = self.later.pop_first()
        {
            self.slot = slot;
            self.present = planned.into();
        }
    }
}

impl<T> Planned<T> {
    fn key(&self) -> (Time, u64) {
        (self.at, self.number)
    }
}

impl<T> Ord for Planned<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl<T> PartialOrd for Planned<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Planned<T> {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl<T> Eq for Planned<T> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_much_later_or_is_planned_for_what_is_past_keeps_its_place() {
        let mut queue = Queue::new();
        for at in [9_000_000, 4_000, 3_999, 70_000, 0] {
            queue.plan(Time(at), at);
        }
        assert_eq!(queue.pop(), Some((Time(0), 0)));
        assert_eq!(queue.next(), Some(Time(3_999)));
        queue.plan(Time(1_000), 1_000);
        queue.plan(Time(69_999), 69_999);
        let order: Vec<_> = std::iter::from_fn(|| queue.pop()).map(|(_, what)| what).collect();
        assert_eq!(order, [1_000, 3_999, 4_000, 69_999, 70_000, 9_000_000]);
    }

    #[test]
    fn what_is_due_first_comes_first_and_else_what_was_planned_first() {
        let mut queue = Queue::new();
        for (at, what) in [(5, 'c'), (3, 'a'), (5, 'd'), (4, 'b')] {
            queue.plan(Time(at), what);
        }
        let order: Vec<_> = std::iter::from_fn(|| queue.pop()).map(|(_, what)| what).collect();
        assert_eq!(order, ['a', 'b', 'c', 'd']);
    }
}
