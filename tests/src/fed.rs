//! A running AMQP source and what it says.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use tiercast_codec::{ChannelName, Event, Message, Position};
use tiercast_mesh::SourceUpdate;
use tiercast_signaling_server::source::{
    Question, Source,
    amqp::{AmqpConfig, AmqpSource, AmqpStats},
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::{Instant, timeout},
};

/// Longest wait for one update: a reconnect may wait 20 s and a broker's start is slow on a busy machine.
pub const UPDATE_MAX: Duration = Duration::from_secs(90);

/// Longest time for a source to end once it has been told to.
pub const STOP_MAX: Duration = Duration::from_secs(10);

/// A running source and what it says.
#[derive(Debug)]
pub struct Fed {
    /// What it says, by channel.
    pub updates: mpsc::Receiver<(String, SourceUpdate)>,
    reached: Option<Position>,
    /// Whether it has said that it has reached the end.
    pub is_caught_up: bool,
    hub: mpsc::Sender<Question>,
    /// What it counts.
    pub stats: Arc<AmqpStats>,
    shutdown: watch::Sender<bool>,
    /// Ends when the source does.
    pub task: JoinHandle<()>,
}

impl Fed {
    /// Starts a source.
    pub fn start(config: AmqpConfig) -> Result<Self> {
        Self::run(AmqpSource::new(config))
    }

    /// Starts a source that remembers in a folder what it had.
    pub fn start_in(config: AmqpConfig, dir: &Path) -> Result<Self> {
        Self::run(AmqpSource::new(config).remembering(dir)?)
    }

    fn run(source: AmqpSource) -> Result<Self> {
        let stats = source.stats();
        let (sink, updates) = mpsc::channel(4);
        let (hub, questions) = mpsc::channel(1);
        let (shutdown, signal) = watch::channel(false);
        let task = tokio::spawn(Box::new(source).run(sink, questions, signal));
        Ok(Self { updates, reached: None, is_caught_up: false, hub, stats, shutdown, task })
    }

    /// The next update and its channel. Checks that positions only grow.
    pub async fn next_named(&mut self) -> Result<(String, SourceUpdate)> {
        let (channel, update) = loop {
            let update = timeout(UPDATE_MAX, self.updates.recv()).await.context("the source says nothing")?;
            match update.context("the source has ended")? {
                (_, SourceUpdate::Behind) => self.is_caught_up = false,
                (_, SourceUpdate::CaughtUp) => self.is_caught_up = true,
                (_, SourceUpdate::Retains(_)) => {}
                named => break named,
            }
        };
        match &update {
            SourceUpdate::Opened(position) => self.reached = Some(*position),
            SourceUpdate::Events(events) => {
                let mut reached = self.reached.context("events came before the channel was opened")?;
                ensure!(!events.is_empty() && events.len() <= 256, "a batch of {}", events.len());
                for event in events {
                    ensure!(event.offset > reached.offset, "{} came after {}", event.offset, reached.offset);
                    reached.offset = event.offset;
                }
                self.reached = Some(reached);
            }
            _ => {}
        }
        Ok((channel, update))
    }

    /// The next update, whatever its channel.
    pub async fn next(&mut self) -> Result<SourceUpdate> {
        Ok(self.next_named().await?.1)
    }

    /// The next position that is opened. Reports of a loss may come before it.
    pub async fn opened(&mut self) -> Result<Position> {
        let deadline = Instant::now() + UPDATE_MAX;
        loop {
            let reason = match self.next().await? {
                SourceUpdate::Opened(position) => return Ok(position),
                SourceUpdate::Lost { reason } => reason,
                other => bail!("expected to be opened: {other:?}"),
            };
            ensure!(Instant::now() < deadline, "not opened: {reason}");
        }
    }

    /// The reason of the next update, which must be a loss.
    pub async fn lost(&mut self) -> Result<String> {
        match self.next().await? {
            SourceUpdate::Lost { reason } => Ok(reason),
            other => bail!("expected to be lost: {other:?}"),
        }
    }

    /// The next update, which must be events. Reconnects may come before it, gaps may not.
    pub async fn batch(&mut self) -> Result<Vec<Event>> {
        loop {
            let reached = self.reached;
            match self.next().await? {
                SourceUpdate::Events(events) => return Ok(events),
                SourceUpdate::Lost { .. } => {}
                SourceUpdate::Opened(position) => ensure!(Some(position) == reached, "a gap to {position}"),
                other => bail!("expected events: {other:?}"),
            }
        }
    }

    /// Exactly so many events, without a gap between them.
    pub async fn events(&mut self, count: usize) -> Result<Vec<Event>> {
        let mut events = Vec::new();
        while events.len() < count {
            events.extend(self.batch().await?);
        }
        ensure!(events.len() == count, "{} events instead of {count}", events.len());
        Ok(events)
    }

    /// All events up to the one with this message id, which is the last, without a gap between them.
    pub async fn events_until(&mut self, last: &str) -> Result<Vec<Event>> {
        let mut events: Vec<Event> = Vec::new();
        while events.last().and_then(|event| event.message.message_id.as_deref()) != Some(last) {
            events.extend(self.batch().await?);
        }
        Ok(events)
    }

    /// Exactly so many messages of a queue, without a gap between them.
    pub async fn messages(&mut self, count: usize) -> Result<Vec<Message>> {
        let mut messages = Vec::new();
        while messages.len() < count {
            match self.next().await? {
                SourceUpdate::Messages(more) => messages.extend(more),
                other => bail!("expected messages: {other:?}"),
            }
        }
        Ok(messages)
    }

    /// Asks it, as a hub does for a peer that claims to have so much, where the channel ends.
    pub async fn find_end(&mut self, channel: ChannelName, claimed: Position) -> Result<Position> {
        self.ask(channel, claimed).await?;
        self.end().await
    }

    /// Asks, and does not wait for the answer.
    pub async fn ask(&self, channel: ChannelName, claimed: Position) -> Result<()> {
        Ok(self.hub.send(Question::End { channel, claimed }).await?)
    }

    /// The next update, which must be an answer.
    pub async fn end(&mut self) -> Result<Position> {
        match self.next().await? {
            SourceUpdate::End(end) => Ok(end),
            other => bail!("expected the end: {other:?}"),
        }
    }

    /// Stops it in good order.
    pub async fn stop(self) -> Result<()> {
        self.shutdown.send(true)?;
        timeout(STOP_MAX, self.task).await.context("the source does not stop")??;
        ensure!(!self.stats.connected(), "stopped, but counted as connected");
        Ok(())
    }
}
