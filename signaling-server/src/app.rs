//! What all who answer requests share.

use std::sync::Arc;

use tokio::sync::watch;

use crate::{
    config::{ApiKeys, Config},
    driver::Handle,
    source::amqp::AmqpStats,
    transport::Sheets,
};

/// What the handlers need.
pub(crate) struct App {
    pub(crate) handle: Handle,
    pub(crate) config: Arc<Config>,
    pub(crate) api_keys: ApiKeys,
    pub(crate) amqp: Option<Arc<AmqpStats>>,
    pub(crate) sheets: Arc<Sheets>,
    pub(crate) stopping: watch::Receiver<bool>,
}
