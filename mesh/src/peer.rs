//! A peer: a node's half of the protocol. It takes frames from the server or from its parent, gives their
//! events to the application in order and once, and serves its children from its log.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use tiercast_codec::{
    Assign, At, ChannelId, ChannelName, Code, DecodeError, ErrorMessage, Expect, Fed, Feed, Frame, Gap, Head,
    Hello, IceServer, Item, Join, Joined, LinkId, LinkMessage, PROTOCOL_VERSION, Pattern, PeerId, Ping, Pong,
    Position, PublicKey, Report, Signal, SignalMessage, Since, Subscribe, ToHub, ToPeer, Unsubscribe,
    Verifier, Welcome, WireMessage,
};

use crate::{Time, outbox::Outbox, timers::Timers};

mod config;
mod link;
mod reader;
mod stats;
mod subscription;

pub use config::PeerConfig;
pub use link::bye;
use link::{End, Link, Serve, Service};
pub use reader::Delivery;
pub use stats::PeerStats;
use subscription::{Relation, Subscription, Taken};

/// What happens to a peer.
#[derive(Debug)]
pub enum Input {
    /// The connection to the server is open.
    SessionOpened,
    /// The server sent a message.
    SessionData(Bytes),
    /// The connection to the server is gone. Said in every case, also after [`Output::CloseSession`].
    SessionClosed,
    /// A link's data channel is open.
    LinkOpened(LinkId),
    /// A link brought a message.
    LinkData(LinkId, Bytes),
    /// A link is gone, or could not be set up. Said in every case but that of [`Output::CloseLink`].
    LinkClosed(LinkId),
    /// A link's transport has something for the transport at the other end.
    LocalSignal(LinkId, Signal),
    /// The application wants a channel.
    Subscribe {
        /// The channel.
        channel: ChannelName,
        /// Where to start.
        since: Since,
        /// Which routing keys; empty: all.
        patterns: Vec<Pattern>,
    },
    /// The application wants a channel no longer.
    Unsubscribe(ChannelName),
    /// The time of [`Peer::poll_timeout`] has come.
    Timeout,
}

/// Somebody to send to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// The server.
    Session,
    /// A link.
    Link(LinkId),
}

/// What the peer wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// There is something for this target: call [`Peer::poll_transmit`] whenever it is writable, until that
    /// gives nothing. Said once; the driver remembers.
    Transmit(Target),
    /// Close the connection to the server; reconnect if the code allows it.
    CloseSession {
        /// The WebSocket close code.
        code: Code,
        /// For people.
        reason: String,
    },
    /// Set up a link.
    OpenLink {
        /// Its number.
        link: LinkId,
        /// Whether this end makes the offer.
        offers: bool,
    },
    /// Something for a link's transport from the transport at the other end.
    RemoteSignal(LinkId, Signal),
    /// Close a link. The peer has forgotten it already.
    CloseLink {
        /// Its number.
        link: LinkId,
        /// To be sent first, if the link is open.
        bye: Option<Bytes>,
    },
    /// News for whoever watches.
    Status(Status),
}

/// News of a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// The server has answered.
    Welcome {
        /// What the peer is called in the tree.
        peer: PeerId,
        /// The server's clock in microseconds since the Unix epoch.
        server_time_us: u64,
        /// STUN and TURN servers for links.
        ice_servers: Vec<IceServer>,
    },
    /// A subscription has started, or gone on after a reconnect.
    Subscribed {
        /// Its channel.
        channel: ChannelName,
        /// From where on.
        position: Position,
        /// Whether everything after the position asked for is there. If not, a gap follows.
        recovered: bool,
    },
    /// The server refused something. If it is about a subscription, that has ended.
    Refused {
        /// The channel, if it was about one.
        channel: Option<ChannelName>,
        /// Why.
        code: Code,
        /// For people.
        reason: String,
    },
    /// The peer has a place in the tree.
    Placed {
        /// The channel.
        channel: ChannelName,
        /// The tier.
        tier: u32,
    },
    /// Somebody else feeds the peer now.
    Parent {
        /// The channel.
        channel: ChannelName,
        /// Who; `None` is the server.
        parent: Option<PeerId>,
    },
    /// A child has come or gone.
    Children {
        /// The channel.
        channel: ChannelName,
        /// How many there are.
        count: usize,
    },
    /// A link was closed.
    LinkLost {
        /// The other end.
        other: PeerId,
        /// Why.
        code: Code,
    },
}

/// A call that the driver should not have made; the peer is unchanged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// There is a subscription for this channel.
    #[error("already subscribed to `{0}`")]
    AlreadySubscribed(ChannelName),
    /// There is none.
    #[error("not subscribed to `{0}`")]
    NotSubscribed(ChannelName),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    SessionSilent,
    Subscribe(ChannelId),
    LinkSetup(LinkId),
    LinkHeartbeat(LinkId),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Session {
    Closed,
    Greeting,
    Open,
}

/// A node's half of the protocol.
pub struct Peer {
    config: PeerConfig,
    verifier: Box<dyn Verifier>,
    session: Session,
    outbox: Outbox,
    is_announced: bool,
    last_received: Time,
    heartbeat: std::time::Duration,
    keys: Vec<PublicKey>,
    next_request: u64,
    subscriptions: BTreeMap<ChannelId, Subscription>,
    links: BTreeMap<LinkId, Link>,
    timers: Timers<Timer>,
    outputs: VecDeque<Output>,
    stats: PeerStats,
    now: Time,
}

impl Peer {
    /// A peer without a connection.
    pub fn new(config: PeerConfig, verifier: Box<dyn Verifier>) -> Self {
        Self {
            heartbeat: config.welcome_timeout,
            config,
            verifier,
            session: Session::Closed,
            outbox: Outbox::default(),
            is_announced: false,
            last_received: Time::default(),
            keys: Vec::new(),
            next_request: 0,
            subscriptions: BTreeMap::new(),
            links: BTreeMap::new(),
            timers: Timers::default(),
            outputs: VecDeque::new(),
            stats: PeerStats::default(),
            now: Time::default(),
        }
    }

    /// Takes an input. An error is the caller's misuse; what a remote says never is one.
    pub fn handle(&mut self, now: Time, input: Input) -> Result<(), CommandError> {
        self.now = now;
        match input {
            Input::SessionOpened => self.on_session_opened(),
            Input::SessionData(bytes) => {
                if let Err(Refusal(code, reason)) = self.on_session_data(bytes) {
                    self.close_session(code, reason);
                }
            }
            Input::SessionClosed => self.on_session_closed(),
            Input::LinkOpened(link) => self.on_link_opened(link),
            Input::LinkData(link, bytes) => {
                if let Err(code) = self.on_link_data(link, bytes) {
                    self.count_fault(code);
                    self.close_link(link, code);
                }
            }
            Input::LinkClosed(link) => {
                let code = self
                    .links
                    .get(&link)
                    .map_or(Code::LOST, |state| if state.is_open() { Code::LOST } else { Code::LINK_FAILED });
                self.drop_link(link, code, HubKnows::No);
            }
            Input::LocalSignal(link, signal) => {
                if self.links.contains_key(&link) {
                    self.tell_hub(ToHub::Signal(SignalMessage { link, signal }));
                }
            }
            Input::Subscribe { channel, since, patterns } => {
                return self.on_subscribe(channel, since, patterns);
            }
            Input::Unsubscribe(channel) => return self.on_unsubscribe(channel),
            Input::Timeout => self.on_timeout(),
        }
        Ok(())
    }

    /// The next thing to do. To be called after every input until it gives nothing.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// The next event or gap of a channel for the application, to be asked for when it has room. Whatever is
    /// not asked for stays in the log; when the log is full of it, the peer stops taking frames until there
    /// is room.
    pub fn poll_delivery(&mut self, channel: &ChannelName) -> Option<Delivery> {
        let id = channel.id();
        let delivery = self.subscriptions.get_mut(&id)?.next_delivery()?;
        match &delivery {
            Delivery::Event { .. } => self.stats.delivered += 1,
            Delivery::Gap { .. } => self.stats.gaps += 1,
        }
        self.end_stall(id);
        Some(delivery)
    }

    /// The next message for a target, to be asked for when it is writable.
    pub fn poll_transmit(&mut self, target: Target) -> Option<Bytes> {
        let bytes = match target {
            Target::Session => self.outbox.pop(),
            Target::Link(link) => self.poll_link(link),
        };
        if bytes.is_none() {
            match target {
                Target::Session => self.is_announced = false,
                Target::Link(link) => {
                    if let Some(state) = self.links.get_mut(&link) {
                        state.is_announced = false;
                    }
                }
            }
        }
        bytes
    }

    /// When to call again with [`Input::Timeout`].
    pub fn poll_timeout(&self) -> Option<Time> {
        self.timers.next()
    }

    /// The peer's counters.
    pub fn stats(&self) -> PeerStats {
        self.stats
    }

    /// What the peer has of a channel.
    pub fn position(&self, channel: &ChannelName) -> Option<Position> {
        self.subscriptions.get(&channel.id())?.position()
    }

    /// The peer that feeds a channel; `None` is the server.
    pub fn parent(&self, channel: &ChannelName) -> Option<PeerId> {
        let link = self.subscriptions.get(&channel.id())?.parent?;
        self.links.get(&link).map(|link| link.other)
    }

    /// The peers that a channel is relayed to.
    pub fn children(&self, channel: &ChannelName) -> Vec<PeerId> {
        let Some(subscription) = self.subscriptions.get(&channel.id()) else { return Vec::new() };
        subscription.children.iter().filter_map(|link| self.links.get(link)).map(|link| link.other).collect()
    }
}

// The application's side.
impl Peer {
    fn on_subscribe(
        &mut self,
        channel: ChannelName,
        since: Since,
        patterns: Vec<Pattern>,
    ) -> Result<(), CommandError> {
        let id = channel.id();
        if self.subscriptions.contains_key(&id) {
            return Err(CommandError::AlreadySubscribed(channel));
        }
        self.subscriptions.insert(id, Subscription::new(channel, since, patterns));
        self.ask_for(id);
        Ok(())
    }

    fn on_unsubscribe(&mut self, channel: ChannelName) -> Result<(), CommandError> {
        if !self.subscriptions.contains_key(&channel.id()) {
            return Err(CommandError::NotSubscribed(channel));
        }
        let request = self.request();
        self.tell_hub(ToHub::Unsubscribe(Unsubscribe { id: request, channel: channel.clone() }));
        self.forget_subscription(channel.id(), Code::DEPARTED);
        Ok(())
    }

    fn forget_subscription(&mut self, id: ChannelId, code: Code) {
        self.timers.clear(Timer::Subscribe(id));
        let Some(subscription) = self.subscriptions.remove(&id) else { return };
        for link in subscription.children.into_iter().chain(subscription.parent).chain(subscription.joining) {
            self.close_link(link, code);
        }
    }

    /// Goes on taking frames once the application has read half of what filled the log.
    fn end_stall(&mut self, id: ChannelId) {
        let Some(subscription) =
            self.subscriptions.get_mut(&id).filter(|subscription| subscription.is_stalled)
        else {
            return;
        };
        let Some(Taken { log, reader }) = &subscription.taken else { return };
        if reader.bytes_ahead <= log.bytes_max() / 2 {
            subscription.is_stalled = false;
            self.ask_feed(id, None, Code::LAGGING);
        }
    }
}

// The session.
impl Peer {
    fn on_session_opened(&mut self) {
        self.session = Session::Greeting;
        self.outbox = Outbox::default();
        self.is_announced = false;
        self.last_received = self.now;
        self.heartbeat = self.config.welcome_timeout;
        self.timers.set(Timer::SessionSilent, self.now + self.config.welcome_timeout);
        let id = self.request();
        let client = self.config.client.clone();
        self.push_to_hub(&ToHub::Hello(Hello { id, protocol: PROTOCOL_VERSION, client }));
    }

    fn on_session_closed(&mut self) {
        self.session = Session::Closed;
        self.outbox = Outbox::default();
        self.timers.clear(Timer::SessionSilent);
        for (id, subscription) in &mut self.subscriptions {
            subscription.request = None;
            self.timers.clear(Timer::Subscribe(*id));
        }
    }

    fn close_session(&mut self, code: Code, reason: String) {
        self.on_session_closed();
        self.outputs.push_back(Output::CloseSession { code, reason });
    }

    fn on_session_data(&mut self, bytes: Bytes) -> Result<(), Refusal> {
        if self.session == Session::Closed {
            return Ok(());
        }
        self.last_received = self.now;
        let items = Item::all(bytes).map_err(|error| self.malformed(&error))?;
        for item in items {
            match item {
                Item::Frame(frame) => self.on_frame(frame, Target::Session).map_err(Refusal::because)?,
                Item::Head(head) => self.on_head(head, Target::Session).map_err(Refusal::because)?,
                Item::Chunk { .. } => return Err(Refusal::because(Code::UNEXPECTED)),
                Item::Control(bytes) => match ToPeer::decode(&bytes) {
                    Ok(message) => self.on_message(message)?,
                    // A newer server says what an older peer need not know.
                    Err(DecodeError::UnknownMessage { .. }) => {}
                    Err(error) => return Err(self.malformed(&error)),
                },
            }
        }
        Ok(())
    }

    fn malformed(&mut self, error: &DecodeError) -> Refusal {
        self.stats.malformed += 1;
        Refusal(Code::MALFORMED, error.to_string())
    }

    fn on_message(&mut self, message: ToPeer) -> Result<(), Refusal> {
        match message {
            ToPeer::Welcome(welcome) => self.on_welcome(welcome),
            ToPeer::Subscribed(subscribed) => self.on_subscribed(&subscribed),
            ToPeer::Unsubscribed(_) | ToPeer::Pong(_) => {}
            ToPeer::Assign(assign) => self.on_assign(assign),
            ToPeer::Expect(expect) => self.on_expect(expect),
            ToPeer::Place(place) => {
                if let Some(subscription) = self.subscriptions.get_mut(&place.channel.id()) {
                    subscription.tier = place.tier;
                    let (channel, tier) = (place.channel, place.tier);
                    self.outputs.push_back(Output::Status(Status::Placed { channel, tier }));
                }
            }
            ToPeer::Signal(SignalMessage { link, signal }) => {
                if self.links.contains_key(&link) {
                    self.outputs.push_back(Output::RemoteSignal(link, signal));
                }
            }
            ToPeer::Lost(lost) => {
                if self.links.contains_key(&lost.link) {
                    self.outputs.push_back(Output::CloseLink { link: lost.link, bye: Some(bye(lost.code)) });
                    self.drop_link(lost.link, lost.code, HubKnows::Yes);
                }
            }
            ToPeer::Gap(gap) => self.on_gap(&gap),
            ToPeer::Error(error) => self.on_error(error),
            ToPeer::Ping(Ping { time_us }) => self.tell_hub(ToHub::Pong(Pong { time_us })),
        }
        Ok(())
    }

    fn on_welcome(&mut self, welcome: Welcome) {
        if self.session == Session::Open {
            return;
        }
        self.session = Session::Open;
        self.keys = welcome.keys.iter().map(|key| key.0).collect();
        self.heartbeat = std::time::Duration::from_millis(welcome.heartbeat_ms.into());
        self.timers.set(Timer::SessionSilent, self.now + self.heartbeat);
        let Welcome { peer, server_time_us, ice_servers, .. } = welcome;
        self.outputs.push_back(Output::Status(Status::Welcome { peer, server_time_us, ice_servers }));
        // The hub knows nothing of the links of an earlier session.
        for link in self.links.keys().copied().collect::<Vec<_>>() {
            self.outputs.push_back(Output::CloseLink { link, bye: Some(bye(Code::DEPARTED)) });
            self.drop_link(link, Code::DEPARTED, HubKnows::Yes);
        }
        for id in self.subscriptions.keys().copied().collect::<Vec<_>>() {
            self.ask_for(id);
        }
    }

    /// Asks the server for a channel, from where we are.
    fn ask_for(&mut self, id: ChannelId) {
        let request = self.request();
        let relay = self.config.relay;
        let Some(subscription) = self.subscriptions.get_mut(&id).filter(|_| self.session == Session::Open)
        else {
            return;
        };
        subscription.request = Some(request);
        let (channel, since) = (subscription.channel.clone(), subscription.since());
        self.tell_hub(ToHub::Subscribe(Subscribe { id: request, channel, since, relay }));
    }

    fn on_subscribed(&mut self, subscribed: &tiercast_codec::Subscribed) {
        let limits = self.config.log;
        let Some(subscription) = self.subscriptions.get_mut(&subscribed.channel_id) else { return };
        if subscription.request != Some(subscribed.id) {
            return;
        }
        subscription.request = None;
        subscription.is_stalled = false;
        subscription.start(subscribed.position, limits);
        self.outputs.push_back(Output::Status(Status::Subscribed {
            channel: subscribed.channel.clone(),
            position: subscribed.position,
            recovered: subscribed.recovered,
        }));
    }

    fn on_gap(&mut self, gap: &Gap) {
        let id = gap.channel.id();
        if let Some(Taken { log, .. }) =
            self.subscriptions.get_mut(&id).and_then(|subscription| subscription.taken.as_mut())
        {
            let reached = log.head();
            // What we have got meanwhile from a parent is not gone.
            if gap.to.epoch != reached.epoch || gap.to.offset > reached.offset {
                log.jump(gap.to, gap.reason);
                self.announce_children(id);
            }
        }
    }

    fn on_error(&mut self, error: ErrorMessage) {
        let asked = |(id, subscription): (&ChannelId, &Subscription)| {
            (subscription.request == error.id).then_some(*id)
        };
        let id = error.id.and_then(|_| self.subscriptions.iter().find_map(asked));
        let mut channel = None;
        if let Some(id) = id {
            if let Some(retry_after_ms) = error.retry_after_ms {
                let delay = std::time::Duration::from_millis(retry_after_ms.into());
                return self.timers.set(Timer::Subscribe(id), self.now + delay);
            }
            channel = self.subscriptions.get(&id).map(|subscription| subscription.channel.clone());
            self.forget_subscription(id, Code::DEPARTED);
        }
        let ErrorMessage { code, reason, .. } = error;
        self.outputs.push_back(Output::Status(Status::Refused { channel, code, reason }));
    }

    fn on_assign(&mut self, assign: Assign) {
        let id = assign.channel.id();
        let Some(subscription) = self.subscriptions.get_mut(&id) else { return };
        if let Some(earlier) = subscription.joining.replace(assign.link) {
            self.close_link(earlier, Code::REPLACED);
        }
        let link = Link::new(self.now, id, assign.parent, assign.token, End::AwaitsParent);
        self.open_link(assign.link, link, assign.offers);
    }

    fn on_expect(&mut self, expect: Expect) {
        let id = expect.channel.id();
        let Some(subscription) = self.subscriptions.get_mut(&id) else { return };
        subscription.children.insert(expect.link);
        let link = Link::new(self.now, id, expect.child, expect.token, End::AwaitsChild);
        self.open_link(expect.link, link, expect.offers);
    }

    /// Asks the server to feed a subscription from where we are.
    fn ask_feed(&mut self, id: ChannelId, link: Option<LinkId>, code: Code) {
        let Some(subscription) = self.subscriptions.get_mut(&id) else { return };
        // A request under way says where we are, too.
        if let Some(position) = subscription.position().filter(|_| subscription.request.is_none()) {
            subscription.has_asked = true;
            let channel = subscription.channel.clone();
            self.stats.feeds += 1;
            self.tell_hub(ToHub::Feed(Feed { channel, position, link, code }));
        }
    }

    fn request(&mut self) -> u64 {
        self.next_request += 1;
        self.next_request
    }

    /// Says something to the hub, if it is there to hear it. What it has to know after a reconnect is said
    /// by subscribing again.
    fn tell_hub(&mut self, message: ToHub) {
        if self.session == Session::Open {
            self.push_to_hub(&message);
        }
    }

    fn push_to_hub(&mut self, message: &ToHub) {
        if self.outbox.push(message.encode()).is_err() {
            self.close_session(Code::SLOW, "control messages are not being read".into());
        } else if !std::mem::replace(&mut self.is_announced, true) {
            self.outputs.push_back(Output::Transmit(Target::Session));
        }
    }
}

// Frames and heads, from wherever they come.
impl Peer {
    fn on_frame(&mut self, frame: Frame, from: Target) -> Result<(), Code> {
        let id = frame.header().channel;
        let bytes = frame.bytes().len();
        let Some(subscription) = self.subscriptions.get_mut(&id) else { return Ok(()) };
        let Some(taken) = &mut subscription.taken else { return Ok(()) };
        let relation = taken.relation(&frame);
        match relation {
            Relation::Duplicate => {
                self.stats.duplicates += 1;
                return Ok(());
            }
            Relation::Ahead => {
                self.stats.not_taken += 1;
                if from != Target::Session {
                    return Err(Code::UNAVAILABLE);
                }
                // The server may not have heard yet where we are; it is told once.
                if !subscription.has_asked && !subscription.is_stalled {
                    self.ask_feed(id, None, Code::UNAVAILABLE);
                }
                return Ok(());
            }
            Relation::Next | Relation::NewEpoch => {}
        }
        if subscription.is_stalled || taken.is_full(bytes) {
            self.stats.not_taken += 1;
            self.stall(id);
            return Ok(());
        }
        let is_genuine = |key| frame.verify(&subscription.channel, key, &*self.verifier);
        if !self.keys.iter().any(is_genuine) {
            return Err(Code::BAD_SIGNATURE);
        }
        if relation == Relation::NewEpoch {
            taken.log.jump(frame.position_before(), tiercast_codec::GapReason::Epoch);
        }
        taken.reader.bytes_ahead += bytes;
        taken.log.push(frame);
        subscription.has_asked = false;
        self.stats.frames += 1;
        match from {
            Target::Session => self.stats.server_bytes += bytes as u64,
            Target::Link(_) => self.stats.parent_bytes += bytes as u64,
        }
        self.announce_children(id);
        Ok(())
    }

    fn on_head(&mut self, head: Head, _from: Target) -> Result<(), Code> {
        let Some(subscription) = self.subscriptions.get_mut(&head.channel) else { return Ok(()) };
        if subscription.head.as_ref().is_some_and(|known| known.time_us >= head.time_us) {
            return Ok(());
        }
        if !self.keys.iter().any(|key| head.verify(&subscription.channel, key, &*self.verifier)) {
            return Err(Code::BAD_SIGNATURE);
        }
        let id = head.channel;
        subscription.head = Some(head);
        self.announce_children(id);
        Ok(())
    }

    /// The application is too slow to take more: the children have to go elsewhere, and so does our parent.
    fn stall(&mut self, id: ChannelId) {
        let Some(subscription) = self.subscriptions.get_mut(&id) else { return };
        if std::mem::replace(&mut subscription.is_stalled, true) {
            return;
        }
        self.stats.stalls += 1;
        let links = subscription.children.iter().chain(&subscription.parent).chain(&subscription.joining);
        for link in links.copied().collect::<Vec<_>>() {
            self.close_link(link, Code::LAGGING);
        }
    }

    fn announce_children(&mut self, id: ChannelId) {
        let Some(subscription) = self.subscriptions.get(&id) else { return };
        for link in &subscription.children {
            if let Some(state) = self.links.get_mut(link).filter(|state| matches!(state.end, End::Serves(_)))
            {
                announce(&mut self.outputs, *link, state);
            }
        }
    }

    fn count_fault(&mut self, code: Code) {
        match code {
            Code::BAD_SIGNATURE => self.stats.bad_signatures += 1,
            Code::MALFORMED => self.stats.malformed += 1,
            _ => {}
        }
    }
}

// Links.
impl Peer {
    fn open_link(&mut self, link: LinkId, state: Link, offers: bool) {
        self.links.insert(link, state);
        self.timers.set(Timer::LinkSetup(link), self.now + self.config.link_setup);
        self.outputs.push_back(Output::OpenLink { link, offers });
    }

    fn on_link_opened(&mut self, link: LinkId) {
        let Some(state) = self.links.get_mut(&link) else { return };
        state.last_received = self.now;
        state.last_sent = self.now;
        self.timers.set(Timer::LinkHeartbeat(link), self.now + self.config.link_heartbeat);
        match state.end {
            End::AwaitsChild => state.end = End::AwaitsJoin,
            End::AwaitsParent => {
                let position = self.subscriptions.get(&state.channel).and_then(Subscription::position);
                let Some(position) = position else { return self.close_link(link, Code::UNEXPECTED) };
                state.end = End::Joins;
                let join = Join { token: state.token, channel: state.channel, position };
                self.tell(link, LinkMessage::Join(join));
            }
            _ => {}
        }
    }

    fn on_link_data(&mut self, link: LinkId, bytes: Bytes) -> Result<(), Code> {
        let Some(state) = self.links.get_mut(&link) else { return Ok(()) };
        state.last_received = self.now;
        for item in Item::all(bytes).map_err(|_| Code::MALFORMED)? {
            // An item before may have closed the link.
            let Some(state) = self.links.get_mut(&link) else { return Ok(()) };
            let follows = matches!(state.end, End::Follows { .. });
            match item {
                Item::Control(bytes) => match LinkMessage::decode(&bytes) {
                    Ok(message) => self.on_link_message(link, message)?,
                    Err(DecodeError::UnknownMessage { .. }) => {}
                    Err(_) => return Err(Code::MALFORMED),
                },
                _ if !follows => return Err(Code::UNEXPECTED),
                Item::Frame(frame) => self.on_link_frame(link, frame)?,
                Item::Head(head) => self.on_head(head, Target::Link(link))?,
                Item::Chunk { is_last, part } => {
                    if let Some(frame) = state.assemble(&part, is_last).map_err(|_| Code::MALFORMED)? {
                        self.on_link_frame(link, frame)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn on_link_frame(&mut self, link: LinkId, frame: Frame) -> Result<(), Code> {
        if self.links.get(&link).is_some_and(|state| state.channel != frame.header().channel) {
            return Err(Code::UNEXPECTED);
        }
        let bytes = frame.bytes().len();
        self.on_frame(frame, Target::Link(link))?;
        let ack_bytes = self.config.ack_bytes;
        if let Some(End::Follows { unacknowledged_bytes, .. }) =
            self.links.get_mut(&link).map(|state| &mut state.end)
        {
            *unacknowledged_bytes += bytes;
            if *unacknowledged_bytes >= ack_bytes {
                self.acknowledge(link);
            }
        }
        self.check_goal(link);
        Ok(())
    }

    fn on_link_message(&mut self, link: LinkId, message: LinkMessage) -> Result<(), Code> {
        let Some(state) = self.links.get_mut(&link) else { return Ok(()) };
        match (message, &mut state.end) {
            (LinkMessage::Ping(Ping { time_us }), _) => self.tell(link, LinkMessage::Pong(Pong { time_us })),
            (LinkMessage::Pong(_), _) => {}
            (LinkMessage::Bye(bye), _) => {
                self.outputs.push_back(Output::CloseLink { link, bye: None });
                self.drop_link(link, bye.code, HubKnows::No);
            }
            (LinkMessage::Join(join), End::AwaitsJoin) => return self.on_join(link, join),
            (LinkMessage::At(At { position }), End::Serves(service)) => {
                service.acknowledge(position);
                announce(&mut self.outputs, link, state);
            }
            (LinkMessage::Joined(Joined { position: goal }), End::Joins) => {
                self.timers.clear(Timer::LinkSetup(link));
                let acknowledged = self.subscriptions.get(&state.channel).and_then(Subscription::position);
                let acknowledged = acknowledged.unwrap_or(goal);
                state.end = End::Follows { goal, unacknowledged_bytes: 0, acknowledged };
                self.check_goal(link);
            }
            _ => return Err(Code::UNEXPECTED),
        }
        Ok(())
    }

    fn on_join(&mut self, link: LinkId, join: Join) -> Result<(), Code> {
        let Some(state) = self.links.get_mut(&link) else { return Ok(()) };
        if join.token != state.token || join.channel != state.channel {
            return Err(Code::BAD_TOKEN);
        }
        let subscription = self.subscriptions.get(&state.channel);
        let Some(position) = subscription.and_then(Subscription::position) else {
            return Err(Code::UNAVAILABLE);
        };
        self.timers.clear(Timer::LinkSetup(link));
        state.end = End::Serves(Service::new(join.position));
        let (channel, count) =
            (subscription.map(|subscription| subscription.channel.clone()), self.serves(join.channel));
        if let Some(channel) = channel {
            self.outputs.push_back(Output::Status(Status::Children { channel, count }));
        }
        self.tell(link, LinkMessage::Joined(Joined { position }));
        Ok(())
    }

    /// How many children are being served.
    fn serves(&self, id: ChannelId) -> usize {
        let is_child = |link: &&Link| link.channel == id && matches!(link.end, End::Serves(_));
        self.links.values().filter(is_child).count()
    }

    /// Lets a link that has caught us up become our parent.
    fn check_goal(&mut self, link: LinkId) {
        let Some(Link { end: End::Follows { goal, .. }, channel, other, .. }) = self.links.get(&link) else {
            return;
        };
        let (goal, other) = (*goal, *other);
        let Some(subscription) = self.subscriptions.get_mut(channel) else { return };
        let is_there = subscription.position().is_some_and(|position| position >= goal);
        if subscription.joining != Some(link) || !is_there {
            return;
        }
        subscription.joining = None;
        let earlier = subscription.parent.replace(link);
        let channel = subscription.channel.clone();
        self.tell_hub(ToHub::Fed(Fed { channel: channel.clone(), link }));
        self.outputs.push_back(Output::Status(Status::Parent { channel, parent: Some(other) }));
        if let Some(earlier) = earlier {
            self.close_link(earlier, Code::REPLACED);
        }
    }

    /// Tells a parent how far we are.
    fn acknowledge(&mut self, link: LinkId) {
        let Some(state) = self.links.get_mut(&link) else { return };
        let position = self.subscriptions.get(&state.channel).and_then(Subscription::position);
        if let (End::Follows { unacknowledged_bytes, acknowledged, .. }, Some(position)) =
            (&mut state.end, position)
        {
            *unacknowledged_bytes = 0;
            *acknowledged = position;
            self.tell(link, LinkMessage::At(At { position }));
        }
    }

    fn poll_link(&mut self, link: LinkId) -> Option<Bytes> {
        let state = self.links.get_mut(&link)?;
        if let Some(bytes) = state.pop() {
            state.last_sent = self.now;
            return Some(bytes);
        }
        let End::Serves(service) = &mut state.end else { return None };
        let subscription = self.subscriptions.get(&state.channel)?;
        let log = &subscription.taken.as_ref()?.log;
        match service.next(log, subscription.head.as_ref(), self.config.window_bytes) {
            Serve::Send { bytes, frames, frame_bytes } => {
                state.last_sent = self.now;
                self.stats.relayed_frames += frames;
                self.stats.relayed_bytes += frame_bytes;
                Some(bytes)
            }
            Serve::Nothing => None,
            Serve::Unavailable => {
                self.close_link(link, Code::UNAVAILABLE);
                None
            }
        }
    }

    fn tell(&mut self, link: LinkId, message: LinkMessage) {
        let Some(state) = self.links.get_mut(&link) else { return };
        if state.push(message).is_ok() {
            announce(&mut self.outputs, link, state);
        } else {
            self.close_link(link, Code::SLOW);
        }
    }

    /// Closes a link of our own accord.
    fn close_link(&mut self, link: LinkId, code: Code) {
        if self.links.contains_key(&link) {
            self.outputs.push_back(Output::CloseLink { link, bye: Some(bye(code)) });
            self.drop_link(link, code, HubKnows::No);
        }
    }

    /// Forgets a link, and goes on without it.
    fn drop_link(&mut self, link: LinkId, code: Code, hub_knows: HubKnows) {
        let Some(state) = self.links.remove(&link) else { return };
        self.timers.clear(Timer::LinkSetup(link));
        self.timers.clear(Timer::LinkHeartbeat(link));
        self.outputs.push_back(Output::Status(Status::LinkLost { other: state.other, code }));
        let id = state.channel;
        let count = self.serves(id);
        let Some(subscription) = self.subscriptions.get_mut(&id) else { return };
        if subscription.parent == Some(link) {
            subscription.parent = None;
            let channel = subscription.channel.clone();
            self.outputs.push_back(Output::Status(Status::Parent { channel, parent: None }));
            return self.ask_feed(id, Some(link), code);
        }
        if subscription.joining == Some(link) {
            subscription.joining = None;
        } else if subscription.children.remove(&link) && matches!(state.end, End::Serves(_)) {
            let channel = subscription.channel.clone();
            self.outputs.push_back(Output::Status(Status::Children { channel, count }));
        }
        if hub_knows == HubKnows::No {
            self.tell_hub(ToHub::Report(Report { link, code }));
        }
    }
}

// Time.
impl Peer {
    fn on_timeout(&mut self) {
        while let Some(timer) = self.timers.expired(self.now) {
            match timer {
                Timer::SessionSilent => self.on_session_silent(),
                Timer::Subscribe(id) => self.ask_for(id),
                Timer::LinkSetup(link) => self.close_link(link, Code::LINK_FAILED),
                Timer::LinkHeartbeat(link) => self.on_link_heartbeat(link),
            }
        }
    }

    fn on_session_silent(&mut self) {
        let quiet = self.now.since(self.last_received);
        let patience = if self.session == Session::Open { self.heartbeat * 3 } else { self.heartbeat };
        if quiet >= patience {
            let reason = format!("the server said nothing for {} ms", quiet.as_millis());
            self.close_session(Code::SILENT, reason);
        } else {
            self.timers.set(Timer::SessionSilent, self.now + self.heartbeat);
        }
    }

    fn on_link_heartbeat(&mut self, link: LinkId) {
        let Some(state) = self.links.get(&link) else { return };
        let heartbeat = self.config.link_heartbeat;
        if self.now.since(state.last_received) >= heartbeat * 3 {
            return self.close_link(link, Code::SILENT);
        }
        self.timers.set(Timer::LinkHeartbeat(link), self.now + heartbeat);
        let position = self.subscriptions.get(&state.channel).and_then(Subscription::position);
        let has_moved =
            matches!(state.end, End::Follows { acknowledged, .. } if Some(acknowledged) != position);
        let is_quiet = self.now.since(state.last_sent) >= heartbeat;
        if has_moved {
            self.acknowledge(link);
        } else if is_quiet {
            self.tell(link, LinkMessage::Ping(Ping { time_us: self.now.0 }));
        }
    }
}

/// Why a session is closed: the code, and a text for people.
struct Refusal(Code, String);

impl Refusal {
    fn because(code: Code) -> Self {
        Self(code, code.name().replace('_', " "))
    }
}

/// Whether the hub has to be told of the end of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HubKnows {
    Yes,
    No,
}

/// Tells the driver once that there is something for a link.
fn announce(outputs: &mut VecDeque<Output>, link: LinkId, state: &mut Link) {
    if !std::mem::replace(&mut state.is_announced, true) {
        outputs.push_back(Output::Transmit(Target::Link(link)));
    }
}
