//! The production hub and peers on a network in memory, with a clock of its own: one seed, one course of events.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use bytes::Bytes;
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use tiercast_codec::{
    ChannelName, Code, Event, LinkId, Message, Pattern, Position, SessionId, Signal, Signer, Since,
};
use tiercast_mesh::{
    Hub, Peer, SourceUpdate, Time,
    hub::{self, HubConfig, Place},
    peer::{self, Delivery, PeerConfig, Status, Target},
};

use crate::{
    queue::Queue,
    signature::{FakeSigner, FakeVerifier},
    trace::Recorder,
    wires::{Way, Wires},
};

/// The one channel.
pub fn channel() -> ChannelName {
    "test".parse().expect("a name")
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
    LinkUp(u64, LinkId),
    LinkDown(u64, LinkId),
    HubSees(u64, bool),
    PeerSees(u64, bool),
    PumpHub(u64),
    PumpPeer(u64, Target),
    WakeHub,
    WakePeer(u64),
}

/// A peer with what it got.
pub struct Node {
    /// The node's half of the protocol.
    pub peer: Peer,
    /// The number of its session, or nothing while it is disconnected.
    pub session: Option<u64>,
    /// What its application was given, if the network keeps that.
    pub deliveries: Vec<Delivery>,
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
    pub nodes: BTreeMap<u64, Node>,
    /// All chance comes from here.
    pub rng: ChaCha8Rng,
    /// Changes or loses a message on a link: from, to, bytes.
    pub tamper: Option<Tamper>,
    /// Links between these pairs never come up. A node with itself: its links with anybody.
    pub blocked: BTreeSet<(u64, u64)>,
    /// Nodes that the server's messages do not reach.
    pub deaf: BTreeSet<u64>,
    /// Bytes that crossed links, by receiver.
    pub link_bytes: BTreeMap<u64, usize>,
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
    /// What applications were given since this was last emptied, if nodes do not keep it: a network of many nodes.
    pub fresh: Option<Vec<Given>>,
    /// Nodes whose session has ended since this was last emptied.
    pub cut_off: Vec<u64>,
    /// What was sent.
    pub traffic: Traffic,
    channel: ChannelName,
    wires: Box<dyn Wires>,
    queue: Queue<Happening>,
    /// When the last message on a way arrives, so that none overtakes another.
    last_arrival: BTreeMap<Way, Time>,
    /// The two ends of a link, by node; both have opened it when there are two.
    ends: BTreeMap<LinkId, Vec<u64>>,
    /// Sessions name connections; nodes reconnect.
    session_node: BTreeMap<u64, u64>,
    next_session: u64,
    /// When the hub is woken next.
    hub_wakes: Option<Time>,
    /// What comes for nodes that stand still.
    frozen: BTreeMap<u64, Vec<Happening>>,
    /// What was published in the present numbering, for a server that restarts.
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
        let mut hub = Hub::new(config, signer, [seed as u8; 32]);
        hub.add_channel(BEGIN, &channel()).expect("a new channel");
        let mut net = Self {
            now: BEGIN,
            hub,
            nodes: BTreeMap::new(),
            rng: ChaCha8Rng::seed_from_u64(seed),
            tamper: None,
            blocked: BTreeSet::new(),
            deaf: BTreeSet::new(),
            link_bytes: BTreeMap::new(),
            link_delay: Duration::ZERO,
            recorder: None,
            position: Position::new(FIRST_EPOCH, -1),
            questions: Vec::new(),
            answers: None,
            withholds_answers: false,
            fresh: None,
            cut_off: Vec::new(),
            frozen: BTreeMap::new(),
            traffic: Traffic::default(),
            channel: channel(),
            wires: Box::new(wires),
            queue: Queue::new(),
            last_arrival: BTreeMap::new(),
            ends: BTreeMap::new(),
            session_node: BTreeMap::new(),
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

    /// Adds a peer that subscribes and connects.
    pub fn join(&mut self, node: u64, config: PeerConfig, since: Since) {
        self.join_with(node, Peer::new(config, Box::new(FakeVerifier)), since);
    }

    /// The same with a peer of one's own.
    pub fn join_with(&mut self, node: u64, peer: Peer, since: Since) {
        self.subscribe(node, peer, since, Vec::new());
    }

    /// Adds a peer that subscribes in its own way.
    pub fn subscribe(&mut self, node: u64, peer: Peer, since: Since, patterns: Vec<Pattern>) {
        let subscribe = peer::Input::Subscribe { channel: self.channel.clone(), since, patterns };
        let state = Node {
            peer,
            session: None,
            deliveries: Vec::new(),
            statuses: Vec::new(),
            closed_with: None,
            links: BTreeSet::new(),
            reads: true,
            wakes: None,
        };
        self.nodes.insert(node, state);
        self.peer(node, subscribe);
        self.connect(node);
    }

    /// (Re)connects a peer to the hub.
    pub fn connect(&mut self, node: u64) {
        self.next_session += 1;
        let session = self.next_session;
        self.session_node.insert(session, node);
        self.nodes.get_mut(&node).expect("a node that is there").session = Some(session);
        self.send(Way::Up { session, node }, 0, Happening::HubSees(session, true));
        self.send(Way::Down { session, node }, 0, Happening::PeerSees(session, true));
    }

    /// The connection between a peer and the hub breaks; both see it.
    pub fn disconnect(&mut self, node: u64) {
        if let Some(session) = self.nodes.get_mut(&node).and_then(|node| node.session.take()) {
            self.end_session(session, node);
            self.cut_off.push(node);
            self.peer(node, peer::Input::SessionClosed);
        }
    }

    /// A node stands still: whatever comes for it waits, and nothing falls due.
    pub fn freeze(&mut self, node: u64) {
        self.frozen.entry(node).or_default();
    }

    /// It goes on.
    pub fn thaw(&mut self, node: u64) {
        for happening in self.frozen.remove(&node).unwrap_or_default() {
            self.queue.plan(self.now, happening);
        }
    }

    /// Leaves a node this share of what it could send.
    pub fn narrow(&mut self, node: u64, share: f64) {
        self.wires.narrow(node, share);
    }

    /// A peer dies without a word. Its links fall silent.
    pub fn kill(&mut self, node: u64) {
        if let Some(session) = self.nodes.remove(&node).and_then(|node| node.session) {
            self.end_session(session, node);
        }
    }

    /// A peer dies, and the ends of its links see them close.
    pub fn crash(&mut self, node: u64) {
        let links = self.nodes.get(&node).map(|node| node.links.clone()).unwrap_or_default();
        for link in links {
            self.close_ends(link, node);
        }
        self.kill(node);
    }

    /// A peer dies, and neither the hub nor anybody else is told: a machine without power.
    pub fn vanish(&mut self, node: u64) {
        if let Some(session) = self.nodes.remove(&node).and_then(|node| node.session) {
            self.session_node.remove(&session);
        }
    }

    fn end_session(&mut self, session: u64, node: u64) {
        self.send(Way::Up { session, node }, 0, Happening::HubSees(session, false));
        self.last_arrival.remove(&Way::Up { session, node });
        self.last_arrival.remove(&Way::Down { session, node });
        self.session_node.remove(&session);
    }

    /// Publishes messages with these bodies.
    pub fn publish(&mut self, bodies: impl IntoIterator<Item = Vec<u8>>) {
        self.publish_to("key", bodies);
    }

    /// Publishes messages with this routing key.
    pub fn publish_to(&mut self, key: &str, bodies: impl IntoIterator<Item = Vec<u8>>) {
        let message =
            |body: Vec<u8>| Message { routing_key: key.into(), body: body.into(), ..Message::default() };
        let messages: Vec<_> = bodies.into_iter().map(message).collect();
        let offsets = self.position.offset + 1..;
        let events =
            offsets.zip(&messages).map(|(offset, message)| Event { offset, message: message.clone() });
        self.history.extend(events);
        self.source(SourceUpdate::Messages(messages));
    }

    /// The source says something.
    pub fn source(&mut self, update: SourceUpdate) {
        self.hub.handle(self.now, hub::Input::Source(&self.channel, update)).expect("a source in order");
        self.position = self.hub.position(&self.channel).unwrap_or(self.position);
        self.drain_hub();
    }

    /// The source begins a new numbering.
    pub fn renumber(&mut self) {
        self.history.clear();
        self.source(SourceUpdate::Opened(Position::new(self.position.epoch + 1, -1)));
    }

    /// The server goes, and comes back with another key, and with all that the source has if that is a stream; else
    /// with a new numbering.
    pub fn restart(&mut self, config: HubConfig, signer: Box<dyn Signer>, source_is_stream: bool) {
        self.stop_server();
        self.run_for(Duration::from_secs(1));
        self.start_server(config, signer, source_is_stream);
        for node in self.nodes.keys().copied().collect::<Vec<_>>() {
            self.connect(node);
        }
    }

    /// The server goes.
    pub fn stop_server(&mut self) {
        for node in self.nodes.keys().copied().collect::<Vec<_>>() {
            self.disconnect(node);
        }
        // The next server counts links from one again, and knows none of these.
        for link in self.ends.keys().copied().collect::<Vec<_>>() {
            self.close_ends(link, u64::MAX);
        }
    }

    /// Another one comes in its place.
    pub fn start_server(&mut self, config: HubConfig, signer: Box<dyn Signer>, source_is_stream: bool) {
        self.new_hub(config, signer);
        if source_is_stream {
            self.source(SourceUpdate::Opened(Position::new(self.position.epoch, -1)));
            self.source(SourceUpdate::Events(self.history.clone()));
        } else {
            self.renumber();
        }
    }

    /// Another hub in the place of the one that there is, to which nobody is connected. Its source is not open yet.
    pub fn new_hub(&mut self, config: HubConfig, signer: Box<dyn Signer>) {
        self.hub = Hub::new(config, signer, [self.below(256) as u8; 32]);
        self.hub.add_channel(self.now, &self.channel).expect("a new channel");
        self.plan_hub();
    }

    /// An application stops reading, or goes on.
    pub fn set_reads(&mut self, node: u64, reads: bool) {
        if let Some(recorder) = self.recorder.as_mut().filter(|recorder| recorder.node == node) {
            recorder.reads(reads);
        }
        if let Some(state) = self.nodes.get_mut(&node) {
            state.reads = reads;
        }
        self.drain_peer(node);
    }

    /// An application that does not read by itself takes the next event or gap. False if there is none.
    pub fn read_one(&mut self, node: u64) -> bool {
        let Some(state) = self.nodes.get_mut(&node) else { return false };
        let delivery = state.peer.poll_delivery(&self.channel);
        let has_read = delivery.is_some();
        state.deliveries.extend(delivery);
        self.drain_peer(node);
        has_read
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
                self.hub_input(hub::Input::SessionOpened(SessionId(session)));
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
                if let Some(node) = self.session_node.remove(&session) {
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
            Happening::LinkUp(node, link) => self.peer(node, peer::Input::LinkOpened(link)),
            Happening::LinkDown(node, link) => self.peer(node, peer::Input::LinkClosed(link)),
            Happening::PumpHub(session) => self.pump_hub(session),
            Happening::PumpPeer(node, target) => self.pump_peer(node, target),
            Happening::WakeHub => self.wake_hub(at),
            Happening::WakePeer(node) => self.wake_peer(at, node),
        }
    }

    /// The node that something happens to.
    fn receiver(&self, happening: &Happening) -> Option<u64> {
        if self.frozen.is_empty() {
            return None;
        }
        match happening {
            Happening::ToPeer(session, _) | Happening::PeerSees(session, _) => self.node_of(*session),
            Happening::OnLink(node, ..)
            | Happening::LinkUp(node, _)
            | Happening::LinkDown(node, _)
            | Happening::PumpPeer(node, _)
            | Happening::WakePeer(node) => Some(*node),
            Happening::ToHub(..) | Happening::HubSees(..) | Happening::PumpHub(_) | Happening::WakeHub => {
                None
            }
        }
    }

    /// Hands an input to the hub and does what it wants.
    pub fn hub_input(&mut self, input: hub::Input<'_>) {
        self.hub.handle(self.now, input).expect("inputs in order");
        self.drain_hub();
    }

    fn session_input(&mut self, session: u64, input: peer::Input) {
        if let Some(node) = self.session_node.get(&session).copied() {
            self.peer(node, input);
        }
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
    fn plan_hub(&mut self) {
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
                hub::Output::FindEnd { claimed, .. } => {
                    self.questions.push(claimed);
                    if !self.withholds_answers {
                        let end = SourceUpdate::End(self.answers.unwrap_or(self.position));
                        let answer = hub::Input::Source(&self.channel, end);
                        self.hub.handle(self.now, answer).expect("an answer");
                    }
                }
                hub::Output::Close { session, code, .. } => {
                    let Some(node) = self.session_node.get(&session.0).copied() else { continue };
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
            peer::Output::OpenLink { link, offers } => {
                self.ends.entry(link).or_default().push(id);
                self.nodes.get_mut(&id).expect("it has just spoken").links.insert(link);
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
                if self.fresh.is_none() {
                    self.nodes.get_mut(&id).expect("it has just spoken").statuses.push(status);
                }
            }
        }
    }

    fn other_end(&self, link: LinkId, id: u64) -> Option<u64> {
        self.ends.get(&link)?.iter().find(|end| **end != id).copied()
    }

    fn connect_ends(&mut self, link: LinkId) {
        let Some([one, other]) = self.ends.get(&link).map(Vec::as_slice) else { return };
        let (one, other) = (*one.min(other), *one.max(other));
        if [(one, other), (one, one), (other, other)].iter().any(|pair| self.blocked.contains(pair)) {
            return;
        }
        let Some(set_up) = self.wires.set_up(&mut self.rng, one, other) else { return };
        for end in [one, other] {
            self.queue.plan(self.now + set_up, Happening::LinkUp(end, link));
        }
    }

    /// Breaks a link; the end that is not `cause` sees it.
    pub fn close_ends(&mut self, link: LinkId, cause: u64) {
        let ends = self.ends.remove(&link).unwrap_or_default();
        for end in &ends {
            if let Some(node) = self.nodes.get_mut(end) {
                node.links.remove(&link);
            }
            let from = ends.iter().find(|from| *from != end).copied().unwrap_or(cause);
            let way = Way::Link { link, from, to: *end };
            if *end != cause {
                self.send(way, 0, Happening::LinkDown(*end, link));
            }
            self.last_arrival.remove(&way);
        }
    }

    fn pump_hub(&mut self, session: u64) {
        let Some(bytes) = self.hub.poll_transmit(SessionId(session)) else { return };
        self.traffic.down += bytes.len() as u64;
        // A node that has vanished is sent to all the same.
        let node = self.session_node.get(&session).copied().unwrap_or(0);
        let (way, count) = (Way::Down { session, node }, bytes.len());
        let again = self.send(way, count, Happening::ToPeer(session, bytes));
        self.queue.plan(again, Happening::PumpHub(session));
    }

    fn pump_peer(&mut self, id: u64, target: Target) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        let bytes = node.peer.poll_transmit(target);
        if let Some(recorder) = self.recorder.as_mut().filter(|recorder| recorder.node == id) {
            recorder.transmit(target, bytes.as_ref());
        }
        if let Some(bytes) = bytes {
            let again = self.send_from(id, target, bytes);
            self.queue.plan(again, Happening::PumpPeer(id, target));
        }
        // Sending can end a link.
        self.drain_peer(id);
    }

    /// Sends what a node has for somebody; says when it can send more.
    fn send_from(&mut self, node: u64, target: Target, bytes: Bytes) -> Time {
        let count = bytes.len();
        match target {
            Target::Session => {
                let Some(session) = self.nodes.get(&node).and_then(|node| node.session) else {
                    return self.now;
                };
                self.traffic.up += count as u64;
                self.send(Way::Up { session, node }, count, Happening::ToHub(session, bytes))
            }
            Target::Link(link) => {
                let Some(to) = self.other_end(link, node) else { return self.now };
                self.traffic.links += count as u64;
                let way = Way::Link { link, from: node, to };
                let bytes = match &mut self.tamper {
                    Some(tamper) => tamper(node, to, bytes),
                    None => Some(bytes),
                };
                match bytes {
                    Some(bytes) => self.send(way, count, Happening::OnLink(to, link, bytes)),
                    None => self.now,
                }
            }
        }
    }

    /// Sends on a way; says when more can be sent on it. What is sent arrives never before what was sent on it earlier.
    fn send(&mut self, way: Way, bytes: usize, happening: Happening) -> Time {
        let carried = self.wires.carry(&mut self.rng, self.now, way, bytes);
        if let Some(arrives) = carried.arrives {
            let delay =
                if matches!(happening, Happening::OnLink(..)) { self.link_delay } else { Duration::ZERO };
            let last = self.last_arrival.entry(way).or_default();
            *last = (arrives + delay).max(*last);
            self.queue.plan(*last, happening);
        }
        carried.writable
    }

    /// The offsets that a node's application got.
    pub fn offsets(&self, node: u64) -> Vec<i64> {
        let offset = |delivery: &Delivery| match delivery {
            Delivery::Event { position, .. } => Some(position.offset),
            Delivery::Gap { .. } => None,
        };
        self.nodes[&node].deliveries.iter().filter_map(offset).collect()
    }

    /// The gaps that a node's application got.
    pub fn gaps(&self, node: u64) -> Vec<&Delivery> {
        let is_gap = |delivery: &&Delivery| matches!(delivery, Delivery::Gap { .. });
        self.nodes[&node].deliveries.iter().filter(is_gap).collect()
    }

    /// Where a node stands in the tree.
    pub fn place(&self, node: u64) -> Option<hub::TreeNode> {
        let session = self.nodes.get(&node)?.session?;
        self.hub.topology(&self.channel)?.into_iter().find(|entry| entry.peer.0 == session)
    }

    /// The link that feeds a node, if it is not the server.
    pub fn link(&self, node: u64) -> Option<LinkId> {
        match self.place(node)?.place {
            Place::Child(link) => Some(link),
            _ => None,
        }
    }

    /// The node that feeds another, if it is not the server.
    pub fn parent(&self, node: u64) -> Option<u64> {
        self.node_of(self.place(node)?.parent?.0)
    }

    /// The links of a node, under way or up.
    pub fn links_of(&self, node: u64) -> Vec<LinkId> {
        self.nodes.get(&node).map(|node| node.links.iter().copied().collect()).unwrap_or_default()
    }

    /// The node of a session.
    pub fn node_of(&self, session: u64) -> Option<u64> {
        self.session_node.get(&session).copied()
    }

    /// Whether a node has a settled place.
    pub fn is_settled(&self, node: u64) -> bool {
        self.place(node)
            .is_some_and(|entry| matches!(entry.place, Place::Root | Place::Child(_) | Place::Direct))
    }

    /// Whether everybody has everything.
    pub fn is_caught_up(&self) -> bool {
        self.nodes.values().all(|node| node.peer.position(&self.channel) == Some(self.position))
    }
}
