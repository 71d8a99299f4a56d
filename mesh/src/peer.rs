//! A peer: a node's half of the protocol. It takes frames from the server or from its parent, gives their
//! events to the application in order and once, and serves its children from its log.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use tiercast_codec::{
    ChannelId, ChannelName, Code, LinkId, LinkMessage, PeerId, Ping, Position, PublicKey, Resume,
    SignalMessage, Since, ToHub, Unsubscribe, Verifier,
};

use crate::{FrameLog, Held, Time, outbox::Outbox, timers::Timers};

mod ahead;
mod allowance;
mod api;
mod config;
mod credit;
mod feeder;
mod frames;
mod link;
mod links;
mod progress;
mod reader;
mod repair;
mod service;
mod session;
mod stats;
mod subscription;
mod watch;

pub use api::{CommandError, Input, Output, Status, Target};
pub use config::PeerConfig;
use link::Link;
pub use link::bye;
use links::Tell;
pub use reader::Delivery;
pub use service::HavePace;
use session::Refusal;
pub use stats::PeerStats;
use subscription::Subscription;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    SessionSilent,
    Subscribe(ChannelId),
    LinkSetup(LinkId),
    LinkHeartbeat(LinkId),
    LinkAnswer(LinkId),
    LinkDoubt(LinkId),
    Have(LinkId),
    Lead(ChannelId),
    Nack(ChannelId),
    Stale(ChannelId),
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
    /// Who we are in the mesh, once the server has said so: shown to it when we come back.
    identity: Option<Resume>,
    outbox: Outbox,
    is_announced: bool,
    last_received: Time,
    heartbeat: std::time::Duration,
    head_interval: std::time::Duration,
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
            outbox: Outbox::new(config.outbox_bytes),
            head_interval: std::time::Duration::from_secs(1),
            config,
            verifier,
            session: Session::Closed,
            identity: None,
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
                    self.count_fault(code);
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
                self.drop_link(link, code, Tell::Why);
            }
            Input::LocalSignal(link, signal) => {
                if self.links.contains_key(&link) {
                    self.tell_hub(ToHub::Signal(SignalMessage { link, signal }));
                }
            }
            Input::Subscribe { channel, since } => return self.on_subscribe(channel, since),
            Input::Unsubscribe(channel) => return self.on_unsubscribe(channel),
            Input::Offer(children_max) => self.on_offer(children_max),
            Input::Timeout => self.on_timeout(),
        }
        Ok(())
    }

    /// The next thing to do. To be called after every input until it gives nothing.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// The next event or gap of a channel for the application, to be asked for when it has room. Whatever is
    /// not asked for stays in the log; when that is half full of it, those who feed the peer are held up until
    /// the application has caught up.
    pub fn poll_delivery(&mut self, channel: &ChannelName) -> Option<Delivery> {
        let id = channel.id();
        let delivery = self.subscriptions.get_mut(&id)?.next_delivery();
        match &delivery {
            Some(Delivery::Event { .. }) => self.stats.delivered += 1,
            Some(Delivery::Gap { .. }) => self.stats.gaps += 1,
            Some(Delivery::CaughtUp { .. }) | None => {}
        }
        // What was read makes room, also where it held no event.
        self.end_stall(id);
        delivery
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

    /// What the peer is called in the tree, once the server has said so.
    pub fn id(&self) -> Option<PeerId> {
        self.identity.map(|identity| identity.peer)
    }

    /// The peer's counters.
    pub fn stats(&self) -> PeerStats {
        self.stats
    }

    /// What the peer has of a channel.
    pub fn position(&self, channel: &ChannelName) -> Option<Position> {
        self.subscriptions.get(&channel.id())?.position()
    }

    /// What the peer keeps in memory, beside its bounds.
    pub fn held(&self) -> impl Iterator<Item = Held> + '_ {
        let window_bytes = self.config.window().get() as usize;
        let subscriptions = self.subscriptions.values().flat_map(move |subscription| {
            let log = subscription.log().map(FrameLog::held);
            [Some(subscription.ahead.held(window_bytes)), log].into_iter().flatten()
        });
        subscriptions.chain(self.outbox.held()).chain(self.links.values().flat_map(Link::held))
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
    fn on_subscribe(&mut self, channel: ChannelName, since: Since) -> Result<(), CommandError> {
        let id = channel.id();
        if self.subscriptions.contains_key(&id) {
            return Err(CommandError::AlreadySubscribed(channel));
        }
        self.subscriptions.insert(id, Subscription::new(self.now, channel, since));
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

    /// The hub is told, and sends elsewhere those for whom there is no place any more.
    fn on_offer(&mut self, children_max: u16) {
        let Some(relay) = &mut self.config.relay else { return };
        if std::mem::replace(&mut relay.children_max, children_max) != children_max {
            let relay = *relay;
            self.tell_hub(ToHub::Relay(relay));
        }
    }

    fn forget_subscription(&mut self, id: ChannelId, code: Code) {
        for timer in [Timer::Subscribe(id), Timer::Lead(id), Timer::Nack(id), Timer::Stale(id)] {
            self.timers.clear(timer);
        }
        let Some(subscription) = self.subscriptions.remove(&id) else { return };
        let feeders = subscription.parent.into_iter().chain(subscription.joining).chain(subscription.standby);
        for link in feeders.chain(subscription.children) {
            self.close_link(link, code);
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
                Timer::LinkAnswer(link) => self.close_link(link, Code::LOST),
                Timer::LinkDoubt(link) => self.on_doubt_due(link),
                Timer::Have(link) => self.announce_link(link),
                Timer::Lead(id) => self.on_lead_due(id),
                Timer::Nack(id) => self.on_nack_due(id),
                Timer::Stale(id) => self.on_stale_due(id),
            }
        }
    }

    /// There is something for a link.
    fn announce_link(&mut self, link: LinkId) {
        if let Some(state) = self.links.get_mut(&link) {
            announce(&mut self.outputs, link, state);
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
        if self.now.since(state.last_sent) >= heartbeat {
            self.tell(link, LinkMessage::Ping(Ping { time_us: self.now.0 }));
        }
    }
}

/// Tells the driver once that there is something for a link.
fn announce(outputs: &mut VecDeque<Output>, link: LinkId, state: &mut Link) {
    if !std::mem::replace(&mut state.is_announced, true) {
        outputs.push_back(Output::Transmit(Target::Link(link)));
    }
}
