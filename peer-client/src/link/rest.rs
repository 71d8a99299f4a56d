//! The rest of a connection after one of its links has ended: the next one is given the same stream, of which the other end
//! must have heard before that it is free.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use webrtc::data_channel::DataChannel;

/// How long the next link waits: with webrtc 0.21.1 it is given the same stream, and must not come before the other end has
/// heard of the end, which takes a round trip at most.
const STREAM_RESTS: Duration = Duration::from_secs(1);

/// When a data channel of a connection was last being closed.
#[derive(Debug, Clone, Default)]
pub(super) struct StreamRest(Arc<Mutex<Option<Instant>>>);

impl StreamRest {
    /// Closes a data channel, and rests from then on.
    pub(super) async fn close(&self, channel: &dyn DataChannel) {
        self.during(close(channel)).await;
    }

    /// Waits until the other end has heard of the last end, and of every other that comes meanwhile.
    pub(super) async fn over(&self) {
        while let Some(due) = self.due() {
            sleep_until(due).await;
        }
    }

    /// Rests while something is closed, too: its stream is free before that is done.
    async fn during(&self, closing: impl Future<Output = ()>) {
        self.begin();
        closing.await;
        self.begin();
    }

    fn begin(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// When it is over, if it is not.
    fn due(&self) -> Option<Instant> {
        let last_end = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last_end.map(|last_end| last_end + STREAM_RESTS).filter(|due| *due > Instant::now())
    }
}

/// Closes a data channel whose stream this end does not give to another.
pub(super) async fn close(channel: &dyn DataChannel) {
    // One that has closed meanwhile needs no closing.
    let _ = channel.close().await;
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn regression_who_comes_while_a_channel_is_being_closed_rests() {
        let rest = StreamRest::default();
        assert_eq!(rest.due(), None);
        assert_eq!(rest.during(pending()).now_or_never(), None, "it is not closed yet");
        assert!(rest.due().is_some());
    }
}
