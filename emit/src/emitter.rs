//! What a backend holds: it puts events into the queue and waits for their positions.

use std::{fmt::Display, time::Duration};

use serde::Serialize;
use tiercast_codec::{ChannelName, EventName, Position};
use tokio::{
    sync::{
        mpsc::{self, error::TrySendError},
        oneshot,
    },
    time::Instant,
};

use crate::{
    EmitError, NewEvent,
    connection::Connection,
    sender::{Sender, Waiting},
};

/// How events are published. The defaults suit a server with defaults of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmitOptions {
    /// So many events wait to be sent; whoever emits one more waits, too. Default 1,024, at least 1.
    pub waiting_max: usize,
    /// Most events of a batch. Default 500, at least 1; the server has a bound as well (`limits.publish_batch_events`).
    pub batch_events: usize,
    /// A batch ends with the event with which it has so many bytes as JSON. Default 1 MiB; the server has a bound as well
    /// (`limits.publish_batch_bytes`).
    pub batch_bytes: usize,
    /// A server that has not answered for so long is asked again. Default 10 s.
    pub answer: Duration,
    /// What is not known to be published so long after it was emitted is not sent again. Default 60 s. Keep it well below the
    /// server's `limits.duplicates_s` (600 s), which no longer knows the event after that.
    pub give_up: Duration,
}

impl Default for EmitOptions {
    fn default() -> Self {
        Self {
            waiting_max: 1_024,
            batch_events: 500,
            batch_bytes: 1 << 20,
            answer: Duration::from_secs(10),
            give_up: Duration::from_secs(60),
        }
    }
}

/// Publishes events to one channel of a server, in the order in which they are emitted; those that are emitted at once, and for
/// which there is no room, in any order. Cheap to clone; all clones share one
/// connection. Once the last one is dropped, what waits is still published, as long as the runtime lives.
#[derive(Debug, Clone)]
pub struct Emitter {
    queue: mpsc::Sender<Waiting>,
}

impl Emitter {
    /// An emitter for a channel that is the server's own (`source = "embedded"`). `server` is such as
    /// `http://127.0.0.1:8780`, `key` an API key. It connects when there is something to publish.
    ///
    /// Must be called within a tokio runtime.
    ///
    /// # Errors
    ///
    /// If the address, the channel's name or the key cannot be one.
    pub fn new(server: &str, channel: &str, key: &str) -> Result<Self, EmitError> {
        Self::with_options(server, channel, key, EmitOptions::default())
    }

    /// The same, with other options.
    ///
    /// Must be called within a tokio runtime.
    ///
    /// # Errors
    ///
    /// If the address, the channel's name or the key cannot be one.
    pub fn with_options(
        server: &str,
        channel: &str,
        key: &str,
        options: EmitOptions,
    ) -> Result<Self, EmitError> {
        let channel: ChannelName = channel.parse()?;
        let connection = Connection::new(server, &channel, key)?;
        let (queue, events) = mpsc::channel(options.waiting_max.max(1));
        tokio::spawn(Sender::new(connection, options).run(events));
        Ok(Self { queue })
    }

    /// Tells what happened to a thing: `emit("ticket", 1234, "updated", &ticket)` publishes the ticket as JSON under
    /// `ticket.1234.updated`. Gives the position of the event once it is published.
    ///
    /// # Errors
    ///
    /// If the parts give no name, the data is no JSON, the server refuses the event, or it is not known to be published in time.
    pub async fn emit(
        &self,
        thing: &str,
        id: impl Display,
        what: &str,
        data: impl Serialize,
    ) -> Result<Position, EmitError> {
        self.publish(NewEvent::json(EventName::new(thing, id, what)?, &data)?).await
    }

    /// Publishes an event, and gives its position; if one with the same message id was published before, that one's.
    /// An event whose future is dropped may be published or not.
    ///
    /// # Errors
    ///
    /// If the server refuses the event, or it is not known to be published in time.
    pub async fn publish(&self, event: NewEvent) -> Result<Position, EmitError> {
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting { item: event.into_item(), emitted: Instant::now(), answer };
        // Only who finds the queue full waits, so that calls at once keep their order.
        if let Err(TrySendError::Full(waiting)) = self.queue.try_send(waiting) {
            self.queue.send(waiting).await.map_err(|_| EmitError::Ended)?;
        }
        answered.await.map_err(|_| EmitError::Ended)?
    }
}

#[cfg(test)]
mod tests {
    use futures_util::poll;

    use super::*;

    #[tokio::test]
    async fn so_many_events_wait_and_no_more() {
        let options = EmitOptions { waiting_max: 2, give_up: Duration::ZERO, ..EmitOptions::default() };
        let emitter = Emitter::with_options("http://127.0.0.1:1", "tickets", "key", options).unwrap();
        let publish = || Box::pin(emitter.publish(NewEvent::default()));
        let mut waiting = [publish(), publish(), publish()];
        // The sender does not run as long as nothing is awaited.
        for (event, room) in waiting.iter_mut().zip([1, 0, 0]) {
            assert!(poll!(event).is_pending());
            assert_eq!(emitter.queue.capacity(), room);
        }
        for event in waiting {
            assert!(matches!(event.await, Err(EmitError::GaveUp { .. })));
        }
    }

    #[tokio::test]
    async fn an_address_with_tls_says_what_an_emitter_speaks_and_what_to_do() {
        let error = Emitter::new("https://me:hunter2@h", "tickets", "key").map(drop).unwrap_err().to_string();
        assert!(error.contains("speaks http:// only") && error.contains("put a proxy in between"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }

    #[tokio::test]
    async fn what_cannot_be_reached_is_told_with_an_example_and_without_a_password() {
        for server in ["", "nonsense", "h:1", "ws://h:1", "http://", "http://me:hunter2@h:1", "http://h?x"] {
            let error = Emitter::new(server, "tickets", "key").map(drop).expect_err(server).to_string();
            assert!(error.contains("write one such as http://127.0.0.1:8780"), "{server}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
        assert_eq!(Emitter::new("http://h", "tickets", "a\nb").map(drop), Err(EmitError::Key));
        assert!(matches!(Emitter::new("http://h", "a b", "key"), Err(EmitError::Channel(_))));
    }
}
