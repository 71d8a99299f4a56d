//! The production hub and peers on a network in memory, with a clock of its own: one seed, one course of events.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
    time::Duration,
};

use bytes::Bytes;
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use rustc_hash::FxHashMap;
use tiercast_codec::{ChannelName, Code, Event, LinkId, PeerId, Position, SessionId, Signal, Signer};
use tiercast_mesh::{
    Hub, Peer, SourceUpdate, Time,
    hub::{self, HubConfig, Whereabouts},
    peer::{self, Delivery, Status, Target},
};

mod channels;
mod deeds;
mod links;
mod past;
mod sending;
mod views;

use crate::{
    queue::Queue,
    signature::FakeSigner,
    trace::Recorder,
    wires::{Way, Wires},
};
use links::Connection;

/// The first channel, and in most networks the only one.
pub fn channel() -> ChannelName {
    static CHANNEL: LazyLock<ChannelName> = LazyLock::new(|| "test".parse().expect("a name"));
    CHANNEL.clone()
}

/// The numbering that a source begins with.
pub const FIRST_EPOCH: u64 = 7;

/// When it all begins.
pub const BEGIN: Time = Time(1_790_000_000_000_000);

/// Something that happens on the network.
#[derive(Debug)]
enum Happening {
    ToHub(u64, Bytes),
    ToPeer(u64, Bytes),
    OnLink(u64, LinkId, Bytes),
    /// What a node held back goes out.
    Release(u64, LinkId, Bytes),
    LinkUp(u64, LinkId),
    /// A channel that was opened on a connection that is up.
    ChannelOpens(u64, LinkId),
    LinkDown(u64, LinkId),
    HubSees(u64, bool),
    PeerSees(u64, bool),
    PumpHub(u64),
    PumpPeer(u64, Target),
    WakeHub,
    WakePeer(u64),
    /// The source answers.
    Answer(SourceUpdate),
}

/// A peer with what it got.
pub struct Node {
    /// The node's half of the protocol.
    pub peer: Peer,
    /// The number of its session, or nothing while it is disconnected.
    pub session: Option<u64>,
    /// What its application was given, if the network keeps that.
    pub deliveries: Vec<Delivery>,
    /// The same of other channels than the first.
    pub more_deliveries: BTreeMap<ChannelName, Vec<Delivery>>,
    /// What it said of itself, if the network keeps that.
    pub statuses: Vec<Status>,
    /// Why its last session was closed by either side.
    pub closed_with: Option<Code>,
    links: BTreeSet<LinkId>,
    reads: bool,
    /// When it is woken next.
    wakes: Option<Time>,
}

/// What an application was given.
#[derive(Debug, Clone, PartialEq)]
pub struct Given {
    /// When.
    pub at: Time,
    /// Whose application.
    pub node: u64,
    /// What.
    pub delivery: Delivery,
}

/// What happens to a message between two nodes.
pub type Tamper = Box<dyn FnMut(u64, u64, Bytes) -> Option<Bytes>>;

/// How long a node holds back what it has for another: from, bytes.
pub type HoldBack = Box<dyn FnMut(u64, &Bytes) -> Duration>;

/// A message that may hold frames, as it was made by the hub or by a node.
#[derive(Debug, Clone)]
pub struct Sent {
    /// By which node; nobody is the hub.
    pub by: Option<u64>,
    /// The message, as it was before anybody tampered with it.
    pub bytes: Bytes,
}

/// Bytes that were sent, whether they arrived or not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// By the server.
    pub down: u64,
    /// To the server.
    pub up: u64,
    /// On links.
    pub links: u64,
}

/// The network.
pub struct Net {
    /// The time.
    pub now: Time,
    /// The server's half.
    pub hub: Hub,
    /// The nodes.
    pub nodes: BTreeMap<u64, Box<Node>>,
    /// All chance comes from here.
    pub rng: ChaCha8Rng,
    /// Changes or loses a message on a link: from, to, bytes.
    pub tamper: Option<Tamper>,
    /// Says how long a node holds back a message on a link.
    pub hold_back: Option<HoldBack>,
    /// Links between these pairs never come up. A node with itself: its links with anybody.
    pub blocked: BTreeSet<(u64, u64)>,
    /// Nodes that the server's messages do not reach.
    pub deaf: BTreeSet<u64>,
    /// Where nodes come from, of those of whom that is known.
    pub whereabouts: BTreeMap<u64, Whereabouts>,
    /// Bytes that crossed links, by receiver.
    pub link_bytes: FxHashMap<u64, usize>,
    /// What messages on links take beyond what the wires say.
    pub link_delay: Duration,
    /// Writes down all that happens to one node.
    pub recorder: Option<Recorder>,
    /// Where the source is.
    pub position: Position,
    /// The claims that the hub has asked its source about.
    pub questions: Vec<Position>,
    /// Where the source says that the channel ends, if it is not where the hub is.
    pub answers: Option<Position>,
    /// Whether the source says nothing to the hub's questions.
    pub withholds_answers: bool,
    /// The pages of the past that the hub has asked its source for.
    pub fetches: Vec<hub::Fetch>,
    /// What the source takes to fetch a page; nothing while it does not answer.
    pub fetch_time: Option<Duration>,
    /// What applications were given since this was last emptied, if nodes do not keep it: a network of many nodes.
    pub fresh: Option<Vec<Given>>,
    /// What was sent since this was last emptied, if anybody wants to know.
    pub sent: Option<Vec<Sent>>,
    /// Nodes that were told where they start in this session, and where, since this was last emptied, if anybody wants to
    /// know.
    pub started: Option<Vec<(u64, Position)>>,
    /// Nodes whose session has ended, or that could not connect, since this was last emptied.
    pub cut_off: Vec<u64>,
    /// What was sent.
    pub traffic: Traffic,
    channel: ChannelName,
    more_channels: Vec<ChannelName>,
    wires: Box<dyn Wires>,
    queue: Queue<Happening>,
    /// When the last message on a way arrives, so that none overtakes another.
    last_arrival: FxHashMap<Way, Time>,
    /// The two ends of a link, by node; both have opened it when there are two.
    ends: BTreeMap<LinkId, Vec<u64>>,
    /// By the link that each was made for.
    connections: BTreeMap<LinkId, Connection>,
    /// The link that the connection of each link was made for.
    carriers: BTreeMap<LinkId, LinkId>,
    /// Sessions name connections; nodes reconnect.
    session_node: FxHashMap<u64, u64>,
    /// What the hub calls nodes, or called them in earlier sessions.
    names: BTreeMap<PeerId, u64>,
    next_session: u64,
    /// Between two servers: nobody can connect.
    pub is_server_away: bool,
    /// When the hub is woken next.
    hub_wakes: Option<Time>,
    /// What comes for nodes that stand still.
    frozen: BTreeMap<u64, Vec<Happening>>,
    /// What was published in the present numbering, for a server that restarts and for those who are behind its log.
    history: Vec<Event>,
}

impl Net {
    /// A network without nodes, whose hub has one channel, which is open and empty.
    pub fn new(seed: u64, config: HubConfig, wires: impl Wires + 'static) -> Self {
        Self::with_signer(seed, config, wires, Box::new(FakeSigner(9)))
    }

    /// The same with a signer of one's own.
    pub fn with_signer(
        seed: u64,
        config: HubConfig,
        wires: impl Wires + 'static,
        signer: Box<dyn Signer>,
    ) -> Self {
        let secret = signer.public_key();
        let mut hub = Hub::new(config, signer, secret);
        hub.add_channel(BEGIN, &channel()).expect("a new channel");
        let mut net = Self {
            now: BEGIN,
            hub,
            nodes: BTreeMap::new(),
            rng: ChaCha8Rng::seed_from_u64(seed),
            tamper: None,
            hold_back: None,
            blocked: BTreeSet::new(),
            deaf: BTreeSet::new(),
            whereabouts: BTreeMap::new(),
            link_bytes: FxHashMap::default(),
            link_delay: Duration::ZERO,
            recorder: None,
            position: Position::new(FIRST_EPOCH, -1),
            questions: Vec::new(),
            answers: None,
            withholds_answers: false,
            fetches: Vec::new(),
            fetch_time: Some(Duration::from_millis(20)),
            fresh: None,
            sent: None,
            started: None,
            cut_off: Vec::new(),
            is_server_away: false,
            frozen: BTreeMap::new(),
            traffic: Traffic::default(),
            channel: channel(),
            more_channels: Vec::new(),
            wires: Box::new(wires),
            queue: Queue::new(),
            last_arrival: FxHashMap::default(),
            ends: BTreeMap::new(),
            connections: BTreeMap::new(),
            carriers: BTreeMap::new(),
            session_node: FxHashMap::default(),
            names: BTreeMap::new(),
            next_session: 0,
            hub_wakes: None,
            history: Vec::new(),
        };
        net.source(SourceUpdate::Opened(net.position));
        net
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.rng.next_u64() % bound.max(1)
    }

    /// Lets time pass.
    pub fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.step(end) {}
        self.now = end;
    }

    /// Lets time pass until `done`, and panics after ten minutes of it.
    pub fn run_until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let end = self.now + Duration::from_secs(600);
        while !done(self) {
            assert!(self.step(end), "ten minutes passed and not yet: {what}");
        }
    }

    /// Does the next thing that is due before `end`, if there is one.
    pub fn step(&mut self, end: Time) -> bool {
        if self.queue.next().is_none_or(|next| next > end) {
            return false;
        }
        let Some((at, happening)) = self.queue.pop() else { return false };
        self.now = self.now.max(at);
        self.happen(at, happening);
        true
    }

    fn happen(&mut self, at: Time, happening: Happening) {
        let receiver = self.receiver(&happening);
        if let Some(waiting) = receiver.and_then(|node| self.frozen.get_mut(&node)) {
            return waiting.push(happening);
        }
        match happening {
            Happening::ToHub(session, bytes) => {
                self.hub_input(hub::Input::SessionData(SessionId(session), bytes));
            }
            Happening::HubSees(session, true) => {
                let node = self.session_node.get(&session);
                let from = node.and_then(|node| self.whereabouts.get(node)).copied().unwrap_or_default();
                self.hub_input(hub::Input::SessionOpened(SessionId(session), from));
            }
            Happening::HubSees(session, false) => {
                self.hub_input(hub::Input::SessionClosed(SessionId(session)));
            }
            Happening::ToPeer(session, bytes) => {
                if !self.session_node.get(&session).is_some_and(|node| self.deaf.contains(node)) {
                    self.session_input(session, peer::Input::SessionData(bytes));
                }
            }
            Happening::PeerSees(session, true) => self.session_input(session, peer::Input::SessionOpened),
            Happening::PeerSees(session, false) => {
                let node = self.node_in(session);
                self.session_node.remove(&session);
                if let Some(node) = node {
                    if let Some(node) = self.nodes.get_mut(&node) {
                        node.session = None;
                    }
                    self.cut_off.push(node);
                    self.peer(node, peer::Input::SessionClosed);
                }
            }
            Happening::OnLink(node, link, bytes) => {
                *self.link_bytes.entry(node).or_default() += bytes.len();
                self.peer(node, peer::Input::LinkData(link, bytes));
            }
            Happening::Release(node, link, bytes) => self.send_on_link(node, link, bytes),
            Happening::LinkUp(node, link) => self.on_link_up(node, link),
            Happening::ChannelOpens(node, link) => self.on_channel(node, link),
            Happening::LinkDown(node, link) => self.peer(node, peer::Input::LinkClosed(link)),
            Happening::PumpHub(session) => self.pump_hub(session),
            Happening::PumpPeer(node, target) => self.pump_peer(node, target),
            Happening::WakeHub => self.wake_hub(at),
            Happening::WakePeer(node) => self.wake_peer(at, node),
            Happening::Answer(update) => self.source(update),
        }
    }

    /// The node that something happens to.
    fn receiver(&self, happening: &Happening) -> Option<u64> {
        if self.frozen.is_empty() {
            return None;
        }
        match happening {
            Happening::ToPeer(session, _) | Happening::PeerSees(session, _) => {
                self.session_node.get(session).copied()
            }
            Happening::OnLink(node, ..)
            | Happening::Release(node, ..)
            | Happening::LinkUp(node, _)
            | Happening::ChannelOpens(node, _)
            | Happening::LinkDown(node, _)
            | Happening::PumpPeer(node, _)
            | Happening::WakePeer(node) => Some(*node),
            Happening::ToHub(..)
            | Happening::HubSees(..)
            | Happening::PumpHub(_)
            | Happening::WakeHub
            | Happening::Answer(_) => None,
        }
    }

    /// Hands an input to the hub and does what it wants.
    pub fn hub_input(&mut self, input: hub::Input<'_>) {
        self.hub.handle(self.now, input).expect("inputs in order");
        self.drain_hub();
    }

    fn session_input(&mut self, session: u64, input: peer::Input) {
        if let Some(node) = self.node_in(session) {
            self.peer(node, input);
        }
    }

    /// The node whose present session this is.
    fn node_in(&self, session: u64) -> Option<u64> {
        let node = self.session_node.get(&session).copied()?;
        (self.nodes.get(&node)?.session == Some(session)).then_some(node)
    }

    fn wake_hub(&mut self, at: Time) {
        // Others were planned before the deadline moved.
        if self.hub_wakes.take_if(|wakes| *wakes == at).is_none() {
            return;
        }
        match self.hub.poll_timeout() {
            Some(due) if due <= self.now => self.hub_input(hub::Input::Timeout),
            _ => self.plan_hub(),
        }
    }

    fn wake_peer(&mut self, at: Time, id: u64) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        // One that stood still may be late.
        if node.wakes.take_if(|wakes| *wakes <= at).is_none() {
            return;
        }
        match node.peer.poll_timeout() {
            Some(due) if due <= self.now => self.peer(id, peer::Input::Timeout),
            _ => self.plan_peer(id),
        }
    }

    /// Plans the next waking, if none is planned that is early enough.
    pub(super) fn plan_hub(&mut self) {
        let Some(due) = self.hub.poll_timeout().map(|due| due.max(self.now)) else { return };
        if self.hub_wakes.is_none_or(|wakes| due < wakes) {
            self.hub_wakes = Some(due);
            self.queue.plan(due, Happening::WakeHub);
        }
    }

    fn plan_peer(&mut self, id: u64) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        let Some(due) = node.peer.poll_timeout().map(|due| due.max(self.now)) else { return };
        if node.wakes.is_none_or(|wakes| due < wakes) {
            node.wakes = Some(due);
            self.queue.plan(due, Happening::WakePeer(id));
        }
    }

    fn drain_hub(&mut self) {
        while let Some(output) = self.hub.poll_output() {
            match output {
                hub::Output::Transmit(session) => self.queue.plan(self.now, Happening::PumpHub(session.0)),
                hub::Output::Read(_) | hub::Output::CloseReader(..) => {
                    unreachable!("there are no plain readers here")
                }
                hub::Output::FindEnd { claimed, .. } => {
                    self.questions.push(claimed);
                    if !self.withholds_answers {
                        let end = SourceUpdate::End(self.answers.unwrap_or(self.position));
                        let answer = hub::Input::Source(&self.channel, end);
                        self.hub.handle(self.now, answer).expect("an answer");
                    }
                }
                hub::Output::Fetch(fetch) => self.fetch(fetch),
                hub::Output::Close { session, code, .. } => {
                    let Some(node) = self.node_in(session.0) else { continue };
                    if let Some(node) = self.nodes.get_mut(&node) {
                        node.closed_with = Some(code);
                    }
                    let way = Way::Down { session: session.0, node };
                    self.send(way, 0, Happening::PeerSees(session.0, false));
                }
            }
        }
        self.plan_hub();
    }

    /// Hands an input to a peer and does what it wants.
    pub fn peer(&mut self, id: u64, input: peer::Input) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        if let Some(recorder) = self.recorder.as_mut().filter(|recorder| recorder.node == id) {
            recorder.input(self.now, &input);
        }
        node.peer.handle(self.now, input).expect("inputs in order");
        self.drain_peer(id);
    }

    /// Does what a peer wants.
    pub fn drain_peer(&mut self, id: u64) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        let name = self.channel.clone();
        while let Some(delivery) = node.reads.then(|| node.peer.poll_delivery(&name)).flatten() {
            if let Some(recorder) = self.recorder.as_mut().filter(|recorder| recorder.node == id) {
                recorder.delivery(&delivery);
            }
            match &mut self.fresh {
                Some(fresh) => fresh.push(Given { at: self.now, node: id, delivery }),
                None => node.deliveries.push(delivery),
            }
        }
        for name in &self.more_channels {
            while let Some(delivery) = node.reads.then(|| node.peer.poll_delivery(name)).flatten() {
                node.more_deliveries.entry(name.clone()).or_default().push(delivery);
            }
        }
        let outputs: Vec<_> = std::iter::from_fn(|| node.peer.poll_output()).collect();
        if let Some(recorder) = self.recorder.as_mut().filter(|recorder| recorder.node == id) {
            outputs.iter().for_each(|output| recorder.output(output));
        }
        for output in outputs {
            self.do_output(id, output);
        }
        self.plan_peer(id);
    }

    fn do_output(&mut self, id: u64, output: peer::Output) {
        match output {
            peer::Output::Transmit(target) => self.queue.plan(self.now, Happening::PumpPeer(id, target)),
            peer::Output::CloseSession { code, .. } => {
                self.nodes.get_mut(&id).expect("it has just spoken").closed_with = Some(code);
                self.disconnect(id);
            }
            peer::Output::OpenLink { link, offers, via: Some(via) } => {
                self.open_end_via(link, via, id, offers);
            }
            peer::Output::OpenLink { link, offers, via: None } => {
                self.open_end(link, id);
                if offers {
                    let offer = Signal::Offer { sdp: "offer".into() };
                    self.peer(id, peer::Input::LocalSignal(link, offer));
                }
            }
            peer::Output::RemoteSignal(link, Signal::Offer { .. }) => {
                let answer = Signal::Answer { sdp: "answer".into() };
                self.peer(id, peer::Input::LocalSignal(link, answer));
            }
            peer::Output::RemoteSignal(link, Signal::Answer { .. }) => self.connect_ends(link),
            peer::Output::RemoteSignal(_, Signal::Candidate { .. }) => {}
            peer::Output::CloseLink { link, bye } => {
                if let (Some(other), Some(bye)) = (self.other_end(link, id), bye) {
                    let way = Way::Link { link, from: id, to: other };
                    self.send(way, bye.len(), Happening::OnLink(other, link, bye));
                }
                self.close_ends(link, id);
            }
            peer::Output::Status(status) => {
                if let Status::Welcome { peer, .. } = &status {
                    self.names.insert(*peer, id);
                }
                if let (Status::Subscribed { position, .. }, Some(started)) = (&status, &mut self.started) {
                    started.push((id, *position));
                }
                if self.fresh.is_none() {
                    self.nodes.get_mut(&id).expect("it has just spoken").statuses.push(status);
                }
            }
        }
    }
}
