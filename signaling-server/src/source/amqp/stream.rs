//! A session on a stream: finds the epoch and the place to begin, then hands over what comes, numbered by the broker.

use std::{
    convert::Infallible,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use lapin::message::Delivery;
use tiercast_codec::{BEFORE_FIRST, Epoch, Event, Offset, Position};
use tokio::time::{sleep, timeout};
use tracing::warn;

use super::{
    config::AmqpChannelConfig,
    connection::Broker,
    consumption::Consumption,
    epoch_marker::{Declared, declare},
    error::AmqpError,
    feed::Feed,
    message,
    omission::Omission,
    peek::{Place, peek},
    topology::bind,
};
use crate::epoch::epoch_age_ms;

/// A stream that another server may be creating just now is left alone for this long. Who binds or consumes at once
/// makes the broker kill publishers' connections (`docs/measurements.md`: 36 of 40 races; after 500 ms, 0 of 50).
const SETTLE: Duration = Duration::from_millis(500);

/// Streams younger than this may be being created just now: far more than a creation takes, for clocks that differ.
const YOUNG_MS: u64 = 30_000;

/// What is remembered from one session to the next.
#[derive(Debug, Default)]
pub(super) struct StreamState {
    /// What has been handed over; `None` before the first session has got that far.
    position: Option<Position>,
    /// The stream that we made or have waited for.
    settled: Option<Epoch>,
}

impl StreamState {
    fn last_epoch(&self) -> Option<Epoch> {
        self.settled.max(self.position.map(|position| position.epoch))
    }
}

/// Runs one session. Returns only by an error; the state says how far it got.
pub(super) async fn run(
    broker: &Broker,
    config: &AmqpChannelConfig,
    feed: &mut Feed,
    state: &mut StreamState,
) -> Result<Infallible, AmqpError> {
    let queue = config.queue_name();
    let epoch = settle(broker, config, &queue, state).await?;
    let channel = broker.open_channel().await?;
    bind(broker, &channel, &queue, &config.bindings).await?;
    drop(channel);

    let start = match state.position {
        Some(position) if position.epoch == epoch => Start::After(position.offset),
        // All that is in a stream created since is new.
        Some(_) => Start::After(BEFORE_FIRST),
        None => start_of_history(broker, &queue, config.history_s).await?,
    };
    let consumption = Consumption::start(broker, &queue, start.place().arguments()).await?;
    // Between the first look at the epoch and the consumer's start the stream may have been created again.
    match declare(broker, &queue, &config.retention, state.last_epoch()).await? {
        Declared::Existing(still) if still == epoch => {}
        Declared::Existing(_) => return Err(AmqpError::Deleted),
        Declared::Created(new) => {
            state.settled = Some(new);
            return Err(AmqpError::Deleted);
        }
    }
    Session { broker, queue, epoch, feed, position: &mut state.position, consumption }.hand_over(start).await
}

/// Declares the stream and, if it is not ours and may be very new, gives the broker time to finish it.
async fn settle(
    broker: &Broker,
    config: &AmqpChannelConfig,
    queue: &str,
    state: &mut StreamState,
) -> Result<Epoch, AmqpError> {
    let epoch = match declare(broker, queue, &config.retention, state.last_epoch()).await? {
        Declared::Created(epoch) => epoch,
        Declared::Existing(epoch) => {
            if state.settled != Some(epoch) && epoch_age_ms(epoch) < YOUNG_MS {
                sleep(SETTLE).await;
            }
            epoch
        }
    };
    state.settled = Some(epoch);
    Ok(epoch)
}

/// Where a session begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    /// Behind what has been handed over.
    After(Offset),
    /// At an event of the past, with nothing handed over yet.
    At(Offset),
}

impl Start {
    fn place(self) -> Place {
        match self {
            Start::After(offset) => Place::Offset(offset + 1),
            Start::At(offset) => Place::Offset(offset),
        }
    }
}

/// Where the last `history_s` seconds begin, or the newest chunk if that is older.
async fn start_of_history(broker: &Broker, queue: &str, history_s: u64) -> Result<Start, AmqpError> {
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let since = async {
        if history_s == 0 {
            Ok(None)
        } else {
            peek(broker, queue, Place::Time(now_s.saturating_sub(history_s))).await
        }
    };
    let (last, since) = tokio::try_join!(peek(broker, queue, Place::Last), since)?;
    Ok(older(last, since).map_or(Start::After(BEFORE_FIRST), Start::At))
}

fn older(a: Option<Offset>, b: Option<Offset>) -> Option<Offset> {
    a.into_iter().chain(b).min()
}

/// A consumer that has been started in an epoch that is known.
struct Session<'a> {
    broker: &'a Broker,
    queue: String,
    epoch: Epoch,
    feed: &'a mut Feed,
    /// Moves as soon as the hub has what it covers.
    position: &'a mut Option<Position>,
    consumption: Consumption,
}

impl Session<'_> {
    async fn hand_over(mut self, start: Start) -> Result<Infallible, AmqpError> {
        let mut batch = match start {
            Start::After(offset) => {
                self.open(offset).await?;
                self.first_batch_after(offset).await?
            }
            Start::At(_) => {
                let limit = self.broker.rpc_timeout();
                let batch = timeout(limit, self.consumption.next_batch()).await;
                let batch = batch.map_err(|_| self.broker.silent("reading the history"))??;
                let first = message::stream_offset(&batch[0]).ok_or(AmqpError::NoOffset)?;
                self.open(first - 1).await?;
                batch
            }
        };
        loop {
            self.take(batch).await?;
            self.consumption.handed_over().await?;
            batch = self.consumption.next_batch().await?;
        }
    }

    /// Waits for the first batch, and says so if there is a hole before it in which events are lost.
    ///
    /// A hole alone means nothing: a segment's end skips an offset. But where the oldest retained event is behind
    /// the one we want next, what was between is gone.
    async fn first_batch_after(&mut self, reached: Offset) -> Result<Vec<Delivery>, AmqpError> {
        let batch = self.consumption.next_batch().await?;
        let mut offsets = batch.iter().map_while(message::stream_offset);
        let Some(next) = offsets.find(|offset| *offset > reached) else { return Ok(batch) };
        if next == reached + 1 {
            return Ok(batch);
        }
        let first = peek(self.broker, &self.queue, Place::First).await?;
        let first = first.ok_or_else(|| self.broker.silent("looking for the oldest event"))?;
        if first > reached + 1 {
            let (from, to) = (reached + 1, next - 1);
            warn!(queue = self.queue, from, to, "events are lost: the stream no longer retains them");
            self.open(next - 1).await?;
        }
        Ok(batch)
    }

    /// Hands a batch to the hub: not what it has already, and with an explicit gap in the place of what is left out.
    async fn take(&mut self, batch: Vec<Delivery>) -> Result<(), AmqpError> {
        let mut reached = self.position.map_or(BEFORE_FIRST, |position| position.offset);
        let mut events = Vec::with_capacity(batch.len());
        for delivery in batch {
            let offset = message::stream_offset(&delivery).ok_or(AmqpError::NoOffset)?;
            if offset <= reached {
                continue;
            }
            reached = offset;
            let Some(omission) = Omission::read(&delivery) else {
                events.push(Event { offset, message: message::from_stream(delivery) });
                continue;
            };
            self.send(std::mem::take(&mut events)).await?;
            let position = Position::new(self.epoch, offset);
            self.feed.left_out(position, omission).await?;
            *self.position = Some(position);
        }
        self.send(events).await
    }

    async fn open(&mut self, offset: Offset) -> Result<(), AmqpError> {
        let position = Position::new(self.epoch, offset);
        self.feed.opened(position).await?;
        *self.position = Some(position);
        Ok(())
    }

    async fn send(&mut self, events: Vec<Event>) -> Result<(), AmqpError> {
        let Some(last) = events.last().map(|event| event.offset) else { return Ok(()) };
        self.feed.events(events).await?;
        *self.position = Some(Position::new(self.epoch, last));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn history_begins_at_the_older_of_the_two_places() {
        assert_eq!(older(Some(7), Some(3)), Some(3));
        assert_eq!(older(Some(7), Some(9)), Some(7));
        assert_eq!(older(Some(7), None), Some(7));
        assert_eq!(older(None, None), None);
    }

    #[test]
    fn a_session_begins_behind_what_has_been_handed_over() {
        assert_eq!(Start::After(41).place(), Place::Offset(42));
        assert_eq!(Start::After(BEFORE_FIRST).place(), Place::Offset(0));
        assert_eq!(Start::At(41).place(), Place::Offset(41));
    }
}
