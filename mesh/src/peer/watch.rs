//! Whether who feeds a subscription does so: when something came last, and who says that there is more.

use std::time::Duration;

use tiercast_codec::Position;

use crate::Time;

/// A standby that is ahead for this long is the faster one, and not by chance of a packet. Unvalidated.
const AHEAD: Duration = Duration::from_millis(50);

/// If it is so this many times in a row, the two are exchanged. Unvalidated.
const AHEAD_TIMES: u32 = 4;

/// But not sooner than this after they last were.
const EXCHANGE_EVERY: Duration = Duration::from_secs(3);

/// What a subscription knows of how the channel moves on.
#[derive(Debug)]
pub(super) struct Watch {
    /// When a parent last brought a frame or a fresh head.
    progress: Time,
    /// How long that takes on average.
    pause: Duration,
    /// Somebody is ahead of us.
    lead: Option<Lead>,
    usual: Usual,
    /// How many times in a row the standby was ahead for longer than a loss-free way accounts for.
    ahead: u32,
    /// When parent and standby were last swapped.
    swapped: Time,
}

/// Somebody has more than we have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lead {
    /// What they have.
    pub(super) goal: Position,
    /// Since when we know.
    since: Time,
    /// When it is more than what is still on its way.
    pub(super) due: Time,
    /// Whether somebody else was asked for it already.
    pub(super) is_second: bool,
}

/// How long it usually takes until we have what a standby has: a smoothed mean and deviation, as TCP keeps of its round
/// trips.
#[derive(Debug, Default)]
struct Usual {
    mean: Option<Duration>,
    deviation: Duration,
}

impl Watch {
    pub(super) fn new(now: Time) -> Self {
        Self {
            progress: now,
            pause: Duration::ZERO,
            lead: None,
            usual: Usual::default(),
            ahead: 0,
            swapped: now,
        }
    }

    /// A parent has brought a frame or a fresh head.
    pub(super) fn progressed(&mut self, now: Time) {
        self.pause = (self.pause * 7 + now.since(self.progress)) / 8;
        self.progress = now;
    }

    /// When a parent that brings nothing until then is asked about: after many times what is usual, but not before the
    /// server would say a head, and not much later.
    pub(super) fn silent_at(&self, head_interval: Duration) -> Time {
        self.progress + (self.pause * 10).clamp(head_interval, head_interval * 5 / 2)
    }

    /// Somebody has more than we have; gives when to see whether it has come. The earliest of such times counts.
    pub(super) fn leads(&mut self, now: Time, goal: Position, due: Time) -> Time {
        let new = Lead { goal, since: now, due, is_second: false };
        let lead = self.lead.get_or_insert(new);
        if due < lead.due {
            *lead = Lead { since: lead.since, ..new };
        }
        lead.due
    }

    /// Somebody else was asked for what is missing. If more is known to be, that is still so.
    pub(super) fn asked_for(&mut self, now: Time, goal: Position, due: Time) {
        let goal = self.lead.map_or(goal, |lead| lead.goal.max(goal));
        self.lead = Some(Lead { goal, since: now, due, is_second: true });
    }

    /// We are this far. True if that is what somebody else had.
    pub(super) fn reached(&mut self, now: Time, position: Position) -> bool {
        let Some(lead) = self.lead.take_if(|lead| lead.goal <= position) else { return false };
        if !lead.is_second {
            self.learn(now.since(lead.since));
        }
        true
    }

    /// The standby was ahead for so long; not at all, if that is nothing.
    pub(super) fn learn(&mut self, ahead: Duration) {
        self.usual.learn(ahead);
        self.ahead = if ahead >= AHEAD { self.ahead + 1 } else { 0 };
    }

    /// Whether the standby is the better parent, by what it has shown again and again.
    pub(super) fn should_exchange(&self, now: Time) -> bool {
        self.ahead >= AHEAD_TIMES && now.since(self.swapped) >= EXCHANGE_EVERY
    }

    /// Parent and standby have been swapped.
    pub(super) fn swapped(&mut self, now: Time) {
        (self.progress, self.swapped, self.ahead, self.usual) = (now, now, 0, Usual::default());
    }

    /// The time has come to see: what is missing, if it is.
    pub(super) fn overdue(&mut self, now: Time) -> Option<Lead> {
        self.lead.take_if(|lead| lead.due <= now)
    }

    /// For how long a standby may be ahead of us, at least `least`.
    pub(super) fn patience(&self, least: Duration, most: Duration) -> Duration {
        self.usual.bound().unwrap_or(most / 2).clamp(least, most)
    }
}

impl Usual {
    fn learn(&mut self, sample: Duration) {
        let Some(mean) = self.mean else {
            (self.mean, self.deviation) = (Some(sample), sample / 2);
            return;
        };
        self.deviation = (self.deviation * 3 + mean.abs_diff(sample)) / 4;
        self.mean = Some((mean * 7 + sample) / 8);
    }

    fn bound(&self) -> Option<Duration> {
        self.mean.map(|mean| mean + 4 * self.deviation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: Duration = Duration::from_millis(60);
    const MOST: Duration = Duration::from_millis(600);

    fn at(offset: i64) -> Position {
        Position::new(7, offset)
    }

    #[test]
    fn patience_follows_what_is_usual_within_its_bounds() {
        let mut watch = Watch::new(Time(0));
        assert_eq!(watch.patience(LEAST, MOST), MOST / 2, "nothing is known yet");
        let mut now = Time(0);
        for offset in 0..50 {
            watch.leads(now, at(offset), now + MOST);
            now = now + Duration::from_millis(100);
            assert!(watch.reached(now, at(offset)));
        }
        assert_eq!(watch.patience(LEAST, MOST).as_millis(), 100, "always 100 ms");
        for offset in 50..100 {
            watch.leads(now, at(offset), now + MOST);
            watch.reached(now, at(offset));
        }
        assert_eq!(watch.patience(LEAST, MOST), LEAST, "always at once");
    }

    #[test]
    fn parent_and_standby_are_exchanged_when_one_is_ahead_again_and_again_and_not_soon_once_more() {
        let mut watch = Watch::new(Time(0));
        let is_ahead_four_times = |watch: &mut Watch, now| {
            assert!(!watch.should_exchange(now));
            (0..4).for_each(|_| watch.learn(AHEAD));
            watch.should_exchange(now)
        };
        let first = Time(0) + EXCHANGE_EVERY;
        assert!(is_ahead_four_times(&mut watch, first));
        watch.swapped(first);
        assert!(!is_ahead_four_times(&mut watch, first + EXCHANGE_EVERY / 2));
        assert!(watch.should_exchange(first + EXCHANGE_EVERY));
    }

    #[test]
    fn the_earliest_time_counts_until_it_is_reached() {
        let mut watch = Watch::new(Time(0));
        assert_eq!(watch.leads(Time(0), at(5), Time(100)), Time(100));
        assert_eq!(watch.leads(Time(10), at(9), Time(200)), Time(100));
        assert_eq!(watch.leads(Time(20), at(7), Time(80)), Time(80));
        assert_eq!(watch.overdue(Time(79)), None);
        assert_eq!(watch.overdue(Time(80)).map(|lead| lead.goal), Some(at(7)));
        watch.asked_for(Time(80), at(7), Time(180));
        assert!(!watch.reached(Time(90), at(6)) && watch.reached(Time(90), at(7)));
        assert_eq!(watch.overdue(Time(300)), None);
    }

    #[test]
    fn regression_what_is_known_to_be_missing_is_not_forgotten_when_somebody_is_asked_who_has_less() {
        let mut watch = Watch::new(Time(0));
        watch.leads(Time(0), at(9), Time(100));
        watch.asked_for(Time(50), at(7), Time(150));
        assert!(!watch.reached(Time(60), at(7)) && watch.reached(Time(60), at(9)));
    }
}
