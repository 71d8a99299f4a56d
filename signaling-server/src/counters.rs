//! What is counted outside of the hub.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use crate::source::embedded::Published;

/// Counts that only grow. Read one by one, for metrics.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    violations: Counter,
    stalled: Counter,
    connections: Counter,
    published: Counter,
    duplicates: Counter,
    refused: Counter,
    traffic: [Traffic; Transport::PLAIN.len() + 1],
}

/// What clients speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    /// Peers. What they are sent the hub counts.
    Ws,
    Sse,
    Poll,
    History,
    Json,
    Taskcluster,
}

/// Who is there by a transport, and what was sent by it.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    /// WebSockets.
    pub(crate) sessions: Gauge,
    /// Plain readers.
    pub(crate) readers: Gauge,
    /// Subscriptions, or requests.
    pub(crate) visits: Counter,
    pub(crate) events: Counter,
    /// Of events.
    pub(crate) bytes: Counter,
    pub(crate) gaps: Counter,
}

impl Transport {
    /// Those of plain clients: all but that of peers.
    pub(crate) const PLAIN: [Self; 5] = [Self::Sse, Self::Poll, Self::History, Self::Json, Self::Taskcluster];

    /// Whether clients stay, and are not answered and gone.
    pub(crate) fn lasts(self) -> bool {
        !matches!(self, Self::Poll | Self::History)
    }

    /// Its name in metrics and logs.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ws => "ws",
            Self::Sse => "sse",
            Self::Poll => "poll",
            Self::History => "history",
            Self::Json => "json",
            Self::Taskcluster => "taskcluster",
        }
    }
}

/// How many there are.
#[derive(Debug, Default)]
pub(crate) struct Gauge(Arc<AtomicU64>);

/// One who is there, until it is dropped.
#[derive(Debug)]
pub(crate) struct Present(Arc<AtomicU64>);

impl Gauge {
    /// Somebody comes.
    pub(crate) fn enter(&self) -> Present {
        self.0.fetch_add(1, Ordering::Relaxed);
        Present(self.0.clone())
    }

    pub(crate) fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Counters {
    /// Sessions closed for what they sent before the hub could see it: text, oversized, not WebSocket.
    pub(crate) fn violations(&self) -> &Counter {
        &self.violations
    }

    /// Sessions closed because their socket took nothing for too long.
    pub(crate) fn stalled(&self) -> &Counter {
        &self.stalled
    }

    /// What was sent by a transport.
    pub(crate) fn traffic(&self, transport: Transport) -> &Traffic {
        &self.traffic[transport as usize]
    }

    /// TCP connections accepted.
    pub(crate) fn connections(&self) -> &Counter {
        &self.connections
    }

    /// Counts what became of messages.
    pub(crate) fn count(&self, published: &[Published]) {
        let duplicates = published.iter().filter(|published| published.is_duplicate).count() as u64;
        self.duplicates.add(duplicates);
        self.published.add(published.len() as u64 - duplicates);
    }

    /// Events that were published to embedded channels.
    pub(crate) fn published(&self) -> &Counter {
        &self.published
    }

    /// Messages whose event was there before.
    pub(crate) fn duplicates(&self) -> &Counter {
        &self.duplicates
    }

    /// Requests to publish over HTTP that were refused.
    pub(crate) fn refused(&self) -> &Counter {
        &self.refused
    }
}
