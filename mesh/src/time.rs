//! Time as the core knows it: a number that its driver hands in.

use std::{
    ops::{Add, Sub},
    time::Duration,
};

/// Microseconds since the Unix epoch, never going back. Drivers make it from a monotonic clock that they
/// set once; tests and simulations from a counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(pub u64);

impl Time {
    /// Time passed since `earlier`; zero if that is later.
    pub fn since(self, earlier: Time) -> Duration {
        self - earlier
    }
}

impl Add<Duration> for Time {
    type Output = Time;

    fn add(self, duration: Duration) -> Time {
        Time(self.0.saturating_add(duration.as_micros() as u64))
    }
}

impl Sub for Time {
    type Output = Duration;

    fn sub(self, earlier: Time) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}
