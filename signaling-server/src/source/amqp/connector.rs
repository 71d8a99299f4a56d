//! How connections to the broker are made.

use std::{sync::Arc, time::Duration};

use lapin::{Connection, ConnectionProperties, uri::AMQPUri};
use tokio::time::timeout;

use super::{buffered::Buffered, config::AmqpConfig, screen::FRAME_BYTES_MAX, transport, unreachable};

/// Makes connections to one broker.
#[derive(Debug)]
pub(super) struct Connector {
    uri: AMQPUri,
    shown_url: Arc<str>,
    limit: Duration,
    max_event_bytes: usize,
}

impl Connector {
    pub(super) fn new(config: &AmqpConfig) -> Self {
        let mut uri = config.url.uri().clone();
        uri.query.frame_max = Some(FRAME_BYTES_MAX);
        uri.query.heartbeat = Some(config.heartbeat_s);
        uri.query.connection_timeout = Some(config.connect_timeout_ms);
        Self {
            uri,
            shown_url: config.url.to_string().into(),
            limit: Duration::from_millis(config.connect_timeout_ms),
            max_event_bytes: config.max_event_bytes,
        }
    }

    /// The broker's URL without its password.
    pub(super) fn shown_url(&self) -> &Arc<str> {
        &self.shown_url
    }

    /// Makes a connection that the broker lists by this name; or says why there is none, and what to do.
    pub(super) async fn connect(&self, name: &str, buffered: Arc<Buffered>) -> Result<Connection, Arc<str>> {
        // No auto-recovery: it replays from the original offset or hangs (`docs/measurements.md`).
        let properties = ConnectionProperties::default().with_connection_name(name.into());
        let connecting = transport::connect(self.uri.clone(), properties, self.max_event_bytes, buffered);
        match timeout(self.limit, connecting).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) => Err(unreachable::refused(&self.shown_url, &error)),
            Err(_) => Err(unreachable::silent(&self.shown_url, self.limit)),
        }
    }
}
