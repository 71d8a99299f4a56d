//! One plain client's visit, for the operator: who, from where, what it reads and since when, and how much that was.

use tiercast_codec::{Pattern, Since};
use tiercast_mesh::hub::Refusal;
use tracing::{Span, debug, info};

use super::subscription::{Subscription, Wanted};
use crate::{
    counters::{Present, Traffic, Transport},
    driver::Handle,
    shown::cut,
    visitor::Visitor,
};

/// A visit. Its end is said when it is dropped.
#[derive(Debug)]
pub(super) struct Visit {
    handle: Handle,
    transport: Transport,
    /// Says who it is, and from where.
    span: Span,
    wanted: Wanted,
    since: Since,
    events: u64,
    bytes: u64,
    /// Why the server ended it.
    end: Option<Refusal>,
    _present: Present,
}

/// Says a line: what lasts is for everybody's log, requests that are over in a moment would be a flood.
macro_rules! tell {
    ($transport:expr, $($line:tt)*) => {
        if $transport.lasts() { info!($($line)*) } else { debug!($($line)*) }
    };
}

impl Visit {
    /// Begins to read on behalf of a client, whose span is the current one.
    pub(super) async fn open(
        handle: &Handle,
        transport: Transport,
        visitor: &Visitor,
        (wanted, since): (Wanted, Since),
        patterns: Vec<Pattern>,
    ) -> Result<(Subscription, Self), Refusal> {
        let traffic = handle.counters().traffic(transport);
        traffic.visits.add(1);
        let _present = traffic.readers.enter();
        match Subscription::open(handle, visitor, wanted.clone(), since, patterns).await {
            Ok(subscription) => {
                tell!(transport, channel = %wanted, %since, "reader came");
                let (handle, span) = (handle.clone(), Span::current());
                let visit =
                    Self { handle, transport, span, wanted, since, events: 0, bytes: 0, end: None, _present };
                Ok((subscription, visit))
            }
            Err(refusal) => {
                let Refusal { code, reason } = &refusal;
                tell!(transport, channel = %wanted, %since, code = code.0, reason = cut(reason), "reader refused");
                Err(refusal)
            }
        }
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

    /// The server ends it.
    pub(super) fn end(&mut self, refusal: &Refusal) {
        self.end = Some(refusal.clone());
    }

    /// What is read, and from where on.
    pub(super) fn reads(&self) -> (&Wanted, Since) {
        (&self.wanted, self.since)
    }

    fn traffic(&self) -> &Traffic {
        self.handle.counters().traffic(self.transport)
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let Self { transport, wanted, since, events, bytes, end, .. } = self;
        let (code, reason) = end.as_ref().map(|Refusal { code, reason }| (code.0, cut(reason))).unzip();
        self.span.in_scope(
            || tell!(transport, channel = %wanted, %since, events, bytes, code, reason, "reader left"),
        );
    }
}
