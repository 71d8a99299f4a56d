//! The line on which a node receives.

use std::{collections::BTreeMap, time::Duration};

use tiercast_mesh::Time;

/// What waits longer before a line than this is dropped, if it may be.
const PATIENCE: Duration = Duration::from_millis(500);

/// The line's time is given away in slots of so many microseconds.
const SLOT: u64 = 10_000;

/// A line. Messages are put on it as they are sent, which is not the order in which they arrive: each takes what is free
/// from its arrival on.
#[derive(Debug, Default)]
pub(crate) struct Downlink {
    /// Microseconds taken of each slot.
    taken: BTreeMap<u64, u64>,
}

impl Downlink {
    /// When a message is through that reaches the line at `at` and keeps it busy for so long; `None`: it is dropped.
    pub(crate) fn pass(&mut self, now: Time, at: Time, busy: Duration, may_be_lost: bool) -> Option<Time> {
        self.forget_before(now.0 / SLOT);
        let busy = busy.as_micros() as u64;
        let mut slot = at.0 / SLOT;
        while self.taken.get(&slot).is_some_and(|taken| *taken >= SLOT) {
            slot += 1;
        }
        if may_be_lost && Time(slot * SLOT).since(at) > PATIENCE {
            return None;
        }
        Some(Time(self.take(slot, busy).max(at.0 + busy)))
    }

    /// Takes so much of what is free from a slot on; says when that ends.
    fn take(&mut self, mut slot: u64, mut left: u64) -> u64 {
        loop {
            let taken = self.taken.entry(slot).or_default();
            let part = left.min(SLOT - *taken);
            *taken += part;
            left -= part;
            if left == 0 {
                return slot * SLOT + *taken;
            }
            slot += 1;
        }
    }

    fn forget_before(&mut self, slot: u64) {
        while self.taken.first_key_value().is_some_and(|(first, _)| *first < slot) {
            self.taken.pop_first();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time(1_000_000);

    fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn one_waits_for_another_and_not_for_one_that_comes_later() {
        let mut line = Downlink::default();
        let mut pass = |after, busy| line.pass(NOW, NOW + ms(after), ms(busy), false).map(|at| at.since(NOW));
        assert_eq!(pass(0, 50), Some(ms(50)));
        assert_eq!(pass(0, 50), Some(ms(100)));
        assert_eq!(pass(1_000, 10), Some(ms(1_010)), "sent now, comes late");
        assert_eq!(pass(200, 10), Some(ms(210)), "sent after it, comes before it");
    }

    #[test]
    fn a_line_carries_no_more_than_it_can_and_drops_what_would_wait_for_long() {
        let mut line = Downlink::default();
        let mut last = NOW;
        for _ in 0..1_000 {
            last = last.max(line.pass(NOW, NOW, Duration::from_micros(700), false).unwrap());
        }
        assert_eq!(last.since(NOW), ms(700));
        assert_eq!(line.pass(NOW, NOW, ms(1), true), None);
        assert!(line.pass(NOW, NOW + ms(250), ms(1), true).is_some());
    }

    #[test]
    fn the_past_takes_no_memory() {
        let mut line = Downlink::default();
        for second in 0..100 {
            let now = NOW + ms(1_000 * second);
            line.pass(now, now, ms(1), false);
        }
        assert_eq!(line.taken.len(), 1);
    }
}
