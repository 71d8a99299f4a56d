//! A server that is about to stop lets its sessions and readers go one after the other, so that those who take them in are not
//! overrun.

use std::time::Duration;

use tiercast_mesh::Time;

/// How often some are let go.
const STEP: Duration = Duration::from_millis(20);

/// Letting go, within a time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Drain {
    until: Time,
    length: Duration,
    /// How many there were when it began.
    sessions: usize,
    readers: usize,
}

impl Drain {
    pub(super) fn new(now: Time, length: Duration, sessions: usize, readers: usize) -> Self {
        Self { until: now + length, length, sessions, readers }
    }

    /// How many sessions and how many readers may still be there.
    pub(super) fn may_stay(&self, now: Time) -> (usize, usize) {
        let share = self.left(now).as_secs_f64() / self.length.as_secs_f64().max(f64::MIN_POSITIVE);
        let of = |total: usize| (total as f64 * share) as usize;
        (of(self.sessions), of(self.readers))
    }

    /// For how long the server will still be there.
    pub(super) fn left(&self, now: Time) -> Duration {
        self.until.since(now)
    }

    /// When to look again.
    pub(super) fn due(&self, now: Time) -> Time {
        (now + STEP).min(self.until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_go_evenly_and_all_of_them_in_the_end() {
        let begin = Time(1_000_000);
        let drain = Drain::new(begin, Duration::from_secs(10), 100, 1_000);
        let after = |seconds: u64| drain.may_stay(begin + Duration::from_secs(seconds));
        let each = [(100, 1_000), (90, 900), (50, 500), (10, 100), (0, 0), (0, 0)];
        assert_eq!([0, 1, 5, 9, 10, 20].map(after), each);
        assert_eq!(Drain::new(begin, Duration::ZERO, 100, 100).may_stay(begin), (0, 0));
    }
}
