//! How connections to the broker are made.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use lapin::{Connection, ConnectionProperties, uri::AMQPUri};
use tokio::time::timeout;

use super::{
    buffered::Buffered, config::AmqpConfig, screen::FRAME_BYTES_MAX, transport, unreachable, url::BrokerUrl,
};

/// Makes connections to one broker, or to one node of a cluster after another.
#[derive(Debug)]
pub(super) struct Connector {
    nodes: Vec<Node>,
    /// Counts those that were turned to: the node in use, or tried next, is the one at this place, around and around.
    nth: AtomicUsize,
    limit: Duration,
    max_event_bytes: usize,
}

/// A broker, which may be one of a cluster.
#[derive(Debug)]
pub(super) struct Node {
    uri: AMQPUri,
    /// Its URL without the password.
    pub(super) shown_url: Arc<str>,
}

impl Node {
    fn new(url: &BrokerUrl, config: &AmqpConfig) -> Self {
        let mut uri = url.uri().clone();
        uri.query.frame_max = Some(FRAME_BYTES_MAX);
        uri.query.heartbeat = Some(config.heartbeat_s);
        uri.query.connection_timeout = Some(config.connect_timeout_ms);
        Self { uri, shown_url: url.to_string().into() }
    }
}

impl Connector {
    pub(super) fn new(config: &AmqpConfig) -> Self {
        Self {
            nodes: config.urls().map(|url| Node::new(url, config)).collect(),
            nth: AtomicUsize::new(0),
            limit: Duration::from_millis(config.connect_timeout_ms),
            max_event_bytes: config.max_event_bytes,
        }
    }

    /// The broker that connections are made to.
    pub(super) fn node(&self) -> &Node {
        &self.nodes[self.nth.load(Ordering::Relaxed) % self.nodes.len()]
    }

    /// How many nodes the cluster has, as far as they are named.
    pub(super) fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// Turns to the next node of the cluster, if there is another.
    pub(super) fn go_on(&self) {
        self.nth.fetch_add(1, Ordering::Relaxed);
    }

    /// Makes a connection that the broker lists by this name; or says why there is none, and what to do.
    pub(super) async fn connect(&self, name: &str, buffered: Arc<Buffered>) -> Result<Connection, Arc<str>> {
        let Node { uri, shown_url } = self.node();
        // No auto-recovery: it replays from the original offset or hangs (`docs/measurements.md`).
        let properties = ConnectionProperties::default().with_connection_name(name.into());
        let connecting = transport::connect(uri.clone(), properties, self.max_event_bytes, buffered);
        match timeout(self.limit, connecting).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) => Err(unreachable::refused(shown_url, &error)),
            Err(_) => Err(unreachable::silent(shown_url, self.limit)),
        }
    }
}
