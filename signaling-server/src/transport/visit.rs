//! One plain client's visit, for the operator: who, from where, what it reads and since when, and how much that was.

use std::net::IpAddr;

use tiercast_codec::{ChannelName, Since};
use tracing::debug;

use crate::{
    counters::{Traffic, Transport},
    driver::Handle,
};

/// A visit. Its end is said when it is dropped.
#[derive(Debug)]
pub(super) struct Visit {
    handle: Handle,
    transport: Transport,
    address: IpAddr,
    channel: ChannelName,
    events: u64,
    bytes: u64,
}

impl Visit {
    /// Somebody begins to read.
    pub(super) fn begin(
        handle: &Handle,
        transport: Transport,
        address: IpAddr,
        channel: &ChannelName,
        since: Since,
    ) -> Self {
        handle.counters().traffic(transport).visits.add(1);
        debug!(transport = transport.name(), %address, %channel, %since, "reader came");
        let (handle, channel) = (handle.clone(), channel.clone());
        Self { handle, transport, address, channel, events: 0, bytes: 0 }
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
        let Self { transport, address, channel, events, bytes, .. } = self;
        debug!(transport = transport.name(), %address, %channel, events, bytes, "reader left");
    }
}
