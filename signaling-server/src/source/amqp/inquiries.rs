//! Passes the hub's questions on to the channels that they are about.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tiercast_codec::{ChannelName, Position};
use tokio::sync::mpsc;

use crate::source::Question;

/// Where the questions about each channel are taken.
#[derive(Debug, Default)]
pub(super) struct Inquiries(Mutex<BTreeMap<ChannelName, mpsc::Sender<Position>>>);

impl Inquiries {
    /// Takes questions about a channel from now on.
    pub(super) fn open(&self, channel: &ChannelName) -> mpsc::Receiver<Position> {
        // One question at a time waits for its answer.
        let (claim, claimed) = mpsc::channel(1);
        self.lock().insert(channel.clone(), claim);
        claimed
    }

    /// Nobody answers questions about a channel any more.
    pub(super) fn close(&self, channel: &ChannelName) {
        self.lock().remove(channel);
    }

    /// Passes a question on.
    pub(super) fn pass_on(&self, Question { channel, claimed }: Question) {
        if let Some(claim) = self.lock().get(&channel) {
            // Refused only where the hub asks again before it was answered.
            let _ = claim.try_send(claimed);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ChannelName, mpsc::Sender<Position>>> {
        // Whole at any time, whoever panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
