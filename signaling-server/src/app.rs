//! What all who answer requests share.

use std::sync::Arc;

use tiercast_platform::Clock;
use tokio::sync::watch;

use crate::{access::Access, config::Config, driver::Handle, source::amqp::AmqpStats, transport::Sheets};

/// What the handlers need.
pub(crate) struct App {
    pub(crate) handle: Handle,
    pub(crate) config: Arc<Config>,
    pub(crate) access: Access,
    pub(crate) clock: Clock,
    pub(crate) amqp: Option<Arc<AmqpStats>>,
    pub(crate) sheets: Arc<Sheets>,
    pub(crate) stopping: watch::Receiver<bool>,
}
