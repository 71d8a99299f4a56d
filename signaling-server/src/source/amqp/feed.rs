//! One channel's way to the hub: updates under its name, losses said once.

use std::sync::Arc;

use tiercast_codec::{Epoch, Event, Message, Position};
use tiercast_mesh::SourceUpdate;
use tokio::sync::mpsc;
use tracing::{info, warn};

use super::{
    error::AmqpError,
    memory::{Known, Memory},
    omission::Omission,
    stats::AmqpStats,
};
use crate::source::SourceSink;

/// Sends the updates of one channel. Waits while the hub is busy, which is the source's backpressure.
pub(super) struct Feed {
    channel: String,
    sink: SourceSink,
    stats: Arc<AmqpStats>,
    lost: Option<String>,
    claims: mpsc::Receiver<Position>,
    /// The claim that the open question of the hub is about.
    claimed: Option<Position>,
    memory: Arc<Memory>,
}

impl Feed {
    pub(super) fn new(
        channel: String,
        sink: SourceSink,
        claims: mpsc::Receiver<Position>,
        stats: Arc<AmqpStats>,
        memory: Arc<Memory>,
    ) -> Self {
        Self { channel, sink, stats, lost: None, claims, claimed: None, memory }
    }

    /// What an earlier start of the server had of the channel's stream.
    pub(super) fn known(&self) -> Option<Known> {
        self.memory.of(&self.channel)
    }

    /// Remembers it for the next start.
    pub(super) fn remember(&self, known: Known) {
        self.memory.set(&self.channel, known);
    }

    /// Forgets what no longer counts.
    pub(super) fn forget(&self) {
        self.memory.forget(&self.channel);
    }

    /// Waits until the hub wants to know whether a peer can have so much. May be dropped while it waits; asked again,
    /// it says the same until that has been answered.
    pub(super) async fn question(&mut self) -> Position {
        if let Some(claimed) = self.claimed {
            return claimed;
        }
        match self.claims.recv().await {
            Some(claimed) => *self.claimed.insert(claimed),
            None => std::future::pending().await,
        }
    }

    /// Answers the hub's question: the channel ends here, or did so since the question.
    pub(super) async fn answer(&mut self, end: Position) -> Result<(), AmqpError> {
        self.send(SourceUpdate::End(end)).await?;
        // Not before it is said: whoever drops this while it waits is asked again.
        self.claimed = None;
        Ok(())
    }

    /// Whether the hub waits for an answer.
    pub(super) fn is_asked(&self) -> bool {
        self.claimed.is_some()
    }

    /// Says that what follows may be the channel's past.
    pub(super) async fn behind(&mut self) -> Result<(), AmqpError> {
        self.send(SourceUpdate::Behind).await
    }

    /// Says what of the past can be fetched.
    pub(super) async fn retains(&mut self, position: Position) -> Result<(), AmqpError> {
        self.send(SourceUpdate::Retains(position)).await
    }

    /// Says that the past is over.
    pub(super) async fn caught_up(&mut self) -> Result<(), AmqpError> {
        info!(channel = %self.channel, "channel caught up");
        self.send(SourceUpdate::CaughtUp).await
    }

    pub(super) async fn opened(&mut self, position: Position) -> Result<(), AmqpError> {
        info!(channel = %self.channel, %position, "channel opened");
        self.goes_on_after(position).await
    }

    pub(super) async fn events(&mut self, events: Vec<Event>) -> Result<(), AmqpError> {
        let count = events.len();
        self.send(SourceUpdate::Events(events)).await?;
        self.stats.count_messages(count);
        Ok(())
    }

    pub(super) async fn messages(&mut self, messages: Vec<Message>) -> Result<(), AmqpError> {
        let count = messages.len();
        if count == 0 {
            return Ok(());
        }
        self.send(SourceUpdate::Messages(messages)).await?;
        self.stats.count_messages(count);
        Ok(())
    }

    /// Says that the channel is not connected; the same reason is not said again before it has been opened.
    pub(super) async fn lost(&mut self, reason: &str) -> Result<(), AmqpError> {
        if self.lost.as_deref() == Some(reason) {
            return Ok(());
        }
        self.lost = Some(reason.to_owned());
        self.send(SourceUpdate::Lost { reason: reason.to_owned() }).await
    }

    /// Whether it is said to be lost, and has not been opened since.
    pub(super) fn is_lost(&self) -> bool {
        self.lost.is_some()
    }

    /// Says that a message is left out, and puts a gap in its place.
    pub(super) async fn left_out(&mut self, position: Position, omission: Omission) -> Result<(), AmqpError> {
        warn!(channel = %self.channel, %position, "message left out: {}", omission.what);
        self.stats.count_left_out(omission.reason);
        self.goes_on_after(position).await
    }

    /// Counts a queue that was full.
    pub(super) fn overflowed(&self, error: AmqpError) -> AmqpError {
        if matches!(error, AmqpError::QueueFull { .. }) {
            self.stats.count_queue_overflow();
        }
        error
    }

    /// Says that the stream does not go on where it was.
    pub(super) fn renumbered(&self, epoch: Epoch) {
        warn!(channel = %self.channel, epoch, "the stream does not go on where it was: a new numbering begins");
        self.stats.count_renumbering();
    }

    async fn goes_on_after(&mut self, position: Position) -> Result<(), AmqpError> {
        self.lost = None;
        self.send(SourceUpdate::Opened(position)).await
    }

    async fn send(&self, update: SourceUpdate) -> Result<(), AmqpError> {
        self.sink.send((self.channel.clone(), update)).await.map_err(|_| AmqpError::SinkClosed)
    }
}
