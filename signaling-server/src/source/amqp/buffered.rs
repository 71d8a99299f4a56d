//! Counts the bodies that have come from the broker and have not been handed over, which wait in the AMQP library.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::stats::AmqpStats;

/// Bytes by AMQP channel of one connection. Only those count whose consumer asked for it.
#[derive(Debug)]
pub(super) struct Buffered {
    by_channel: Mutex<BTreeMap<u16, u64>>,
    stats: Arc<AmqpStats>,
}

impl Buffered {
    pub(super) fn new(stats: Arc<AmqpStats>) -> Self {
        Self { by_channel: Mutex::default(), stats }
    }

    /// Counts for an AMQP channel until what is returned is dropped.
    pub(super) fn count(self: &Arc<Self>, channel: u16) -> Counted {
        self.lock().insert(channel, 0);
        Counted { buffered: self.clone(), channel }
    }

    /// A body of so many bytes comes.
    pub(super) fn came(&self, channel: u16, bytes: u64) {
        if let Some(count) = self.lock().get_mut(&channel) {
            *count += bytes;
            self.stats.add_buffered(bytes);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u16, u64>> {
        // Numbers are whole at any time, whoever panicked.
        self.by_channel.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One AMQP channel's count.
#[derive(Debug)]
pub(super) struct Counted {
    buffered: Arc<Buffered>,
    channel: u16,
}

impl Counted {
    /// So many bytes have been handed over.
    pub(super) fn handed_over(&self, bytes: u64) {
        if let Some(count) = self.buffered.lock().get_mut(&self.channel) {
            let bytes = bytes.min(*count);
            *count -= bytes;
            self.buffered.stats.remove_buffered(bytes);
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let left = self.buffered.lock().remove(&self.channel).unwrap_or(0);
        self.buffered.stats.remove_buffered(left);
    }
}
