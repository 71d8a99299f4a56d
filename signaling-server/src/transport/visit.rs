//! One plain client's visit, for the operator: who, from where, what it reads and since when, and how much that was.

use tiercast_codec::Since;
use tracing::debug;

use super::subscription::Wanted;
use crate::{
    counters::{Traffic, Transport},
    driver::Handle,
    visitor::Visitor,
};

/// A visit. Its end is said when it is dropped.
#[derive(Debug)]
pub(super) struct Visit {
    handle: Handle,
    transport: Transport,
    visitor: Visitor,
    wanted: Wanted,
    events: u64,
    bytes: u64,
}

impl Visit {
    /// Somebody begins to read.
    pub(super) fn begin(
        handle: &Handle,
        transport: Transport,
        visitor: &Visitor,
        wanted: &Wanted,
        since: Since,
    ) -> Self {
        handle.counters().traffic(transport).visits.add(1);
        let Visitor { address, subject, .. } = visitor;
        let who = subject.as_deref();
        debug!(transport = transport.name(), who, %address, %wanted, %since, "reader came");
        let (handle, visitor, wanted) = (handle.clone(), visitor.clone(), wanted.clone());
        Self { handle, transport, visitor, wanted, events: 0, bytes: 0 }
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
        let Self { transport, visitor: Visitor { address, subject, .. }, wanted, events, bytes, .. } = self;
        let who = subject.as_deref();
        debug!(transport = transport.name(), who, %address, %wanted, events, bytes, "reader left");
    }
}
