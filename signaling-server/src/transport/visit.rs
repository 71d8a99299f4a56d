//! One plain client's visit, for the operator: who, from where, what it reads and since when, and how much that was.

use tiercast_codec::Since;
use tracing::{Span, debug};

use super::subscription::Wanted;
use crate::{
    counters::{Present, Traffic, Transport},
    driver::Handle,
};

/// A visit. Its end is said when it is dropped.
#[derive(Debug)]
pub(super) struct Visit {
    handle: Handle,
    transport: Transport,
    /// Says who it is, and from where.
    span: Span,
    wanted: Wanted,
    events: u64,
    bytes: u64,
    _present: Present,
}

impl Visit {
    /// Somebody begins to read. `span` says who.
    pub(super) fn begin(
        handle: &Handle,
        transport: Transport,
        span: Span,
        wanted: &Wanted,
        since: Since,
    ) -> Self {
        let traffic = handle.counters().traffic(transport);
        traffic.visits.add(1);
        let _present = traffic.readers.enter();
        span.in_scope(|| debug!(%wanted, %since, "reader came"));
        let (handle, wanted) = (handle.clone(), wanted.clone());
        Self { handle, transport, span, wanted, events: 0, bytes: 0, _present }
    }

    /// So much was sent.
    pub(super) fn sent(&mut self, events: usize, bytes: usize) {
        self.events += events as u64;
        self.bytes += bytes as u64;
        let traffic = self.traffic();
        traffic.events.add(events as u64);
        traffic.bytes.add(bytes as u64);
    }

    /// A gap was told.
    pub(super) fn gap(&self) {
        self.traffic().gaps.add(1);
    }

    fn traffic(&self) -> &Traffic {
        self.handle.counters().traffic(self.transport)
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let Self { wanted, events, bytes, .. } = self;
        self.span.in_scope(|| debug!(%wanted, events, bytes, "reader left"));
    }
}
