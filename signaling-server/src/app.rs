//! What all who answer requests share.

use std::{sync::Arc, time::Duration};

use tiercast_platform::Clock;
use tokio::{sync::watch, time::Instant};

use crate::{access::Access, config::Config, driver::Handle, sheets::Sheets, source::amqp::AmqpStats};

/// The longest that anybody is told to wait.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3_600);

/// What the handlers need.
pub(crate) struct App {
    pub(crate) handle: Handle,
    pub(crate) config: Arc<Config>,
    pub(crate) access: Access,
    pub(crate) clock: Clock,
    pub(crate) amqp: Option<Arc<AmqpStats>>,
    pub(crate) sheets: Arc<Sheets>,
    pub(crate) stopping: watch::Receiver<bool>,
    /// Until when clients are let go one after the other, and nobody new is let in. Known before `stopping` turns true.
    pub(crate) draining_until: watch::Receiver<Option<Instant>>,
}

impl App {
    /// Whether nobody new is let in.
    pub(crate) fn is_leaving(&self) -> bool {
        *self.stopping.borrow() || self.draining_until.borrow().is_some()
    }

    /// How long a plain client is to wait before it comes back: another time for each, so that they do not come all at once,
    /// and not before a server that lets its clients go has stopped.
    pub(crate) fn retry_after(&self) -> Duration {
        let left = self.draining_until.borrow().map(|until| until.saturating_duration_since(Instant::now()));
        let apart = self.config.limits.reader_retry.mul_f64(rand::random_range(0.5..1.5));
        (left.unwrap_or_default() + apart).min(RETRY_AFTER_MAX)
    }
}
