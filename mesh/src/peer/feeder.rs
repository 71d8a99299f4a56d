//! A parent as its child sees it: how far it has shown to be, and whether it sends or stands by.

use std::time::Duration;

use tiercast_codec::Position;

use crate::Time;

/// One who feeds us, or could.
#[derive(Debug)]
pub(super) struct Feeder {
    /// It may take over once it has shown that it has this, and we have it as well.
    goal: Position,
    /// How far it has shown to be.
    pub(super) shown: Position,
    /// Whether it was told to send no frames.
    pub(super) is_held: bool,
    /// How long it took to answer `join`.
    pub(super) round_trip: Duration,
    /// Bytes of frames that came since it was last told how far we are.
    pub(super) unsaid_bytes: usize,
    /// How many times in a row it has not brought what it had shown.
    pub(super) broken_promises: u32,
    /// What it lacked, and since when.
    lacks: Option<(Position, Time)>,
}

impl Feeder {
    /// One that is at `position`, where we have `ours`.
    pub(super) fn new(position: Position, ours: Position, is_held: bool, round_trip: Duration) -> Self {
        let goal = position.max(ours);
        Self { goal, shown: position, is_held, round_trip, unsaid_bytes: 0, broken_promises: 0, lacks: None }
    }

    /// It has shown that it is this far.
    pub(super) fn shows(&mut self, position: Position) {
        self.shown = self.shown.max(position);
    }

    /// Whether it can feed one who has `ours`.
    pub(super) fn has_caught_up(&self, ours: Position) -> bool {
        self.shown.min(ours) >= self.goal
    }

    /// For how long it has lacked what we, who are at `ours` now, had then. To be asked again and again.
    pub(super) fn lacks_for(&mut self, now: Time, ours: Position) -> Duration {
        self.lacks = match self.lacks {
            Some((lacked, since)) if self.shown < lacked => Some((lacked, since)),
            _ => (self.shown < ours).then_some((ours, now)),
        };
        self.lacks.map_or(Duration::ZERO, |(_, since)| now.since(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(offset: i64) -> Position {
        Position::new(7, offset)
    }

    #[test]
    fn a_parent_takes_over_when_it_has_shown_to_have_what_we_had_and_what_it_had() {
        let mut ahead = Feeder::new(at(9), at(4), false, Duration::ZERO);
        assert!(!ahead.has_caught_up(at(8)) && ahead.has_caught_up(at(9)));
        ahead.shows(at(12));
        assert!(ahead.has_caught_up(at(9)));
        let mut behind = Feeder::new(at(4), at(9), false, Duration::ZERO);
        behind.shows(at(8));
        assert!(!behind.has_caught_up(at(20)));
        behind.shows(at(9));
        assert!(behind.has_caught_up(at(20)));
    }

    #[test]
    fn one_that_moves_on_lacks_nothing_for_long_and_one_that_stands_still_does() {
        let second = |seconds: u64| Time(seconds * 1_000_000);
        let mut feeder = Feeder::new(at(0), at(0), true, Duration::ZERO);
        for now in 1..10 {
            assert!(feeder.lacks_for(second(now), at(now as i64 * 10)) <= Duration::from_secs(1));
            feeder.shows(at(now as i64 * 10 - 1));
            feeder.shows(at(now as i64 * 10));
        }
        assert_eq!(feeder.lacks_for(second(10), at(100)), Duration::ZERO);
        assert_eq!(feeder.lacks_for(second(14), at(140)), Duration::from_secs(4));
        feeder.shows(at(100));
        assert_eq!(feeder.lacks_for(second(15), at(150)), Duration::ZERO);
    }
}
