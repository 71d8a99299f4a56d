//! What all who answer requests share.

use std::sync::Arc;

use tiercast_platform::Clock;
use tokio::sync::watch;

use crate::{access::Access, config::Config, driver::Handle, sheets::Sheets, source::amqp::AmqpStats};

/// What the handlers need.
pub(crate) struct App {
    pub(crate) handle: Handle,
    pub(crate) config: Arc<Config>,
    pub(crate) access: Access,
    pub(crate) clock: Clock,
    pub(crate) amqp: Option<Arc<AmqpStats>>,
    pub(crate) sheets: Arc<Sheets>,
    pub(crate) stopping: watch::Receiver<bool>,
    /// Turns true when nobody new is let in any more, before `stopping` does.
    pub(crate) draining: watch::Receiver<bool>,
}

impl App {
    /// Whether nobody new is let in.
    pub(crate) fn is_leaving(&self) -> bool {
        *self.stopping.borrow() || *self.draining.borrow()
    }
}
