//! The one task that owns the hub. Everybody else sends it inputs through a bounded queue.

use std::{collections::BTreeMap, pin::Pin, time::Duration};

use bytes::Bytes;
use tiercast_codec::{ChannelName, Code, Message, Position, SessionId};
use tiercast_mesh::{
    Hub, SourceUpdate, Time,
    hub::{Fetch, Input, Opening, Output, Portion, ReaderId, Reading, Refusal},
};
use tokio::{
    sync::mpsc,
    time::{Instant, Sleep, sleep_until},
};
use tracing::{debug, error, warn};

mod arrivals;
mod command;
mod drain;
mod handle;
mod outlets;
mod publisher;
mod reader;
mod snapshot;

use arrivals::Arrivals;
pub(crate) use command::{Change, Command, Inlet, Messages, Outlet};
use drain::Drain;
pub use handle::Handle;
use outlets::Outlets;
pub use publisher::EmbeddedPublisher;
pub use reader::Reader;
pub use snapshot::{ChannelSnapshot, Snapshot};

use tiercast_platform::Clock;

use crate::{
    config::SourceKind,
    source::{
        Question,
        embedded::{PublishError, Published, published},
        message_ids::{DuplicateLimits, MessageIds, Numbered},
        roster::{Milestone, RosterRequest, RosterRequests},
    },
};

/// Inputs that are taken before outputs are drained: enough to share the cost, few enough not to delay.
const INPUTS_PER_TURN: usize = 256;

/// How long to sleep when the hub waits for nothing.
const IDLE: Duration = Duration::from_secs(3_600);

/// A shutdown waits for the last batch, but no longer than this.
const LAST_BATCH_MAX: Duration = Duration::from_secs(1);

/// Owns the hub and does what it says.
pub(crate) struct Driver {
    hub: Hub,
    clock: Clock,
    kinds: BTreeMap<ChannelName, SourceKind>,
    outlets: Outlets<SessionId, Bytes>,
    readers: Outlets<ReaderId, Portion>,
    batch_delay: Duration,
    stopping: Stopping,
    drain: Option<Drain>,
    /// What was published lately to channels that are kept in memory.
    ids: BTreeMap<ChannelName, MessageIds>,
    duplicates: DuplicateLimits,
    /// Take what the hub wants to know, by the kind of source. Where there is none, nobody answers.
    sources: BTreeMap<SourceKind, mpsc::Sender<Question>>,
    arrivals: Arrivals,
}

/// How far the end has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stopping {
    /// Not asked for.
    No,
    /// Nothing is taken any more; at this time everything that was taken is sealed, and sessions are closed.
    ClosingAt(Time),
    /// Every session is closed.
    Closed,
}

impl Driver {
    /// A driver for a hub that has its channels, and seals events after `batch_delay` at the latest. `sources` have
    /// room for all questions that wait for an answer at a time.
    pub(crate) fn new(
        hub: Hub,
        clock: Clock,
        kinds: BTreeMap<ChannelName, SourceKind>,
        batch_delay: Duration,
        duplicates: DuplicateLimits,
        sources: BTreeMap<SourceKind, mpsc::Sender<Question>>,
    ) -> Self {
        let (outlets, readers, arrivals) = (Outlets::default(), Outlets::default(), Arrivals::default());
        let (stopping, ids) = (Stopping::No, BTreeMap::new());
        Self {
            hub,
            clock,
            kinds,
            outlets,
            readers,
            batch_delay,
            stopping,
            drain: None,
            ids,
            duplicates,
            sources,
            arrivals,
        }
    }

    /// Turns until nobody can send inputs any more.
    pub(crate) async fn run(
        mut self,
        mut commands: mpsc::Receiver<Command>,
        mut sources: mpsc::Receiver<(String, SourceUpdate)>,
        mut roster: RosterRequests,
    ) {
        let mut received = Vec::with_capacity(INPUTS_PER_TURN);
        let mut updates = Vec::with_capacity(INPUTS_PER_TURN);
        let mut sources_open = true;
        let mut timer = std::pin::pin!(sleep_until(Instant::now()));
        loop {
            self.set_timer(timer.as_mut());
            tokio::select! {
                count = commands.recv_many(&mut received, INPUTS_PER_TURN) => {
                    if count == 0 {
                        return;
                    }
                }
                count = sources.recv_many(&mut updates, INPUTS_PER_TURN), if sources_open => {
                    sources_open = count > 0;
                }
                Some(request) = roster.recv() => self.on_roster(request),
                () = timer.as_mut() => {}
            }
            for (name, update) in updates.drain(..) {
                self.on_source(&name, update);
            }
            for command in received.drain(..) {
                self.on_command(command);
            }
            if self.hub.poll_timeout().is_some_and(|due| due <= self.clock.now()) {
                self.input(Input::Timeout);
            }
            self.do_outputs();
            self.let_some_go();
            if matches!(self.stopping, Stopping::ClosingAt(time) if time <= self.clock.now()) {
                self.stopping = Stopping::Closed;
                self.outlets.close_all(&shutting_down());
                self.readers.close_all(&shutting_down());
            }
        }
    }

    fn set_timer(&self, timer: Pin<&mut Sleep>) {
        let closing = match self.stopping {
            Stopping::ClosingAt(time) => Some(time),
            Stopping::No | Stopping::Closed => None,
        };
        let draining = self.drain.map(|drain| drain.due(self.clock.now()));
        let due = self.hub.poll_timeout().into_iter().chain(closing).chain(draining).min();
        timer.reset(due.map_or_else(|| Instant::now() + IDLE, |time| self.clock.instant(time)));
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Opened(session, (from, rights), outlet) => {
                if self.is_leaving() {
                    return outlet.close(shutting_down());
                }
                self.outlets.add(session, outlet);
                self.input(Input::SessionOpened(session, from, rights));
            }
            Command::Data(session, bytes) => self.input(Input::SessionData(session, bytes)),
            Command::Closed(session) => {
                self.outlets.remove(session);
                self.input(Input::SessionClosed(session));
            }
            Command::Departed(session) => {
                self.outlets.remove(session);
                self.input(Input::SessionDeparted(session));
            }
            Command::Writable(session) => self.outlets.ready(session),
            // Whoever asked may have gone away meanwhile: then nobody wants the answer.
            Command::Publish { channel, messages, reply } => {
                let _ = reply.send(self.publish(&channel, messages));
            }
            Command::Read { reader, reading, outlet, reply } => {
                let _ = reply.send(self.open_reader(reader, reading, outlet));
            }
            Command::ChangeReader(reader, change, reply) => {
                let _ = reply.send(match change {
                    Change::Filter(filter) => self.hub.filter_reader(reader, filter),
                    Change::Pause(is_paused) => self.hub.pause_reader(reader, is_paused),
                });
            }
            Command::ReaderWritable(reader) => self.readers.ready(reader),
            Command::ReaderClosed(reader) => {
                self.readers.remove(reader);
                self.hub.close_reader(reader);
            }
            Command::Snapshot(reply) => {
                let _ = reply.send(Snapshot::take(&self.hub, &self.kinds, &self.clock));
            }
            Command::Topology(channel, reply) => {
                let _ = reply.send(self.hub.topology(&channel));
            }
            Command::Drain(length) => {
                let (sessions, readers) = (self.outlets.len(), self.readers.len());
                self.drain = Some(Drain::new(self.clock.now(), length, sessions, readers));
            }
            Command::Shutdown => {
                self.drain = None;
                let delay = self.batch_delay.min(LAST_BATCH_MAX);
                self.stopping = Stopping::ClosingAt(self.clock.now() + delay);
            }
        }
    }

    fn on_roster(&mut self, request: RosterRequest) {
        match request {
            // Whoever asked may have gone away meanwhile.
            RosterRequest::Add(name, reply) => _ = reply.send(self.add_channel(name)),
            RosterRequest::Remove(name) => self.remove_channel(&name),
            RosterRequest::Await(channel, milestone, reply) => {
                self.arrivals.wait(channel, milestone, reply, is_there(&self.hub));
            }
        }
    }

    fn add_channel(&mut self, name: ChannelName) -> bool {
        let is_added = self.hub.add_channel(self.clock.now(), &name).is_ok();
        if is_added {
            self.kinds.insert(name, SourceKind::Dynamic);
        }
        is_added
    }

    fn remove_channel(&mut self, name: &ChannelName) {
        if let Err(error) = self.hub.remove_channel(self.clock.now(), name) {
            error!(%error, "there is no such channel to be taken away");
        }
        self.kinds.remove(name);
        self.arrivals.end(name);
    }

    /// Publishes to a channel that is kept in memory.
    fn publish(
        &mut self,
        channel: &ChannelName,
        messages: Vec<Message>,
    ) -> Result<Vec<Published>, PublishError> {
        if self.stopping != Stopping::No {
            return Err(PublishError::Stopped);
        }
        let (now, reached) = (self.clock.now(), self.hub.position(channel));
        let Position { epoch, offset } = reached.ok_or(PublishError::NotReady)?;
        let ids = self.ids.entry(channel.clone()).or_insert_with(|| MessageIds::new(self.duplicates));
        let Numbered { new, offsets } = ids.number(now, offset + 1, messages);
        self.input(Input::Source(channel, SourceUpdate::Messages(new)));
        Ok(offsets.into_iter().map(|offset| published(epoch, offset)).collect())
    }

    fn open_reader(
        &mut self,
        reader: ReaderId,
        reading: Reading,
        outlet: Outlet<Portion>,
    ) -> Result<Opening, Refusal> {
        if self.is_leaving() {
            return Err(shutting_down());
        }
        let opening = self.hub.open_reader(self.clock.now(), reader, reading)?;
        self.readers.add(reader, outlet);
        Ok(opening)
    }

    fn on_source(&mut self, name: &str, update: SourceUpdate) {
        let Ok(name) = name.parse::<ChannelName>() else {
            return error!(channel = name, "a source named a channel that cannot be");
        };
        match &update {
            SourceUpdate::Events(events) if events.is_empty() => return,
            SourceUpdate::Messages(messages) if messages.is_empty() => return,
            SourceUpdate::Lost { reason } => warn!(channel = %name, reason, "source lost"),
            _ => {}
        }
        if !self.kinds.contains_key(&name) {
            return debug!(channel = %name, "the channel was taken away while its source had more to say");
        }
        self.input(Input::Source(&name, update));
        self.arrivals.tell(&name, is_there(&self.hub));
    }

    fn input(&mut self, input: Input<'_>) {
        if let Err(error) = self.hub.handle(self.clock.now(), input) {
            error!(%error, "the hub refused an input");
        }
    }

    /// Whether nobody new is let in.
    fn is_leaving(&self) -> bool {
        self.stopping != Stopping::No || self.drain.is_some()
    }

    /// Lets as many go as have to by now, each told how long the server will still be there and not want it.
    fn let_some_go(&mut self) {
        let now = self.clock.now();
        let Some(drain) = self.drain else { return };
        let (sessions, readers) = drain.may_stay(now);
        while self.outlets.len() > sessions
            && let Some(session) = self.outlets.first()
        {
            self.hub.say_wait(session, &shutting_down(), drain.left(now));
            self.do_outputs();
            self.outlets.close(session, shutting_down());
            self.input(Input::SessionClosed(session));
        }
        while self.readers.len() > readers
            && let Some(reader) = self.readers.first()
        {
            self.hub.close_reader(reader);
            self.readers.close(reader, shutting_down());
        }
    }

    /// Does what the hub wants done, then feeds every session that can take something.
    fn do_outputs(&mut self) {
        while let Some(output) = self.hub.poll_output() {
            match output {
                Output::Transmit(session) => self.outlets.ready(session),
                Output::Read(reader) => self.readers.ready(reader),
                Output::Close { session, code, reason } => {
                    debug!(%session, %code, reason, "session closed by the hub");
                    self.outlets.close(session, Refusal { code, reason });
                }
                Output::CloseReader(reader, refusal) => self.readers.close(reader, refusal),
                Output::FindEnd { channel, claimed } => self.find_end(channel, claimed),
                Output::Fetch(fetch) => self.fetch(fetch),
            }
        }
        self.outlets.pump(|session| self.hub.poll_transmit(session));
        self.readers.pump(|reader| self.hub.poll_read(reader));
    }
}

impl Driver {
    /// Finds out where a channel ends. An embedded one ends where the hub is.
    fn find_end(&mut self, channel: ChannelName, claimed: Position) {
        if self.kinds.get(&channel) == Some(&SourceKind::Embedded) {
            if let Some(end) = self.hub.position(&channel) {
                self.input(Input::Source(&channel, SourceUpdate::End(end)));
            }
        } else {
            self.ask(Question::End { channel, claimed });
        }
    }

    /// Asks a source for a page of the past.
    fn fetch(&mut self, fetch: Fetch) {
        let (channel, after) = (fetch.channel.clone(), fetch.after);
        if !self.ask(Question::Page(fetch)) {
            self.input(Input::Source(&channel, SourceUpdate::NotFetched { after }));
        }
    }

    /// Puts a question to the channel's source. False if nobody will answer it.
    fn ask(&self, question: Question) -> bool {
        let source = self.kinds.get(question.channel()).and_then(|kind| self.sources.get(kind));
        let is_asked = source.is_some_and(|source| source.try_send(question).is_ok());
        if !is_asked {
            debug!("nobody answers the hub's question: the source has ended, or too much waits for it");
        }
        is_asked
    }
}

/// Whether a channel has got so far.
fn is_there(hub: &Hub) -> impl Fn(&ChannelName, Milestone) -> bool {
    |channel, milestone| match milestone {
        Milestone::Position(position) => hub.position(channel).is_some_and(|reached| position <= reached),
        Milestone::Current => hub.is_current(channel),
    }
}

fn shutting_down() -> Refusal {
    Refusal::new(Code::SHUTDOWN, "the server is shutting down")
}
