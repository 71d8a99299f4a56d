//! What is going to happen, in order: by time, and what was planned first comes first.

use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
};

use tiercast_mesh::Time;

/// Things that are planned.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    planned: BinaryHeap<Reverse<Planned<T>>>,
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
        Self { planned: BinaryHeap::new(), count: 0 }
    }

    pub(crate) fn plan(&mut self, at: Time, what: T) {
        self.count += 1;
        self.planned.push(Reverse(Planned { at, number: self.count, what }));
    }

    /// When the next thing happens.
    pub(crate) fn next(&self) -> Option<Time> {
        self.planned.peek().map(|Reverse(planned)| planned.at)
    }

    pub(crate) fn pop(&mut self) -> Option<(Time, T)> {
        self.planned.pop().map(|Reverse(Planned { at, what, .. })| (at, what))
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
    fn what_is_due_first_comes_first_and_else_what_was_planned_first() {
        let mut queue = Queue::new();
        for (at, what) in [(5, 'c'), (3, 'a'), (5, 'd'), (4, 'b')] {
            queue.plan(Time(at), what);
        }
        let order: Vec<_> = std::iter::from_fn(|| queue.pop()).map(|(_, what)| what).collect();
        assert_eq!(order, ['a', 'b', 'c', 'd']);
    }
}
