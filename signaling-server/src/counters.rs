//! What is counted outside of the hub.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts that only grow. Read one by one, for metrics.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    violations: Counter,
    stalled: Counter,
    connections: Counter,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
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

    /// TCP connections accepted.
    pub(crate) fn connections(&self) -> &Counter {
        &self.connections
    }
}
