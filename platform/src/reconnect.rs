//! How long to wait before the next attempt: exponential backoff with full jitter.

use std::time::Duration;

use backoff::{SystemClock, backoff::Backoff, exponential::ExponentialBackoff};

/// The longest that the first delay can be (protocol page, "Reconnecting").
const FIRST_CEILING: Duration = Duration::from_millis(500);

/// The longest that any delay can be (protocol page, "Reconnecting").
const CEILING: Duration = Duration::from_secs(20);

/// What has worked for this long starts again from the first ceiling when it fails. As long as the longest delay:
/// whoever fails each time just after this comes back no more often than one who waits that long each time.
const STABLE: Duration = CEILING;

/// Gives the delays between attempts: each uniform between zero and a ceiling that doubles, up to 20 s if nothing
/// else is said.
#[derive(Debug)]
pub struct Reconnect {
    backoff: ExponentialBackoff<SystemClock>,
    ceiling: Duration,
}

impl Reconnect {
    /// Starts from the first ceiling.
    pub fn new() -> Self {
        Self::up_to(CEILING)
    }

    /// Starts from the first ceiling, and goes up to this one.
    pub fn up_to(ceiling: Duration) -> Self {
        // The crate draws from `interval ± factor * interval`: with a factor of 1 and half the ceiling as the
        // interval that is full jitter.
        let first = FIRST_CEILING / 2;
        let backoff = ExponentialBackoff {
            current_interval: first,
            initial_interval: first,
            randomization_factor: 1.0,
            multiplier: 2.0,
            max_interval: ceiling / 2,
            max_elapsed_time: None,
            ..Default::default()
        };
        Self { backoff, ceiling }
    }

    /// The time to wait before the next attempt. `lasted`: how long the one before has worked.
    pub fn next_delay(&mut self, lasted: Duration) -> Duration {
        if lasted >= STABLE {
            self.backoff.reset();
        }
        self.backoff.next_backoff().map_or(self.ceiling, |delay| delay.min(self.ceiling))
    }
}

impl Default for Reconnect {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rounding apart, no delay is longer than its ceiling.
    const ROUNDING: Duration = Duration::from_millis(1);

    /// The delays of one whose attempts work for so long each.
    fn delays(count: usize, lasted: Duration) -> Vec<Duration> {
        let mut reconnect = Reconnect::new();
        (0..count).map(|_| reconnect.next_delay(lasted)).collect()
    }

    #[test]
    fn delays_stay_below_a_ceiling_that_doubles_up_to_the_cap() {
        for _ in 0..200 {
            let mut ceiling = FIRST_CEILING;
            for delay in delays(12, STABLE - ROUNDING) {
                assert!(delay <= ceiling + ROUNDING, "{delay:?} above {ceiling:?}");
                ceiling = (ceiling * 2).min(CEILING);
            }
        }
    }

    #[test]
    fn jitter_reaches_from_near_zero_to_near_the_ceiling() {
        let firsts: Vec<_> = (0..500).flat_map(|_| delays(1, Duration::ZERO)).collect();
        assert!(firsts.iter().any(|delay| *delay < FIRST_CEILING / 10));
        assert!(firsts.iter().any(|delay| *delay > FIRST_CEILING * 9 / 10));
    }

    #[test]
    fn regression_one_that_is_cut_every_half_minute_waits_no_longer_than_the_first_time() {
        let longest = delays(200, Duration::from_secs(30)).into_iter().max();
        assert!(longest <= Some(FIRST_CEILING + ROUNDING), "{longest:?}");
    }

    #[test]
    fn one_that_is_cut_as_soon_as_it_may_comes_back_no_more_often_than_the_longest_delay_allows() {
        assert!(delays(200, STABLE).into_iter().all(|delay| STABLE + delay >= CEILING));
    }
}
