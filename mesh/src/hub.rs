//! The hub: the server's half of the protocol. It knows every peer, decides who feeds whom, seals events
//! into frames once and feeds those that have no parent.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use tiercast_codec::{ChannelId, ChannelName, Code, LinkId, PeerId, Ping, Sealer, SessionId, Signer, ToPeer};

use crate::{SourceUpdate, Time, timers::Timers};

mod acting;
mod api;
mod budget;
mod channel;
mod claims;
mod config;
mod fed;
mod feeding;
mod fetching;
mod leaving;
mod lookout;
mod past;
mod press;
mod pull;
mod readers;
mod reputation;
mod requests;
mod rights;
mod saying;
mod session;
mod sharing;
mod stats;
mod tickets;
mod tree;
mod views;
mod whereabouts;

pub use api::{CommandError, Fetch, Input, Output, Refusal};
use budget::Budget;
pub use budget::{Class, Spending};
use channel::Channel;
pub use channel::SourceState;
pub use config::{HubConfig, PastLimits, Tier1};
use leaving::Leave;
use press::Press;
use readers::Readers;
pub use readers::{Opening, Portion, ReaderId, Reading};
pub use reputation::Network;
use reputation::Reputation;
pub use rights::Rights;
use saying::announce;
use session::Session;
use sharing::Sharing;
pub use stats::{ChannelStats, HubStats, PastUse};
use tickets::Tickets;
pub use tree::{Place, TreeNode};
pub use whereabouts::{Location, Whereabouts};

/// One whom the server feeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Receiver {
    Peer(PeerId),
    Reader(ReaderId),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Flush(ChannelId),
    Head(ChannelId),
    Tree(ChannelId),
    Heartbeat(SessionId),
    Expiry(SessionId),
    ReaderExpiry(ReaderId),
    Look(SessionId),
    Turns,
    Pages,
}

/// The server's half of the protocol.
pub struct Hub {
    config: HubConfig,
    signer: Box<dyn Signer>,
    tickets: Tickets,
    sealer: Sealer,
    sessions: BTreeMap<SessionId, Session>,
    /// The session of each peer that has one.
    present: BTreeMap<PeerId, SessionId>,
    last_peer: u64,
    channels: BTreeMap<ChannelId, Channel>,
    readers: Readers,
    links: BTreeMap<LinkId, ChannelId>,
    last_link: u64,
    sharing: Sharing,
    budget: Budget,
    reputation: Reputation,
    timers: Timers<Timer>,
    outputs: VecDeque<Output>,
    stats: HubStats,
    /// Sessions whose outbox is full. They are closed when the input at hand is done with.
    overflowed: Vec<SessionId>,
    /// The time of the last input: what a transmit is dated with.
    now: Time,
}

impl Hub {
    /// A hub without channels. `secret` makes the tokens of peers and links: in production nobody else may know it. Peers
    /// and links outlive a hub if the next one has the same secret.
    pub fn new(config: HubConfig, signer: Box<dyn Signer>, secret: [u8; 32]) -> Self {
        Self {
            budget: Budget::new(config.feed_bytes),
            reputation: Reputation::default(),
            config,
            signer,
            tickets: Tickets::new(secret),
            sealer: Sealer::default(),
            sessions: BTreeMap::new(),
            present: BTreeMap::new(),
            last_peer: 0,
            channels: BTreeMap::new(),
            readers: Readers::default(),
            links: BTreeMap::new(),
            last_link: 0,
            sharing: Sharing::default(),
            timers: Timers::default(),
            outputs: VecDeque::new(),
            stats: HubStats::default(),
            overflowed: Vec::new(),
            now: Time::default(),
        }
    }

    /// Adds a channel. Its subscribers are told to come back until its source is open.
    pub fn add_channel(&mut self, now: Time, name: &ChannelName) -> Result<(), CommandError> {
        let id = name.id();
        if self.channels.contains_key(&id) {
            return Err(CommandError::ChannelTaken(name.clone()));
        }
        self.channels.insert(id, Channel::new(name.clone(), &self.config));
        self.timers.set(Timer::Head(id), now + self.config.head_interval);
        Ok(())
    }

    /// Takes a channel away. The sessions that are subscribed to it are closed: when they come back there is none of this
    /// name.
    pub fn remove_channel(&mut self, now: Time, name: &ChannelName) -> Result<(), CommandError> {
        let id = name.id();
        let Some(channel) = self.channel(name) else {
            return Err(CommandError::UnknownChannel(name.clone()));
        };
        let peers: Vec<_> = channel.tree.nodes().map(|node| node.peer).collect();
        for peer in peers {
            match self.present.get(&peer).copied() {
                Some(session) => self.close(now, session, Code::NOT_READY, format!("`{name}` has ended")),
                // It may be waited for still.
                None => self.remove_member(now, peer, id, Leave::ForGood),
            }
        }
        self.close_readers(id, &format!("`{name}` has ended"));
        self.links.retain(|_, channel| *channel != id);
        self.channels.remove(&id);
        for timer in [Timer::Flush(id), Timer::Head(id), Timer::Tree(id)] {
            self.timers.clear(timer);
        }
        Ok(())
    }

    /// Takes an input. An error is the caller's misuse; what a remote says is answered to the remote.
    pub fn handle(&mut self, now: Time, input: Input<'_>) -> Result<(), CommandError> {
        self.now = now;
        let result = self.take(now, input);
        while let Some(session) = self.overflowed.pop() {
            self.close(now, session, Code::SLOW, "control messages are not being read".to_owned());
        }
        result
    }

    fn take(&mut self, now: Time, input: Input<'_>) -> Result<(), CommandError> {
        match input {
            Input::SessionOpened(session, from, rights) => self.on_opened(now, session, from, rights),
            Input::SessionData(session, bytes) => {
                if !self.sessions.contains_key(&session) {
                    // Closed by the hub while the driver had more to say.
                    return Ok(());
                }
                if let Err(Refusal { code, reason }) = self.on_data(now, session, &bytes) {
                    self.close(now, session, code, reason);
                }
                Ok(())
            }
            Input::SessionClosed(session) => {
                self.forget(now, session, Leave::ForNow);
                Ok(())
            }
            Input::SessionDeparted(session) => {
                self.forget(now, session, Leave::ForGood);
                Ok(())
            }
            Input::Source(name, update) => self.on_source(now, name, update),
            Input::Timeout => {
                self.on_timeout(now);
                Ok(())
            }
        }
    }

    /// The next thing to do. To be called after every input until it gives nothing.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// The next message for a session, to be asked for when it is writable.
    pub fn poll_transmit(&mut self, session: SessionId) -> Option<Bytes> {
        let state = self.sessions.get_mut(&session)?;
        let mut is_page_wanted = false;
        let next = state.pop().or_else(|| {
            next_frame(self.now, state, &mut self.channels, &mut self.budget, &mut is_page_wanted)
        });
        if is_page_wanted {
            // Not here: others may want the same page.
            self.timers.set(Timer::Pages, self.now);
        }
        if let Some(due) = self.budget.due() {
            self.timers.set(Timer::Turns, due);
        }
        match next {
            Some(_) => state.last_sent = self.now,
            None => state.is_announced = false,
        }
        next
    }

    /// When to call again with [`Input::Timeout`].
    pub fn poll_timeout(&self) -> Option<Time> {
        self.timers.next()
    }

    fn channel(&self, name: &ChannelName) -> Option<&Channel> {
        self.channels.get(&name.id()).filter(|channel| channel.name == *name)
    }

    fn on_opened(
        &mut self,
        now: Time,
        session: SessionId,
        from: Whereabouts,
        rights: Rights,
    ) -> Result<(), CommandError> {
        if self.sessions.contains_key(&session) {
            return Err(CommandError::Session(session));
        }
        self.stats.sessions_opened += 1;
        if self.sessions.len() >= self.config.sessions_max {
            let reason = format!("the server has all {} sessions that it takes", self.config.sessions_max);
            self.say_close(session, Code::FULL, reason);
            return Ok(());
        }
        if let Some(until) = rights.until {
            self.timers.set(Timer::Expiry(session), until);
        }
        self.sessions.insert(session, Session::new(now, from, rights, &self.config));
        self.timers.set(Timer::Heartbeat(session), now + self.config.heartbeat);
        Ok(())
    }

    fn on_source(&mut self, now: Time, name: &ChannelName, update: SourceUpdate) -> Result<(), CommandError> {
        let id = name.id();
        let Some(channel) = self.channels.get_mut(&id).filter(|channel| channel.name == *name) else {
            return Err(CommandError::UnknownChannel(name.clone()));
        };
        let before = channel.head();
        let answers = matches!(update, SourceUpdate::End(_));
        let is_news = !matches!(update, SourceUpdate::Events(_) | SourceUpdate::Messages(_));
        let mut press = Press { sealer: &mut self.sealer, signer: &*self.signer };
        let result = channel.update(now, update, &self.config, &mut press);
        if channel.head() != before || answers {
            self.wake_fed(id);
        }
        if is_news {
            self.wake_waiters(id);
            self.fetch_pages(now);
        }
        self.set_flush(id);
        self.ask_source(id);
        result
    }

    /// Asks a channel's source where the channel ends, if a peer says that it has more than there is.
    fn ask_source(&mut self, id: ChannelId) {
        if let Some(channel) = self.channels.get_mut(&id)
            && let Some(claimed) = channel.question()
        {
            self.outputs.push_back(Output::FindEnd { channel: channel.name.clone(), claimed });
        }
    }

    /// Sets the time of the next flush.
    fn set_flush(&mut self, id: ChannelId) {
        match self.channels[&id].flush_due() {
            Some(due) => self.timers.set(Timer::Flush(id), due),
            None => self.timers.clear(Timer::Flush(id)),
        }
    }

    /// Wakes those whom the server feeds: there is something for them.
    fn wake_fed(&mut self, id: ChannelId) {
        let can_have = |receiver: &Receiver| !self.budget.makes_wait((id, *receiver));
        for receiver in self.channels[&id].fed().filter(can_have).collect::<Vec<_>>() {
            self.wake(receiver);
        }
    }

    /// Tells the driver once that there is something for one whom the server feeds.
    fn wake(&mut self, receiver: Receiver) {
        match receiver {
            Receiver::Peer(peer) => {
                if let Some(session) = self.present.get(&peer) {
                    announce(&mut self.sessions, &mut self.outputs, *session);
                }
            }
            Receiver::Reader(reader) => {
                self.outputs.extend(self.readers.announce(reader).then_some(Output::Read(reader)));
            }
        }
    }

    fn on_timeout(&mut self, now: Time) {
        while let Some(timer) = self.timers.expired(now) {
            match timer {
                Timer::Flush(id) => {
                    if let Some(channel) = self.channels.get_mut(&id) {
                        channel.flush(now, &mut Press { sealer: &mut self.sealer, signer: &*self.signer });
                        self.wake_fed(id);
                        self.set_flush(id);
                    }
                }
                Timer::Head(id) => {
                    if let Some(channel) = self.channels.get_mut(&id) {
                        let again = channel.say_head(now, self.config.head_interval, &*self.signer);
                        self.timers.set(timer, again);
                        self.wake_fed(id);
                    }
                }
                Timer::Tree(id) => self.with_tree(id, |tree, context| tree.handle_timeout(now, context)),
                Timer::Heartbeat(session) => self.on_heartbeat(now, session),
                Timer::Expiry(session) => {
                    let Refusal { code, reason } = Rights::expired();
                    self.close(now, session, code, reason);
                }
                Timer::ReaderExpiry(reader) => self.end_reader(reader, Rights::expired()),
                Timer::Look(session) => self.on_look_due(now, session),
                Timer::Turns => self.give_turns(now),
                Timer::Pages => self.fetch_pages(now),
            }
        }
    }

    /// Wakes those who waited for their turn to be fed.
    fn give_turns(&mut self, now: Time) {
        while let Some((_, receiver)) = self.budget.next(now) {
            self.wake(receiver);
        }
        if let Some(due) = self.budget.due() {
            self.timers.set(Timer::Turns, due);
        }
    }

    fn on_heartbeat(&mut self, now: Time, session: SessionId) {
        let Some(state) = self.sessions.get(&session) else { return };
        if now.since(state.last_received) > self.config.heartbeat * 3 {
            let reason = format!("nothing was heard for {} ms", now.since(state.last_received).as_millis());
            return self.close(now, session, Code::SILENT, reason);
        }
        if now.since(state.last_sent).max(now.since(state.last_received)) >= self.config.heartbeat {
            self.send(session, ToPeer::Ping(Ping { time_us: now.0 }));
        }
        self.say_heads(now, session);
        self.timers.set(Timer::Heartbeat(session), now + self.config.heartbeat);
    }
}

/// The next frame or head for a session, of its channels in turn.
fn next_frame(
    now: Time,
    state: &mut Session,
    channels: &mut BTreeMap<ChannelId, Channel>,
    budget: &mut Budget,
    is_page_wanted: &mut bool,
) -> Option<Bytes> {
    let peer = state.peer?;
    let mut next = |id| {
        let channel = channels.get_mut(id)?;
        let bytes = channel.poll_transmit(now, peer, budget);
        *is_page_wanted |= channel.past.take_wanted();
        bytes
    };
    let mut turns = state.channels.iter().enumerate();
    let (turn, bytes) = turns.find_map(|(turn, id)| Some((turn, next(id)?)))?;
    // The next turn is another channel's.
    state.channels.rotate_left(turn + 1);
    Some(bytes)
}
