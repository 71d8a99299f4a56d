//! What a link's handle leaves for the link's task: messages to send, the wish to close.
//!
//! The lock is held for a few instructions at a time and has two users, so it never matters.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

use super::{MESSAGE_BYTES_MAX, TrySendError};

/// Messages waiting for the task; then `Full`. The send buffer of SCTP below holds 64 KiB more.
/// Large enough that small messages do not cost a task switch each.
const MESSAGES_MAX: usize = 256;

/// Bytes waiting for the task; then `Full`. An empty queue takes any message.
const BYTES_MAX: usize = 64 * 1024;

#[derive(Debug, Default)]
pub(super) struct Mailbox {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    messages: VecDeque<Bytes>,
    message_bytes: usize,
    /// `Full` was returned, and the `Writable` for it is still owed.
    refused: bool,
    closing: bool,
}

/// The handle's side.
impl Mailbox {
    pub(super) fn try_send(&self, bytes: Bytes) -> Result<(), TrySendError> {
        if bytes.len() > MESSAGE_BYTES_MAX {
            return Err(TrySendError::TooLarge);
        }
        let mut state = self.lock();
        if state.closing {
            return Err(TrySendError::Closed);
        }
        if !state.has_room_for(bytes.len()) {
            state.refused = true;
            return Err(TrySendError::Full);
        }
        state.message_bytes += bytes.len();
        state.messages.push_back(bytes);
        let first = state.messages.len() == 1;
        drop(state);
        if first {
            self.changed.notify_one();
        }
        Ok(())
    }

    pub(super) fn close(&self) {
        self.lock().closing = true;
        self.changed.notify_one();
    }
}

/// The task's side.
impl Mailbox {
    /// Resolves when something has been left since the last call. Cancel safe.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    pub(super) fn is_closing(&self) -> bool {
        self.lock().closing
    }

    /// The oldest message, which stays until [`remove_message`](Self::remove_message).
    pub(super) fn message(&self) -> Option<Bytes> {
        self.lock().messages.front().cloned()
    }

    /// Removes the oldest message; true if `Writable` is due now.
    ///
    /// It waits until half of the queue is free, so that a sender is woken for several messages.
    pub(super) fn remove_message(&self) -> bool {
        let mut state = self.lock();
        if let Some(bytes) = state.messages.pop_front() {
            state.message_bytes -= bytes.len();
        }
        let half_free = state.messages.len() <= MESSAGES_MAX / 2 && state.message_bytes <= BYTES_MAX / 2;
        half_free && std::mem::take(&mut state.refused)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that holds the lock can panic half way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn has_room_for(&self, bytes: usize) -> bool {
        self.messages.is_empty()
            || (self.messages.len() < MESSAGES_MAX && self.message_bytes + bytes <= BYTES_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_queue_takes_the_largest_message() {
        let mailbox = Mailbox::default();
        assert_eq!(mailbox.try_send(vec![0; MESSAGE_BYTES_MAX + 1].into()), Err(TrySendError::TooLarge));
        assert_eq!(mailbox.try_send(vec![0; MESSAGE_BYTES_MAX].into()), Ok(()));
        assert_eq!(mailbox.try_send(Bytes::from_static(b"x")), Err(TrySendError::Full));
    }

    #[test]
    fn many_refusals_owe_one_writable() {
        let mailbox = Mailbox::default();
        while mailbox.try_send(Bytes::from_static(b"x")).is_ok() {}
        assert_eq!(mailbox.try_send(Bytes::from_static(b"x")), Err(TrySendError::Full));
        let mut writable = 0;
        while mailbox.message().is_some() {
            writable += usize::from(mailbox.remove_message());
        }
        assert_eq!(writable, 1);
    }

    #[test]
    fn without_a_refusal_no_writable_is_owed() {
        let mailbox = Mailbox::default();
        mailbox.try_send(Bytes::from_static(b"x")).unwrap();
        assert!(!mailbox.remove_message());
    }

    #[test]
    fn a_closing_mailbox_takes_no_message() {
        let mailbox = Mailbox::default();
        mailbox.close();
        assert_eq!(mailbox.try_send(Bytes::from_static(b"x")), Err(TrySendError::Closed));
    }
}
