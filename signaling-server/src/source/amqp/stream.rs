//! A session on a stream: finds the place to begin, then hands over what comes, numbered by the broker.

use std::{
    convert::Infallible,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use futures_util::FutureExt;
use lapin::{message::Delivery, types::FieldTable};
use tiercast_codec::{BEFORE_FIRST, Event, Offset, Position};
use tokio::time::{Instant, interval, sleep_until, timeout};
use tracing::warn;

use super::{
    broker::Broker,
    config::AmqpChannelConfig,
    consumption::Consumption,
    dynamic::binder::{Binder, keep_bound, known_from},
    error::AmqpError,
    feed::Feed,
    lifetime::{Lifetime, Settled, is_still, renumber, settle},
    mark::{self, Mark},
    memory::Known,
    message,
    omission::Omission,
    past::Past,
    peek::{SILENCE, history, oldest},
    place::Place,
    seen::Seen,
    topology::{bind, bind_marks},
};

/// The hub's question is answered so much later: most peers that are ahead of us come from a server that is so by
/// milliseconds, and then there is no need for a mark. Unvalidated.
const ANSWER_AFTER: Duration = Duration::from_millis(500);

/// Least time between two looks, so that those who claim what is not there cost the broker little. Unvalidated.
const LOOKS_APART: Duration = Duration::from_secs(2);

/// Said of a look that has failed.
const END_UNKNOWN: &str = "the stream's end cannot be told; tried again";

/// What is remembered from one session to the next.
#[derive(Debug, Default)]
pub(super) struct StreamState {
    /// What has been handed over; `None` before the first session has got that far, and where it counts no more.
    position: Option<Position>,
    /// The last message that came, be it an event or not.
    seen: Option<Seen>,
    /// The stream that we know.
    lifetime: Option<Lifetime>,
    /// We have begun its numbering, and other servers have not been told.
    is_unannounced: bool,
}

impl StreamState {
    /// What an earlier start of the server knew: what the stream was, but not what the hub has.
    pub(super) fn remembered(known: Option<Known>) -> Self {
        let (lifetime, seen) = known.map(|known| (known.lifetime, known.seen)).unzip();
        Self { lifetime, seen, ..Self::default() }
    }

    fn enter(&mut self, lifetime: Lifetime) {
        let before = self.lifetime.replace(lifetime);
        if before.is_some_and(|before| before.stream != lifetime.stream) {
            self.seen = None;
            // All that is in a stream created since is new.
            if let Some(position) = &mut self.position {
                *position = Position::new(lifetime.epoch, BEFORE_FIRST);
            }
        }
    }
}

/// Runs one session. Returns only by an error; the state says how far it got.
pub(super) async fn run(
    broker: &Broker,
    config: &AmqpChannelConfig,
    feed: &mut Feed,
    past: &mut Past,
    state: &mut StreamState,
    binder: Option<&Binder>,
) -> Result<Infallible, AmqpError> {
    let queue = config.queue_name();
    if let Some(binder) = binder {
        binder.find_exchange(broker).await?;
    }
    let Settled { lifetime, is_new, is_renumbered } = settle(broker, config, state.lifetime).await?;
    state.enter(lifetime);
    if is_renumbered {
        feed.renumbered(lifetime.epoch);
        state.is_unannounced = true;
    }
    let begins = match binder {
        Some(binder) => binder.enter(broker, &queue, lifetime).await?,
        None => {
            let channel = broker.open_channel().await?;
            bind(broker, &channel, &queue, &config.bindings).await?;
            bind_marks(broker, &channel, &queue, FieldTable::default()).await?;
            None
        }
    };
    if state.is_unannounced {
        state.announce(broker, &queue).await;
    }
    if let (None, Some(seen), false) = (state.position, state.seen, is_new) {
        // What an earlier start of the server had: is it still there?
        let place = Place::Offset(seen.offset).arguments();
        let mut consumption = Consumption::start(broker, &queue, place).await?;
        if first_batch(broker, &queue, &mut consumption, seen.offset, Some(seen)).await?.is_none() {
            return begin_anew(broker, config, feed, state, lifetime).await;
        }
        state.seen = None;
    }

    let start = match (begins, state.position) {
        (Some(mark), _) => Start::Mark(mark),
        (None, Some(position)) => Start::Resume(position.offset),
        (None, None) if is_new => Start::Resume(BEFORE_FIRST),
        (None, None) => Start::History(start_of_history(broker, &queue, config.history_s).await?),
    };
    let from = start.first(state.seen);
    let consumption = Consumption::start(broker, &queue, Place::Offset(from).arguments()).await?;
    // Between the first look and the consumer's start the stream may have been created again.
    if !is_still(broker, config, lifetime).await? {
        return Err(AmqpError::Deleted);
    }
    let session = Session {
        broker,
        config,
        queue,
        lifetime,
        feed,
        state,
        binder,
        consumption,
        came: from - 1,
        end_mark: EndMark::None,
    };
    tokio::select! {
        ended = session.hand_over(start, is_new) => ended,
        error = past.serve(broker, config, lifetime, binder) => Err(error),
    }
}

impl StreamState {
    /// Tells the other servers of a stream that a new numbering has begun. Tried again where that fails.
    async fn announce(&mut self, broker: &Broker, queue: &str) {
        let Some(lifetime) = self.lifetime else { return };
        match Mark::Numbering(lifetime.epoch).put(broker, queue, &Mark::id()).await {
            Ok(()) => self.is_unannounced = false,
            Err(error) => {
                warn!(queue, %error, "other servers do not know the new numbering yet; tried again")
            }
        }
    }
}

/// Where a session begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    /// At a message of the past, with nothing handed over yet.
    History(Offset),
    /// Behind what has been handed over.
    Resume(Offset),
    /// At this mark: only from here on is all bound that is wanted.
    Mark(Offset),
}

impl Start {
    /// The first message to be asked for. The last one that came is asked for again: it tells whether the stream goes on
    /// where it was.
    fn first(self, seen: Option<Seen>) -> Offset {
        match self {
            Start::History(first) | Start::Mark(first) => first,
            Start::Resume(reached) => match seen {
                Some(seen) if seen.offset >= reached => seen.offset,
                _ => reached + 1,
            },
        }
    }

    /// The place before what is handed over first, if this is the first batch.
    fn opens_at(self, batch: &[Delivery]) -> Result<Offset, AmqpError> {
        match self {
            Start::History(_) => Ok(message::stream_offset(&batch[0]).ok_or(AmqpError::NoOffset)? - 1),
            Start::Mark(at) | Start::Resume(at) => Ok(at),
        }
    }
}

/// Where the last `history_s` seconds begin, or the newest chunk if that is older.
async fn start_of_history(broker: &Broker, queue: &str, history_s: u64) -> Result<Offset, AmqpError> {
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let since = (history_s > 0).then(|| now_s.saturating_sub(history_s));
    history(broker, queue, since).await
}

/// Begins a new numbering, if no other server has done so, tells the others, and forgets where we were.
async fn begin_anew(
    broker: &Broker,
    config: &AmqpChannelConfig,
    feed: &Feed,
    state: &mut StreamState,
    present: Lifetime,
) -> Result<Infallible, AmqpError> {
    let had = state.position.map(|position| position.epoch).or(state.seen.map(|seen| seen.epoch));
    let lifetime = match had == Some(present.epoch) {
        true => renumber(broker, config, present, None).await?,
        false => present,
    };
    feed.renumbered(lifetime.epoch);
    feed.forget();
    // Told when the next session has begun.
    *state = StreamState { lifetime: Some(lifetime), is_unannounced: true, ..StreamState::default() };
    Err(AmqpError::Renumbered)
}

/// The first batch from `from` on, or `None` if the stream does not go on where it was: it ends before that, or has
/// another message in the place of the last one that we know.
async fn first_batch(
    broker: &Broker,
    queue: &str,
    consumption: &mut Consumption,
    from: Offset,
    seen: Option<Seen>,
) -> Result<Option<Vec<Delivery>>, AmqpError> {
    let batch = match timeout(SILENCE, consumption.next_batch()).await {
        Ok(batch) => batch?,
        // Something comes, or a mark does, or the broker is not to be relied on.
        Err(_) => tokio::select! {
            batch = consumption.next_batch() => batch?,
            end = Mark::Here.place(broker, queue) => {
                if end? < from {
                    return Ok(None);
                }
                let batch = timeout(broker.rpc_timeout(), consumption.next_batch()).await;
                batch.map_err(|_| broker.silent("reading the stream"))??
            }
        },
    };
    let is_known = seen.map_or(Ok(true), |seen| seen.is_kept_by(&batch[0]))?;
    Ok(is_known.then_some(batch))
}

/// Where the stream ends at this time, by a mark.
async fn end_at(at: Instant, broker: &Broker, queue: String) -> Result<Offset, AmqpError> {
    sleep_until(at).await;
    Ok(Mark::Here.place(broker, &queue).await? - 1)
}

/// A consumer that has been started in a life of the stream that is known.
struct Session<'a> {
    broker: &'a Broker,
    config: &'a AmqpChannelConfig,
    queue: String,
    lifetime: Lifetime,
    feed: &'a mut Feed,
    /// The position moves as soon as the hub has what it covers.
    state: &'a mut StreamState,
    /// Binds what is asked for while the session runs; none for what the configuration binds.
    binder: Option<&'a Binder>,
    consumption: Consumption,
    /// The last message that this consumer got, or what is before the first one that was asked for.
    came: Offset,
    end_mark: EndMark,
}

/// A mark of ours that says, when it comes, that what was there when we came has come.
#[derive(Debug, PartialEq, Eq)]
enum EndMark {
    /// None is on its way.
    None,
    /// It has not come yet; this tells it from others.
    Awaited(String),
    Came,
}

impl Session<'_> {
    async fn hand_over(mut self, start: Start, is_new: bool) -> Result<Infallible, AmqpError> {
        if is_new && start == Start::Resume(BEFORE_FIRST) {
            self.retains_after(BEFORE_FIRST).await?;
            self.open(BEFORE_FIRST).await?;
            self.feed.caught_up().await?;
        } else {
            let (broker, queue, from, seen) = (self.broker, &self.queue, self.came + 1, self.state.seen);
            let Some(batch) = first_batch(broker, queue, &mut self.consumption, from, seen).await? else {
                return begin_anew(broker, self.config, self.feed, self.state, self.lifetime).await;
            };
            let oldest = oldest(broker, queue).await?;
            self.feed.behind().await?;
            // Before a mark nobody knows what was bound when, so it is as if it were not there.
            let mark = if let Start::Mark(mark) = start { Some(mark) } else { None };
            self.retains_after(mark.unwrap_or(oldest - 1)).await?;
            self.open(start.opens_at(&batch)?).await?;
            if let Some(binder) = self.binder {
                binder.opened(self.lifetime, mark.and(self.state.position));
            }
            self.hand_on(batch).await?;
            self.catch_up().await?;
        }
        self.go_on().await
    }

    /// Hands over what comes, and answers the hub's questions. A look that fails ends nothing: it is taken again.
    async fn go_on(mut self) -> Result<Infallible, AmqpError> {
        let (broker, queue) = (self.broker, self.queue.clone());
        let mut look_at = Instant::now();
        let mut look = None;
        let mut often = interval(LOOKS_APART);
        let mut binding = std::pin::pin!(keep_bound(self.binder, broker, &queue));
        loop {
            tokio::select! {
                ended = &mut binding => return ended,
                _ = often.tick(), if self.state.is_unannounced => self.state.announce(broker, &queue).await,
                batch = self.consumption.next_batch() => {
                    self.hand_on(batch?).await?;
                    if !self.feed.is_asked() {
                        look = None;
                    }
                }
                claimed = self.feed.question(), if look.is_none() => match self.has_reached(claimed) {
                    true => self.answer(self.reached()).await?,
                    false => {
                        look_at = (look_at + LOOKS_APART).max(Instant::now() + ANSWER_AFTER);
                        look = Some(Box::pin(end_at(look_at, broker, queue.clone())));
                    }
                },
                end = async { look.as_mut().expect("there is one").await }, if look.is_some() => {
                    look = None;
                    match end {
                        Ok(end) => self.answer(end).await?,
                        Err(error) => warn!(queue, %error, "{END_UNKNOWN}"),
                    }
                }
            }
        }
    }

    /// Hands over what is left of what was there when we came. Where there is no pause, a mark says when that is.
    async fn catch_up(&mut self) -> Result<(), AmqpError> {
        let mut look_at = Instant::now();
        loop {
            let (batch, is_end) = self.consumption.next_or_end().await?;
            self.hand_on(batch).await?;
            if is_end || self.end_mark == EndMark::Came {
                return self.feed.caught_up().await;
            }
            if self.end_mark == EndMark::None && Instant::now() >= look_at {
                let mark = Mark::id();
                match Mark::Here.put(self.broker, &self.queue, &mark).await {
                    Ok(()) => self.end_mark = EndMark::Awaited(mark),
                    Err(error) => warn!(queue = self.queue, %error, "{END_UNKNOWN}"),
                }
                look_at = Instant::now() + LOOKS_APART;
            }
        }
    }

    /// Tells the hub where the stream ends.
    async fn answer(&mut self, end: Offset) -> Result<(), AmqpError> {
        self.feed.answer(Position::new(self.lifetime.epoch, end)).await
    }

    /// Answers at once if no look is needed.
    async fn answer_if_reached(&mut self) -> Result<(), AmqpError> {
        match self.feed.question().now_or_never() {
            Some(claimed) if self.has_reached(claimed) => self.answer(self.reached()).await,
            _ => Ok(()),
        }
    }

    /// Whether we have as much ourselves, or it is not of this numbering.
    fn has_reached(&self, claimed: Position) -> bool {
        claimed.epoch != self.lifetime.epoch || claimed.offset <= self.reached()
    }

    fn reached(&self) -> Offset {
        self.state.position.map_or(BEFORE_FIRST, |position| position.offset)
    }

    async fn hand_on(&mut self, batch: Vec<Delivery>) -> Result<(), AmqpError> {
        let Some(last) = batch.last() else { return Ok(()) };
        let seen = Seen::of(self.lifetime.epoch, last)?;
        self.take(batch).await?;
        self.state.seen = Some(seen);
        self.feed.remember(Known { lifetime: self.lifetime, seen });
        self.consumption.handed_over().await?;
        self.answer_if_reached().await
    }

    /// Hands a batch to the hub: not what it has already, and with an explicit gap in the place of what is left out.
    async fn take(&mut self, batch: Vec<Delivery>) -> Result<(), AmqpError> {
        let (reached, mut oldest) = (self.reached(), None);
        let mut events: Vec<Event> = Vec::with_capacity(batch.len());
        for delivery in batch {
            let offset = message::stream_offset(&delivery).ok_or(AmqpError::NoOffset)?;
            let came = std::mem::replace(&mut self.came, offset);
            if offset <= came {
                return Err(AmqpError::WentBack);
            }
            if offset <= reached {
                continue;
            }
            let from = came.max(reached) + 1;
            if offset > from && self.begins(&mut oldest).await? > from {
                self.send(std::mem::take(&mut events)).await?;
                self.tell_what_is_cut(from, offset - 1).await?;
            }
            if let Some(mark) = Mark::read(&delivery, &self.queue) {
                if let Mark::Numbering(epoch) = mark
                    && epoch > self.lifetime.epoch
                {
                    // Known from now on, even if what was written down is gone.
                    self.state.lifetime = Some(Lifetime { epoch, ..self.lifetime });
                    return Err(AmqpError::Renumbered);
                }
                let id = mark::id(&delivery);
                if let (EndMark::Awaited(awaited), Some(id)) = (&self.end_mark, &id)
                    && awaited == id
                {
                    self.end_mark = EndMark::Came;
                }
                if let (Some(binder), Some(id)) = (self.binder, id) {
                    let at = |offset| Position::new(self.lifetime.epoch, offset);
                    let before = events.last().map_or(self.reached(), |event| event.offset);
                    binder.came_by(&id, at(offset), at(before));
                }
                continue;
            }
            let Some(omission) = Omission::read(&delivery) else {
                events.push(Event { offset, message: message::from_stream(delivery) });
                continue;
            };
            self.send(std::mem::take(&mut events)).await?;
            let position = Position::new(self.lifetime.epoch, offset);
            self.feed.left_out(position, omission).await?;
            self.state.position = Some(position);
        }
        self.send(events).await
    }

    /// Where the stream begins now, which is looked up once for a batch that has come. Skipped offsets alone mean nothing: the
    /// broker skips one at most segments' borders. But it cuts segments also before one who lags behind, and then goes on at
    /// the oldest that is left.
    async fn begins(&self, known: &mut Option<Offset>) -> Result<Offset, AmqpError> {
        match *known {
            Some(oldest) => Ok(oldest),
            None => Ok(*known.insert(oldest(self.broker, &self.queue).await?)),
        }
    }

    /// Says that these offsets, which did not come, are no longer retained: whether they had events nobody knows.
    async fn tell_what_is_cut(&mut self, from: Offset, to: Offset) -> Result<(), AmqpError> {
        warn!(queue = self.queue, from, to, "events may be lost: the stream no longer retains what is here");
        if let EndMark::Awaited(_) = self.end_mark {
            // It may have been there.
            self.end_mark = EndMark::None;
        }
        self.open(to).await
    }

    async fn retains_after(&mut self, offset: Offset) -> Result<(), AmqpError> {
        let retained = Position::new(self.lifetime.epoch, offset);
        self.feed.retains(known_from(self.binder, retained)).await
    }

    async fn open(&mut self, offset: Offset) -> Result<(), AmqpError> {
        let position = Position::new(self.lifetime.epoch, offset);
        self.feed.opened(position).await?;
        self.state.position = Some(position);
        Ok(())
    }

    async fn send(&mut self, events: Vec<Event>) -> Result<(), AmqpError> {
        let Some(last) = events.last().map(|event| event.offset) else { return Ok(()) };
        self.feed.events(events).await?;
        self.state.position = Some(Position::new(self.lifetime.epoch, last));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_asks_again_for_the_last_message_that_came() {
        let seen = |offset| Some(Seen { epoch: 7, offset, hash: 0 });
        assert_eq!(Start::Resume(41).first(seen(41)), 41);
        assert_eq!(Start::Resume(41).first(seen(43)), 43, "a mark behind the last event");
        assert_eq!(Start::Resume(41).first(seen(40)), 42);
        assert_eq!(Start::Resume(BEFORE_FIRST).first(None), 0);
        assert_eq!(Start::History(41).first(None), 41);
    }

    #[test]
    fn a_stream_created_since_is_new_from_its_beginning_however_often_it_is_tried() {
        let known = Lifetime { stream: 7, epoch: 7 };
        let seen = Some(Seen { epoch: 7, offset: 41, hash: 0 });
        let position = Some(Position::new(7, 41));
        let mut state = StreamState { position, seen, lifetime: Some(known), ..StreamState::default() };
        state.enter(Lifetime { epoch: 8, ..known });
        assert_eq!((state.position, state.seen), (Some(Position::new(7, 41)), seen), "the same stream");
        for _ in 0..2 {
            state.enter(Lifetime { stream: 9, epoch: 9 });
            assert_eq!((state.position, state.seen), (Some(Position::new(9, BEFORE_FIRST)), None));
        }
    }
}
