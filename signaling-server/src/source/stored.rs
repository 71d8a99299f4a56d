//! The embedded source with a store: a channel's events are on disk before anybody sees them, or their publisher an answer.
//!
//! Publishers wait in a queue that is bounded by bytes. Whatever came while the disk was busy is written next, all of it with
//! one sync; then the hub gets the events with their offsets, and each publisher its positions.

use std::{sync::Arc, time::Duration};

use tiercast_codec::{ChannelName, Epoch, Event, Message, Offset, Position};
use tiercast_mesh::{SourceUpdate, Time};
use tiercast_platform::Clock;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    task::spawn_blocking,
    time::{MissedTickBehavior, interval},
};
use tracing::{error, info, warn};

use super::{
    Shutdown, SourceSink,
    embedded::{PublishError, Published, published},
    message_ids::{DuplicateLimits, MessageIds, Numbered},
    store::{Extent, Folder, PageLimits, Reader, Retention, Store, StoreError},
};

mod past;

pub(crate) use past::answer;

/// How embedded channels keep their events, if there is a `data_dir`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreConfig {
    /// What is kept of each channel.
    pub retention: Retention,
    /// Bytes of a channel's events that may wait for the disk; publishers beyond that wait themselves. Default 64 MiB.
    pub queue_bytes: u32,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self { retention: Retention::default(), queue_bytes: 64 << 20 }
    }
}

/// How often is looked for events that are too old.
const RETAIN_EVERY: Duration = Duration::from_secs(60);

/// Publishers that are answered with one sync: all that the queue holds, in the end.
const REQUESTS_PER_SYNC: usize = 65_536;

/// Events that are read at a time when the hub's log is filled.
const PAGE: PageLimits = PageLimits { events: 4_096, bytes: 4 << 20 };

/// What is to be published, all of it or nothing.
#[derive(Debug)]
struct Request {
    messages: Vec<Message>,
    reply: Reply,
    room: OwnedSemaphorePermit,
}

type Reply = oneshot::Sender<Result<Vec<Published>, PublishError>>;

/// What a publisher is answered once the disk has answered.
#[derive(Debug)]
struct Answer {
    /// The offset of each message, and whether it was there before.
    offsets: Vec<(Offset, bool)>,
    reply: Reply,
    /// Given back with the answer.
    room: OwnedSemaphorePermit,
}

/// What comes back from the thread that waited for the disk.
struct Written {
    store: Store,
    new: Vec<Vec<Message>>,
    result: Result<(), String>,
}

/// A channel's store, as publishers and metrics see it. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct StoredChannel {
    queue: mpsc::UnboundedSender<Request>,
    /// Bounds the queue: its permits are bytes.
    room: Arc<Semaphore>,
    queue_bytes: u32,
    reader: Reader,
}

/// The task that appends to a channel's store.
#[derive(Debug)]
pub(crate) struct StoredSource {
    channel: ChannelName,
    clock: Clock,
    ids: MessageIds,
    queue: mpsc::UnboundedReceiver<Request>,
    /// Not here while the disk is busy.
    store: Option<Store>,
    /// The last write failed, and that was said.
    is_failing: bool,
    /// From where on the hub was told that events are retained.
    oldest: Offset,
}

/// Opens a channel's store.
pub(crate) fn open<E: From<StoreError>>(
    folder: &Folder,
    channel: &ChannelName,
    config: &StoreConfig,
    duplicates: DuplicateLimits,
    clock: Clock,
    new_epoch: impl FnOnce() -> Result<Epoch, E>,
) -> Result<(StoredSource, StoredChannel), E> {
    let store = Store::open(folder, channel, config.retention, clock.now(), new_epoch)?;
    let ids = known_ids(&store.reader(), clock.now(), duplicates)?;
    let (sender, queue) = mpsc::unbounded_channel();
    let (room, queue_bytes) = (Arc::new(Semaphore::new(config.queue_bytes as usize)), config.queue_bytes);
    let stored = StoredChannel { queue: sender, room, queue_bytes, reader: store.reader() };
    let (channel, store) = (channel.clone(), Some(store));
    let oldest = stored.extent().oldest;
    Ok((StoredSource { channel, clock, ids, queue, store, is_failing: false, oldest }, stored))
}

/// The ids of what is in the store.
fn known_ids(reader: &Reader, now: Time, limits: DuplicateLimits) -> Result<MessageIds, StoreError> {
    let mut ids = MessageIds::new(limits);
    let oldest = Time(now.0.saturating_sub(limits.age.as_micros() as u64));
    let enough = reader.position().offset.saturating_sub_unsigned(limits.events);
    reader.each(enough.max(reader.before(oldest)), |time, event| {
        ids.remember(time, event.offset, &event.message);
    })?;
    Ok(ids)
}

impl StoredChannel {
    /// Publishes messages, all or nothing, and waits until they are durable.
    pub(crate) async fn publish(&self, messages: Vec<Message>) -> Result<Vec<Published>, PublishError> {
        let bytes: usize = messages.iter().map(Message::bytes).sum();
        let bytes = u32::try_from(bytes).map_or(self.queue_bytes, |bytes| bytes.min(self.queue_bytes));
        let room = self.room.clone().acquire_many_owned(bytes).await.map_err(|_| PublishError::Stopped)?;
        let (reply, answer) = oneshot::channel();
        self.queue.send(Request { messages, reply, room }).map_err(|_| PublishError::Stopped)?;
        answer.await.map_err(|_| PublishError::Stopped)?
    }

    /// How much there is.
    pub(crate) fn extent(&self) -> Extent {
        self.reader.extent()
    }

    /// Bytes of events that wait for the disk.
    pub(crate) fn waiting_bytes(&self) -> u64 {
        u64::from(self.queue_bytes).saturating_sub(self.room.available_permits() as u64)
    }

    /// What the source says first: how far back it goes, where the log begins that is to hold the newest `log_bytes`, and
    /// these events.
    pub(crate) fn history(
        &self,
        log_bytes: u64,
        mut say: impl FnMut(SourceUpdate),
    ) -> Result<(), StoreError> {
        let Position { epoch, offset: end } = self.reader.position();
        let mut reached = self.reader.newest(log_bytes);
        say(past::retains(&self.reader).1);
        say(SourceUpdate::Opened(Position::new(epoch, reached)));
        while reached < end {
            let page = self.reader.read(reached, PAGE)?;
            if page.after > reached {
                say(SourceUpdate::Opened(Position::new(epoch, page.after)));
            }
            reached = page.last();
            say(SourceUpdate::Events(page.events));
        }
        Ok(())
    }
}

impl StoredSource {
    /// Takes publishers' messages until shutdown, and then those that came before.
    pub(crate) async fn run(mut self, sink: SourceSink, mut stops: Shutdown) {
        let mut requests = Vec::new();
        let mut retaining = interval(RETAIN_EVERY);
        retaining.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut is_stopping = false;
        loop {
            tokio::select! {
                count = self.queue.recv_many(&mut requests, REQUESTS_PER_SYNC) => {
                    if count == 0 {
                        return;
                    }
                }
                _ = retaining.tick() => {}
                _ = stops.wait_for(|stopping| *stopping), if !is_stopping => {
                    is_stopping = true;
                    self.queue.close();
                }
            }
            self.publish(&sink, std::mem::take(&mut requests)).await;
        }
    }

    /// Writes what is new among the messages, tells the hub and answers.
    async fn publish(&mut self, sink: &SourceSink, requests: Vec<Request>) {
        let store = self.store.take().expect("the disk is not busy");
        let (now, reader, reached) = (self.clock.now(), store.reader(), store.position());
        let (new, answers) = self.number(now, reached.offset + 1, requests);
        let writing = spawn_blocking(move || write(store, now, new));
        let Written { store, new, result } = writing.await.expect("writing does not panic");
        self.store = Some(store);
        if result.is_err() {
            self.ids.forget_from(reached.offset + 1);
        } else {
            self.tell(sink, reached.offset + 1, new).await;
        }
        self.tell_what_is_retained(sink, &reader).await;
        if answers.iter().any(|answer| answer.has_new(reached)) {
            self.note(&result);
        }
        answers.into_iter().for_each(|answer| answer.send(reached, &result));
    }

    /// Tells new messages from known ones. The new ones get offsets from `next` on.
    fn number(
        &mut self,
        now: Time,
        mut next: Offset,
        requests: Vec<Request>,
    ) -> (Vec<Vec<Message>>, Vec<Answer>) {
        let number = |Request { messages, reply, room }| {
            let Numbered { new, offsets } = self.ids.number(now, next, messages);
            next += new.len() as Offset;
            (new, Answer { offsets, reply, room })
        };
        requests.into_iter().map(number).unzip()
    }

    /// Gives the hub what is durable now.
    async fn tell(&self, sink: &SourceSink, first: Offset, new: Vec<Vec<Message>>) {
        let numbered = (first..).zip(new.into_iter().flatten());
        let events: Vec<_> = numbered.map(|(offset, message)| Event { offset, message }).collect();
        if !events.is_empty() {
            // Without a hub there are no subscribers: they get it from the store when there is one again.
            let _ = sink.send((self.channel.to_string(), SourceUpdate::Events(events))).await;
        }
    }

    /// Tells the hub when old events are gone.
    async fn tell_what_is_retained(&mut self, sink: &SourceSink, reader: &Reader) {
        let (oldest, update) = past::retains(reader);
        if std::mem::replace(&mut self.oldest, oldest) != oldest {
            let _ = sink.send((self.channel.to_string(), update)).await;
        }
    }

    /// Says once that nothing can be written, and once that it can again.
    fn note(&mut self, result: &Result<(), String>) {
        match result {
            Err(reason) if !self.is_failing => {
                error!(channel = %self.channel, reason, "nothing can be published")
            }
            Ok(()) if self.is_failing => info!(channel = %self.channel, "events can be published again"),
            _ => return,
        }
        self.is_failing = result.is_err();
    }
}

impl Answer {
    /// Whether an event is meant that was not there yet when `reached` was.
    fn has_new(&self, reached: Position) -> bool {
        self.offsets.iter().any(|(offset, _)| *offset > reached.offset)
    }

    fn send(self, reached: Position, result: &Result<(), String>) {
        let answer = match result {
            Err(reason) if self.has_new(reached) => Err(PublishError::NotKept { reason: reason.clone() }),
            _ => Ok(self.offsets.into_iter().map(|offset| published(reached.epoch, offset)).collect()),
        };
        drop(self.room);
        // Whoever asked may have gone away.
        let _ = self.reply.send(answer);
    }
}

/// Appends what is new, and removes what is too old.
fn write(mut store: Store, now: Time, new: Vec<Vec<Message>>) -> Written {
    let is_idle = new.iter().all(Vec::is_empty);
    let appended = if is_idle { Ok(()) } else { store.append(now, &new).map(|_| ()) };
    if let Err(error) = store.retain(now) {
        warn!(%error, "old events cannot be removed");
    }
    Written { store, new, result: appended.map_err(|error| error.to_string()) }
}
