//! How long to wait before the next attempt: exponential backoff with full jitter.

use std::time::Duration;

use backoff::{SystemClock, backoff::Backoff, exponential::ExponentialBackoff};

/// The longest that the first delay can be (protocol page, "Session").
pub const FIRST_CEILING: Duration = Duration::from_millis(500);

/// The longest that any delay can be (protocol page, "Session").
pub const CEILING: Duration = Duration::from_secs(20);

/// What has worked for this long starts again from the first ceiling when it fails (protocol page, "Session").
pub const STABLE: Duration = Duration::from_secs(60);

/// Gives the delays between attempts: each uniform between zero and a ceiling that doubles up to [`CEILING`].
#[derive(Debug)]
pub struct Reconnect {
    backoff: ExponentialBackoff<SystemClock>,
}

impl Reconnect {
    /// Starts from the first ceiling.
    pub fn new() -> Self {
        // The crate draws from `interval ± factor * interval`: with a factor of 1 and half the ceiling as the
        // interval that is full jitter.
        let first = FIRST_CEILING / 2;
        let backoff = ExponentialBackoff {
            current_interval: first,
            initial_interval: first,
            randomization_factor: 1.0,
            multiplier: 2.0,
            max_interval: CEILING / 2,
            max_elapsed_time: None,
            ..Default::default()
        };
        Self { backoff }
    }

    /// The time to wait before the next attempt.
    pub fn next_delay(&mut self) -> Duration {
        self.backoff.next_backoff().map_or(CEILING, |delay| delay.min(CEILING))
    }

    /// Starts again from the first ceiling. For callers whose last attempt held for [`STABLE`].
    pub fn reset(&mut self) {
        self.backoff.reset();
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

    fn delays(count: usize) -> Vec<Duration> {
        let mut reconnect = Reconnect::new();
        (0..count).map(|_| reconnect.next_delay()).collect()
    }

    #[test]
    fn delays_stay_below_a_ceiling_that_doubles_up_to_the_cap() {
        for _ in 0..200 {
            let mut ceiling = FIRST_CEILING;
            for delay in delays(12) {
                assert!(delay <= ceiling + Duration::from_millis(1), "{delay:?} above {ceiling:?}");
                ceiling = (ceiling * 2).min(CEILING);
            }
        }
    }

    #[test]
    fn jitter_reaches_from_near_zero_to_near_the_ceiling() {
        let firsts: Vec<_> = (0..500).map(|_| Reconnect::new().next_delay()).collect();
        assert!(firsts.iter().any(|delay| *delay < FIRST_CEILING / 10));
        assert!(firsts.iter().any(|delay| *delay > FIRST_CEILING * 9 / 10));
    }

    #[test]
    fn a_reset_starts_from_the_first_ceiling() {
        let mut reconnect = Reconnect::new();
        for _ in 0..20 {
            reconnect.next_delay();
        }
        reconnect.reset();
        assert!(reconnect.next_delay() <= FIRST_CEILING + Duration::from_millis(1));
    }
}
