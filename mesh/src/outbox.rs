//! The control messages that wait for one session or link.

use std::collections::VecDeque;

use bytes::Bytes;

/// Most messages that wait. Whoever does not read this many small messages does not read at all, and is
/// closed: control messages, unlike frames, cannot be fetched again from a log.
pub const OUTBOX_MESSAGES_MAX: usize = 1_024;

/// A bounded queue of encoded control messages.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    messages: VecDeque<Bytes>,
}

/// The outbox is full.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl Outbox {
    pub(crate) fn push(&mut self, message: Bytes) -> Result<(), Full> {
        if self.messages.len() >= OUTBOX_MESSAGES_MAX {
            return Err(Full);
        }
        self.messages.push_back(message);
        Ok(())
    }

    pub(crate) fn pop(&mut self) -> Option<Bytes> {
        self.messages.pop_front()
    }
}
