//! A parent as its child sees it: how far it has shown to be, and whether it sends or stands by.

use std::time::Duration;

use tiercast_codec::Position;

use crate::Time;

/// A parent is given up where it leaves more than one hole in so many frames: a bad line, or one that replaces what it
/// should pass on.
const FRAMES_PER_HOLE: u32 = 7;

/// And where that has lasted for so many holes more than that: chance makes no such series on a line that is worth
/// having.
const HOLES_BORNE: u32 = 10;

/// An answer that takes longer was not on its way for so long: the parent or we were busy, or it wants to be waited for.
const ROUND_TRIP_MAX: Duration = Duration::from_secs(1);

/// One who feeds us, or could.
#[derive(Debug)]
pub(super) struct Feeder {
    /// It may take over once it has shown that it has this, and we have it as well.
    goal: Position,
    /// How far it has shown to be.
    pub(super) shown: Position,
    /// What it last said by `have`.
    pub(super) said: Option<Position>,
    /// Whether it was told to send no frames.
    pub(super) is_held: bool,
    /// How long it took to answer `join`, a second at most.
    pub(super) round_trip: Duration,
    /// Bytes of frames that came since it was last told how far we are.
    pub(super) unsaid_bytes: usize,
    /// How many times in a row it has not brought what it had shown.
    pub(super) broken_promises: u32,
    /// How far the holes that it left outweigh the frames that it brought.
    losses: u32,
    /// What it lacked, and since when.
    lacks: Option<(Position, Time)>,
}

impl Feeder {
    /// One that is at `position`, where we have `ours`.
    pub(super) fn new(position: Position, ours: Position, is_held: bool, round_trip: Duration) -> Self {
        let goal = position.max(ours);
        Self {
            goal,
            shown: position,
            said: None,
            is_held,
            round_trip: round_trip.min(ROUND_TRIP_MAX),
            unsaid_bytes: 0,
            broken_promises: 0,
            losses: 0,
            lacks: None,
        }
    }

    /// It says by `have` that it is this far.
    pub(super) fn says(&mut self, position: Position) {
        self.said = Some(position);
        self.shows(position);
    }

    /// It has shown that it is this far.
    pub(super) fn shows(&mut self, position: Position) {
        self.shown = self.shown.max(position);
    }

    /// Whether it can feed one who has `ours`.
    pub(super) fn has_caught_up(&self, ours: Position) -> bool {
        self.shown.min(ours) >= self.goal
    }

    /// It has brought a frame that nobody else had brought.
    pub(super) fn brings(&mut self) {
        self.losses = self.losses.saturating_sub(1);
    }

    /// It has left a hole. True if that happens too often.
    pub(super) fn leaves_hole(&mut self) -> bool {
        self.losses += FRAMES_PER_HOLE;
        self.losses >= HOLES_BORNE * FRAMES_PER_HOLE
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
    fn one_that_takes_its_time_to_answer_is_waited_for_as_if_it_were_a_second_away() {
        let away = |seconds| Feeder::new(at(0), at(0), false, Duration::from_secs(seconds)).round_trip;
        assert_eq!([0, 1, 9].map(away), [0, 1, 1].map(Duration::from_secs));
    }

    /// After how many frames one is given up that loses the last of each `every`.
    fn is_given_up_after(every: u32) -> Option<u32> {
        let mut feeder = Feeder::new(at(0), at(0), false, Duration::ZERO);
        (1..10_000).find(|frame| {
            // What is lost comes later.
            feeder.brings();
            frame % every == 0 && feeder.leaves_hole()
        })
    }

    #[test]
    fn one_that_leaves_too_many_holes_is_given_up() {
        assert_eq!(is_given_up_after(3), Some(51));
        assert_eq!(is_given_up_after(7), None);
    }

    /// After how many frames one is given up on a line that loses so many of a thousand, each by chance.
    fn chance_ends_after(lost_per_mille: u64) -> Option<u32> {
        let mut feeder = Feeder::new(at(0), at(0), false, Duration::ZERO);
        let (mut state, mut was_lost) = (1_u64, false);
        (1..1_000_000).find(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let is_lost = (state >> 33) % 1_000 < lost_per_mille;
            // Two that are lost in a row are one hole.
            let begins = is_lost && !was_lost;
            was_lost = is_lost;
            feeder.brings();
            begins && feeder.leaves_hole()
        })
    }

    #[test]
    fn chance_does_not_end_a_line_that_is_worth_having() {
        let ends = [330, 200, 150, 100, 50].map(chance_ends_after);
        println!("of 1,000 frames 330, 200, 150, 100, 50 are lost: given up after {ends:?}");
        assert!(ends[0].is_some_and(|frames| frames < 1_000));
        assert_eq!(ends[4], None);
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
