//! What the other end has signaled, on its way to the connection's task.
//!
//! The lock is held for a few instructions at a time and has two users, so it never matters.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tiercast_codec::Signal;
use tokio::sync::Notify;

/// Candidates waiting for the task; more are dropped and counted. The task takes them at once, and an
/// honest other end sends a few dozen at most.
const CANDIDATES_MAX: usize = 128;

/// Signals waiting for the task, so that candidates never crowd out a description; more are dropped
/// and counted. An honest other end sends one.
const SIGNALS_MAX: usize = CANDIDATES_MAX + 4;

#[derive(Debug, Default)]
pub(super) struct Signals {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Signal>,
    dropped: u32,
}

impl Signals {
    pub(super) fn push(&self, signal: Signal) {
        let max = if matches!(signal, Signal::Candidate { .. }) { CANDIDATES_MAX } else { SIGNALS_MAX };
        let mut state = self.lock();
        if state.waiting.len() < max {
            state.waiting.push_back(signal);
        } else {
            state.dropped = state.dropped.saturating_add(1);
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Resolves when something was pushed since the last call. Cancel safe.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// The waiting signals, and how many had to be dropped since the last call.
    pub(super) fn take(&self) -> (VecDeque<Signal>, u32) {
        let mut state = self.lock();
        (std::mem::take(&mut state.waiting), std::mem::take(&mut state.dropped))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that holds the lock can panic half way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_candidates_is_dropped_and_counted_and_a_description_passes() {
        let signals = Signals::default();
        for _ in 0..CANDIDATES_MAX + 3 {
            signals.push(Signal::Candidate { candidate: String::new(), mid: "0".into() });
        }
        signals.push(Signal::Offer { sdp: String::new() });
        let (waiting, dropped) = signals.take();
        assert_eq!((waiting.len(), dropped), (CANDIDATES_MAX + 1, 3));
        assert_eq!(signals.take().1, 0);
    }
}
