//! What the AMQP source counts, to be exported as metrics.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::omission::Reason;

/// Counters of one AMQP source. Counts only grow, from zero at the start of the process.
#[derive(Debug, Default)]
pub struct AmqpStats {
    connected: AtomicBool,
    reconnects: AtomicU64,
    messages: AtomicU64,
    skipped_too_large: AtomicU64,
    unreadable: AtomicU64,
    queue_overflows: AtomicU64,
    renumberings: AtomicU64,
    marks: AtomicU64,
    buffered_bytes: AtomicU64,
}

impl AmqpStats {
    /// Whether the connection to the broker is up now.
    pub fn connected(&self) -> bool {
        self.connected.load(Ordering::Relaxed)
    }

    /// Connections made after the first one.
    pub fn reconnects(&self) -> u64 {
        self.reconnects.load(Ordering::Relaxed)
    }

    /// Messages handed to the hub, over all channels.
    pub fn messages(&self) -> u64 {
        self.messages.load(Ordering::Relaxed)
    }

    /// Messages left out because their body is larger than `max_event_bytes`.
    pub fn skipped_too_large(&self) -> u64 {
        self.skipped_too_large.load(Ordering::Relaxed)
    }

    /// Messages left out because the AMQP library cannot read them.
    pub fn unreadable(&self) -> u64 {
        self.unreadable.load(Ordering::Relaxed)
    }

    /// Queues that were given up because more than `queue_bytes` waited in them.
    pub fn queue_overflows(&self) -> u64 {
        self.queue_overflows.load(Ordering::Relaxed)
    }

    /// Streams that did not go on where they had been, so that a new numbering began.
    pub fn renumberings(&self) -> u64 {
        self.renumberings.load(Ordering::Relaxed)
    }

    /// Marks that were put into streams to find out where they end.
    pub fn marks(&self) -> u64 {
        self.marks.load(Ordering::Relaxed)
    }

    /// Bytes of the bodies that have come from the broker and wait for the hub, over all channels.
    pub fn buffered_bytes(&self) -> u64 {
        self.buffered_bytes.load(Ordering::Relaxed)
    }

    pub(super) fn set_connected(&self, connected: bool) {
        self.connected.store(connected, Ordering::Relaxed);
    }

    pub(super) fn count_reconnect(&self) {
        self.reconnects.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_messages(&self, count: usize) {
        self.messages.fetch_add(count as u64, Ordering::Relaxed);
    }

    pub(super) fn count_left_out(&self, reason: Reason) {
        let count = match reason {
            Reason::TooLarge => &self.skipped_too_large,
            Reason::Unreadable => &self.unreadable,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_queue_overflow(&self) {
        self.queue_overflows.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_renumbering(&self) {
        self.renumberings.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_mark(&self) {
        self.marks.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn add_buffered(&self, bytes: u64) {
        self.buffered_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn remove_buffered(&self, bytes: u64) {
        self.buffered_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}
