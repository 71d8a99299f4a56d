//! Takes what waits out of the queue, publishes it batch by batch, and answers those who wait.

use std::{collections::VecDeque, time::Duration};

use tiercast_codec::Position;
use tiercast_platform::Reconnect;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep, timeout},
};
use tracing::debug;

use crate::{
    EmitError, EmitOptions,
    connection::{Connection, Trouble},
};

/// The longest time between two attempts, unless the server asks for more.
const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// An event that waits to be published.
#[derive(Debug)]
pub(crate) struct Waiting {
    /// As the batch endpoint takes it.
    pub(crate) item: String,
    pub(crate) emitted: Instant,
    pub(crate) answer: oneshot::Sender<Result<Position, EmitError>>,
}

/// Publishes events in their order, one request at a time.
pub(crate) struct Sender {
    connection: Connection,
    options: EmitOptions,
    /// The next ones, as many as a batch may have.
    batch: VecDeque<Waiting>,
    /// Most events of the next batch: fewer after one was refused, to find out which event that is about.
    events_max: usize,
    backoff: Reconnect,
}

impl Sender {
    pub(crate) fn new(connection: Connection, options: EmitOptions) -> Self {
        let events_max = options.batch_events.max(1);
        let backoff = Reconnect::up_to(BACKOFF_MAX);
        Self { connection, options, batch: VecDeque::new(), events_max, backoff }
    }

    /// Publishes until nobody emits any more and nothing is left.
    pub(crate) async fn run(mut self, mut queue: mpsc::Receiver<Waiting>) {
        while self.fill(&mut queue).await {
            let events = self.batch.len().min(self.events_max);
            let body = body_of(self.batch.iter().take(events));
            let posted = timeout(self.options.answer, self.connection.post(body, events)).await;
            let late = |_| Err(Trouble::unknown(format!("no answer within {:?}", self.options.answer)));
            match posted.unwrap_or_else(late) {
                Ok(positions) => self.published(positions),
                Err(Trouble::Refused(error)) => self.refused(events, &error),
                Err(Trouble::AllRefused(error)) => self.answer_all(&error),
                Err(Trouble::Unknown { reason, retry_after }) => self.wait(reason, retry_after).await,
            }
        }
    }

    /// Takes what waits, as far as a batch has room. False if nothing ever will.
    async fn fill(&mut self, queue: &mut mpsc::Receiver<Waiting>) -> bool {
        if self.batch.is_empty() {
            self.batch.extend(queue.recv().await);
        }
        let mut bytes: usize = self.batch.iter().map(|waiting| waiting.item.len()).sum();
        while self.batch.len() < self.options.batch_events && bytes < self.options.batch_bytes {
            let Ok(waiting) = queue.try_recv() else { break };
            bytes += waiting.item.len();
            self.batch.push_back(waiting);
        }
        !self.batch.is_empty()
    }

    fn published(&mut self, positions: Vec<Position>) {
        for (waiting, position) in self.batch.drain(..positions.len()).zip(positions) {
            // Whoever does not wait any more does not want to know.
            let _ = waiting.answer.send(Ok(position));
        }
        self.go_on();
    }

    /// Nothing of a batch is published if one of its events is refused: the others are not to suffer for that.
    fn refused(&mut self, events: usize, error: &EmitError) {
        if events > 1 {
            self.events_max = events / 2;
            return;
        }
        self.answer(1, error);
        self.go_on();
    }

    fn go_on(&mut self) {
        self.events_max = self.options.batch_events.max(1);
        self.backoff = Reconnect::up_to(BACKOFF_MAX);
    }

    fn answer_all(&mut self, error: &EmitError) {
        self.answer(self.batch.len(), error);
    }

    fn answer(&mut self, events: usize, error: &EmitError) {
        for waiting in self.batch.drain(..events) {
            let _ = waiting.answer.send(Err(error.clone()));
        }
    }

    /// Gives up those who have waited for too long, and waits for the next attempt.
    async fn wait(&mut self, reason: String, retry_after: Duration) {
        let delay = self.backoff.next_delay(Duration::ZERO).max(retry_after);
        debug!(reason, ?delay, events = self.batch.len(), "not known to be published");
        let after = self.options.give_up;
        let given_up =
            self.batch.iter().take_while(|waiting| waiting.emitted.elapsed() + delay >= after).count();
        self.answer(given_up, &EmitError::GaveUp { after, reason });
        if !self.batch.is_empty() {
            sleep(delay).await;
        }
    }
}

fn body_of<'a>(batch: impl Iterator<Item = &'a Waiting>) -> String {
    let items: Vec<_> = batch.map(|waiting| waiting.item.as_str()).collect();
    format!("[{}]", items.join(","))
}
