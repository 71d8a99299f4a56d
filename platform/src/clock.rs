//! A driver's clock: the wall clock at the start, carried on by the monotonic one.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tiercast_mesh::Time;
use tokio::time::Instant;

/// Tells the core's time. It never goes back, whatever happens to the wall clock.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    started_at: Time,
    started: Instant,
}

impl Clock {
    /// A clock that is right now.
    pub fn start() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { started_at: Time(since_epoch.as_micros() as u64), started: Instant::now() }
    }

    /// The time now.
    pub fn now(&self) -> Time {
        self.started_at + self.started.elapsed()
    }

    /// The instant at which the clock shows `time`. A timer that is set to it is never early.
    pub fn instant(&self, time: Time) -> Instant {
        self.started + time.since(self.started_at) + Duration::from_micros(1)
    }

    /// How long it has run.
    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }
}
