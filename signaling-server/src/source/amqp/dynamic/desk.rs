//! The desk of one exchange, where those who want something of it, and `binder.rs`, which binds it, meet.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tiercast_codec::{ChannelName, Pattern};
use tokio::{sync::watch, time::Instant};

use super::{
    super::names::Exchange,
    rules::channel_of,
    wants::{Complete, Wants},
};

/// One exchange.
#[derive(Debug)]
pub(super) struct Desk {
    exchange: Exchange,
    channel: ChannelName,
    wants: Mutex<Wants>,
    changes: watch::Sender<()>,
    /// Something may have been made on the broker.
    is_begun: AtomicBool,
}

impl Desk {
    pub(super) fn new(exchange: Exchange, linger: Duration) -> Self {
        let channel = channel_of(&exchange);
        let (wants, changes) = (Mutex::new(Wants::new(linger)), watch::Sender::new(()));
        Self { exchange, channel, wants, changes, is_begun: AtomicBool::new(false) }
    }

    /// What an earlier start of the server has left bound. It stays as long as what nobody wants any more.
    pub(super) fn left(
        exchange: Exchange,
        patterns: impl IntoIterator<Item = Pattern>,
        linger: Duration,
    ) -> Self {
        let desk = Self::new(exchange, linger);
        desk.with(|wants| wants.left_bound(patterns, Instant::now()));
        desk.begin();
        desk
    }

    pub(super) fn exchange(&self) -> &Exchange {
        &self.exchange
    }

    /// The channel of the hub.
    pub(super) fn channel(&self) -> &ChannelName {
        &self.channel
    }

    /// Looks at what is wanted, or changes of it what nobody waits for.
    pub(super) fn with<T>(&self, look: impl FnOnce(&mut Wants) -> T) -> T {
        look(&mut self.lock())
    }

    /// Changes what is wanted, or what has become of it, and tells those who wait.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Wants) -> T) -> T {
        let changed = self.with(change);
        self.changes.send_replace(());
        changed
    }

    /// A mark has come by, here, when the events before it had been handed over.
    pub(super) fn came_by(&self, mark: &str, complete: Complete) {
        if self.with(|wants| wants.came_by(mark, complete)) {
            self.changes.send_replace(());
        }
    }

    /// Tells of every change.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// Waits until nothing is wanted and nothing is bound; from then on nothing can be taken here.
    pub(super) async fn is_left(&self) {
        let mut changes = self.changes();
        while !self.with(Wants::close_if_left) {
            // It never ends: the sender is ours.
            let _ = changes.changed().await;
        }
    }

    /// Something is made on the broker from now on. True for the first time.
    pub(super) fn begin(&self) -> bool {
        !self.is_begun.swap(true, Ordering::Relaxed)
    }

    /// Whether something may have been made on the broker.
    pub(super) fn is_begun(&self) -> bool {
        self.is_begun.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Wants> {
        // Whole at any time, whoever panicked.
        self.wants.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn a_desk_is_left_when_the_last_one_gives_back_what_is_not_bound_yet() {
        let desk = Desk::new("ci".parse().expect("a name"), Duration::ZERO);
        let wanted = ["a".parse().expect("a pattern")].into();
        assert!(desk.change(|wants| wants.take(&wanted, Instant::now())));
        assert!(desk.is_left().now_or_never().is_none());
        desk.change(|wants| wants.release(&wanted, Instant::now()));
        assert!(desk.is_left().now_or_never().is_some());
        assert!(!desk.change(|wants| wants.take(&wanted, Instant::now())), "another desk has it");
    }
}
