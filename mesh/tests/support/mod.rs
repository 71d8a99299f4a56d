//! A hub and peers on an in-memory network with a fake clock: seeded latencies, no tasks, no sleeps.
#![allow(dead_code, reason = "each test file uses its own part")]

pub mod sessions;
pub mod trace;

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
    ChannelName, Event, LinkId, Message, Pattern, Position, PublicKey, Relay, SessionId, Signal, Signature,
    Signer, Since, Verifier,
};
use tiercast_mesh::{
    Hub, Peer, SourceUpdate, Time,
    hub::{self, HubConfig, Place},
    peer::{self, Delivery, PeerConfig, Status, Target},
};

/// The channel of all tests.
pub fn channel() -> ChannelName {
    "test".parse().unwrap()
}

/// The numbering that a source begins with.
pub const FIRST_EPOCH: u64 = 7;

/// Signs by a checksum: fast, and any changed bit still shows.
pub struct FakeSigner(pub u8);

/// Verifies what [`FakeSigner`] signs.
pub struct FakeVerifier;

impl Signer for FakeSigner {
    fn sign(&self, message: &[u8]) -> Signature {
        // FNV-1a
        let hash = message.iter().chain([&self.0]).fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let mut signature = [0; 64];
        signature[..8].copy_from_slice(&hash.to_be_bytes());
        signature
    }

    fn public_key(&self) -> PublicKey {
        [self.0; 32]
    }
}

impl Verifier for FakeVerifier {
    fn verify(&self, key: &PublicKey, message: &[u8], signature: &Signature) -> bool {
        FakeSigner(key[0]).sign(message) == *signature
    }
}

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
}

/// How the network behaves.
#[derive(Debug, Clone, Copy)]
pub struct Weather {
    /// Shortest and longest way of a message, one way.
    pub latency: (Duration, Duration),
    /// Longest time that a sender needs for one message.
    pub sending: Duration,
}

/// A peer with what it got.
pub struct Node {
    pub peer: Peer,
    /// The number of its session, or nothing while it is disconnected.
    pub session: Option<u64>,
    pub deliveries: Vec<Delivery>,
    pub statuses: Vec<Status>,
    pub closed_with: Option<tiercast_codec::Code>,
    reads: bool,
}

/// What happens to a message between two nodes.
pub type Tamper = Box<dyn FnMut(u64, u64, Bytes) -> Option<Bytes>>;

/// The network.
pub struct Net {
    pub now: Time,
    pub hub: Hub,
    pub nodes: BTreeMap<u64, Node>,
    pub rng: ChaCha8Rng,
    /// Changes or loses a message on a link: from, to, bytes.
    pub tamper: Option<Tamper>,
    /// Links between these pairs never come up.
    pub blocked: BTreeSet<(u64, u64)>,
    /// Nodes that the server's messages do not reach.
    pub deaf: BTreeSet<u64>,
    /// Bytes that crossed links, by receiver.
    pub link_bytes: BTreeMap<u64, usize>,
    /// What messages on links take beyond what the weather says.
    pub link_delay: Duration,
    /// Writes down all that happens to one node.
    pub recorder: Option<trace::Recorder>,
    weather: Weather,
    queue: BTreeMap<(Time, u64), Happening>,
    sequence: u64,
    /// When the last message on a connection arrives, so that none overtakes another.
    last_arrival: BTreeMap<String, Time>,
    /// The two ends of a link, by node; both have opened it when there are two.
    ends: BTreeMap<LinkId, Vec<u64>>,
    /// Sessions name connections; nodes reconnect.
    session_node: BTreeMap<u64, u64>,
    next_session: u64,
    pub position: Position,
    /// What was published in the present numbering.
    history: Vec<Event>,
    /// The claims that the hub has asked its source about.
    pub questions: Vec<Position>,
    /// Where the source says that the channel ends, if it is not where the hub is.
    pub answers: Option<Position>,
    /// Whether the source says nothing to the hub's questions.
    pub withholds_answers: bool,
}

impl Net {
    pub fn new(seed: u64, config: HubConfig, weather: Weather) -> Self {
        Self::with_signer(seed, config, weather, Box::new(FakeSigner(9)))
    }

    pub fn with_signer(seed: u64, config: HubConfig, weather: Weather, signer: Box<dyn Signer>) -> Self {
        let now = Time(1_790_000_000_000_000);
        let mut hub = Hub::new(config, signer, [seed as u8; 32]);
        hub.add_channel(now, &channel()).unwrap();
        let position = Position::new(FIRST_EPOCH, -1);
        hub.handle(now, hub::Input::Source(&channel(), SourceUpdate::Opened(position))).unwrap();
        Self {
            now,
            hub,
            nodes: BTreeMap::new(),
            rng: ChaCha8Rng::seed_from_u64(seed),
            tamper: None,
            blocked: BTreeSet::new(),
            deaf: BTreeSet::new(),
            link_bytes: BTreeMap::new(),
            link_delay: Duration::ZERO,
            recorder: None,
            weather,
            queue: BTreeMap::new(),
            sequence: 0,
            last_arrival: BTreeMap::new(),
            ends: BTreeMap::new(),
            session_node: BTreeMap::new(),
            next_session: 0,
            position,
            history: Vec::new(),
            questions: Vec::new(),
            answers: None,
            withholds_answers: false,
        }
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.rng.next_u64() % bound.max(1)
    }

    /// Adds a peer that subscribes and connects.
    pub fn join(&mut self, node: u64, config: PeerConfig, since: Since) {
        self.join_with(node, Peer::new(config, Box::new(FakeVerifier)), since);
    }

    pub fn join_with(&mut self, node: u64, peer: Peer, since: Since) {
        self.subscribe(node, peer, since, Vec::new());
    }

    /// Adds a peer that subscribes in its own way.
    pub fn subscribe(&mut self, node: u64, peer: Peer, since: Since, patterns: Vec<Pattern>) {
        let subscribe = peer::Input::Subscribe { channel: channel(), since, patterns };
        let (deliveries, statuses) = (Vec::new(), Vec::new());
        let state = Node { peer, session: None, deliveries, statuses, closed_with: None, reads: true };
        self.nodes.insert(node, state);
        self.peer(node, subscribe);
        self.connect(node);
    }

    /// (Re)connects a peer to the hub.
    pub fn connect(&mut self, node: u64) {
        self.next_session += 1;
        let session = self.next_session;
        self.session_node.insert(session, node);
        self.nodes.get_mut(&node).unwrap().session = Some(session);
        self.send(format!("up{session}"), Happening::HubSees(session, true));
        self.send(format!("down{session}"), Happening::PeerSees(session, true));
    }

    /// The connection between a peer and the hub breaks; both see it.
    pub fn disconnect(&mut self, node: u64) {
        if let Some(session) = self.nodes.get_mut(&node).and_then(|node| node.session.take()) {
            self.send(format!("up{session}"), Happening::HubSees(session, false));
            self.session_node.remove(&session);
            self.peer(node, peer::Input::SessionClosed);
        }
    }

    /// A peer dies without a word. Its links fall silent.
    pub fn kill(&mut self, node: u64) {
        if let Some(session) = self.nodes.remove(&node).and_then(|node| node.session) {
            self.send(format!("up{session}"), Happening::HubSees(session, false));
        }
    }

    /// A peer dies, and the ends of its links see them close.
    pub fn crash(&mut self, node: u64) {
        let links: Vec<_> =
            self.ends.iter().filter(|(_, ends)| ends.contains(&node)).map(|(link, _)| *link).collect();
        for link in links {
            self.close_ends(link, node);
        }
        self.kill(node);
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

    pub fn source(&mut self, update: SourceUpdate) {
        self.hub.handle(self.now, hub::Input::Source(&channel(), update)).unwrap();
        self.position = self.hub.position(&channel()).unwrap_or(self.position);
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
        for node in self.nodes.keys().copied().collect::<Vec<_>>() {
            self.disconnect(node);
        }
        // The next server counts links from one again, and knows none of these.
        for link in self.ends.keys().copied().collect::<Vec<_>>() {
            self.close_ends(link, u64::MAX);
        }
        self.run_for(Duration::from_secs(1));
        self.new_hub(config, signer);
        if source_is_stream {
            self.source(SourceUpdate::Opened(Position::new(self.position.epoch, -1)));
            self.source(SourceUpdate::Events(self.history.clone()));
        } else {
            self.renumber();
        }
        for node in self.nodes.keys().copied().collect::<Vec<_>>() {
            self.connect(node);
        }
    }

    /// Another hub in the place of the one that there is, to which nobody is connected. Its source is not open yet.
    pub fn new_hub(&mut self, config: HubConfig, signer: Box<dyn Signer>) {
        self.hub = Hub::new(config, signer, [self.below(256) as u8; 32]);
        self.hub.add_channel(self.now, &channel()).unwrap();
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
        let delivery = state.peer.poll_delivery(&channel());
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

    /// Does the next thing that is due before `end`.
    fn step(&mut self, end: Time) -> bool {
        let queued = self.queue.first_key_value().map(|((at, _), _)| *at);
        let hub_due = self.hub.poll_timeout();
        let node_due =
            self.nodes.iter().filter_map(|(id, node)| Some((node.peer.poll_timeout()?, *id))).min();
        let next = [queued, hub_due, node_due.map(|(at, _)| at)].into_iter().flatten().min();
        let Some(next) = next.filter(|next| *next <= end) else { return false };
        self.now = self.now.max(next);
        if queued == Some(next) {
            let (_, happening) = self.queue.pop_first().unwrap();
            self.happen(happening);
        } else if hub_due == Some(next) {
            self.hub.handle(self.now, hub::Input::Timeout).unwrap();
            self.drain_hub();
        } else if let Some((_, id)) = node_due {
            self.peer(id, peer::Input::Timeout);
        }
        true
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::ToHub(session, bytes) => {
                self.hub_input(hub::Input::SessionData(SessionId(session), bytes))
            }
            Happening::HubSees(session, true) => {
                self.hub_input(hub::Input::SessionOpened(SessionId(session)))
            }
            Happening::HubSees(session, false) => {
                self.hub_input(hub::Input::SessionClosed(SessionId(session)))
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
        }
    }

    fn hub_input(&mut self, input: hub::Input<'_>) {
        self.hub.handle(self.now, input).unwrap();
        self.drain_hub();
    }

    fn session_input(&mut self, session: u64, input: peer::Input) {
        if let Some(node) = self.session_node.get(&session).copied() {
            self.peer(node, input);
        }
    }

    fn drain_hub(&mut self) {
        while let Some(output) = self.hub.poll_output() {
            match output {
                hub::Output::Transmit(session) => self.schedule(self.now, Happening::PumpHub(session.0)),
                hub::Output::FindEnd { claimed, .. } => {
                    self.questions.push(claimed);
                    if !self.withholds_answers {
                        let end = SourceUpdate::End(self.answers.unwrap_or(self.position));
                        self.hub.handle(self.now, hub::Input::Source(&channel(), end)).unwrap();
                    }
                }
                hub::Output::Close { session, code, .. } => {
                    if let Some(node) =
                        self.session_node.get(&session.0).and_then(|node| self.nodes.get_mut(node))
                    {
                        node.closed_with = Some(code);
                    }
                    self.send(format!("down{}", session.0), Happening::PeerSees(session.0, false));
                }
            }
        }
    }

    /// Hands an input to a peer and does what it wants.
    pub fn peer(&mut self, id: u64, input: peer::Input) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        if let Some(recorder) = self.recorder.as_mut().filter(|recorder| recorder.node == id) {
            recorder.input(self.now, &input);
        }
        node.peer.handle(self.now, input).unwrap();
        self.drain_peer(id);
    }

    pub fn drain_peer(&mut self, id: u64) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        while let Some(delivery) = node.reads.then(|| node.peer.poll_delivery(&channel())).flatten() {
            node.deliveries.push(delivery.clone());
            if let Some(recorder) = self.recorder.as_mut().filter(|recorder| recorder.node == id) {
                recorder.delivery(&delivery);
            }
        }
        let outputs: Vec<_> = std::iter::from_fn(|| node.peer.poll_output()).collect();
        if let Some(recorder) = self.recorder.as_mut().filter(|recorder| recorder.node == id) {
            outputs.iter().for_each(|output| recorder.output(output));
        }
        for output in outputs {
            self.do_output(id, output);
        }
    }

    fn do_output(&mut self, id: u64, output: peer::Output) {
        match output {
            peer::Output::Transmit(target) => self.schedule(self.now, Happening::PumpPeer(id, target)),
            peer::Output::CloseSession { code, .. } => {
                self.nodes.get_mut(&id).unwrap().closed_with = Some(code);
                self.disconnect(id);
            }
            peer::Output::OpenLink { link, offers } => {
                self.ends.entry(link).or_default().push(id);
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
                let other =
                    self.ends.get(&link).and_then(|ends| ends.iter().find(|end| **end != id)).copied();
                if let (Some(other), Some(bye)) = (other, bye) {
                    self.send(format!("{link}to{other}"), Happening::OnLink(other, link, bye));
                }
                self.close_ends(link, id);
            }
            peer::Output::Status(status) => self.nodes.get_mut(&id).unwrap().statuses.push(status),
        }
    }

    fn connect_ends(&mut self, link: LinkId) {
        let ends = self.ends.get(&link).cloned().unwrap_or_default();
        let pair = (ends.iter().min().copied().unwrap_or(0), ends.iter().max().copied().unwrap_or(0));
        if ends.len() == 2 && !self.blocked.contains(&pair) && !self.blocked.contains(&(pair.1, pair.1)) {
            for end in ends {
                self.send(format!("{link}to{end}"), Happening::LinkUp(end, link));
            }
        }
    }

    /// Breaks a link; the end that is not `cause` sees it.
    pub fn close_ends(&mut self, link: LinkId, cause: u64) {
        for end in self.ends.remove(&link).unwrap_or_default() {
            if end != cause {
                self.send(format!("{link}to{end}"), Happening::LinkDown(end, link));
            }
        }
    }

    fn pump_hub(&mut self, session: u64) {
        if let Some(bytes) = self.hub.poll_transmit(SessionId(session)) {
            self.send(format!("down{session}"), Happening::ToPeer(session, bytes));
            let again = self.now + self.sending();
            self.schedule(again, Happening::PumpHub(session));
        }
    }

    fn pump_peer(&mut self, id: u64, target: Target) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        let bytes = node.peer.poll_transmit(target);
        if let Some(recorder) = self.recorder.as_mut().filter(|recorder| recorder.node == id) {
            recorder.transmit(target, bytes.as_ref());
        }
        let session = node.session;
        if let Some(bytes) = bytes {
            match (target, session) {
                (Target::Session, Some(session)) => {
                    self.send(format!("up{session}"), Happening::ToHub(session, bytes))
                }
                (Target::Session, None) => {}
                (Target::Link(link), _) => {
                    let other =
                        self.ends.get(&link).and_then(|ends| ends.iter().find(|end| **end != id)).copied();
                    if let Some(other) = other {
                        let bytes = match &mut self.tamper {
                            Some(tamper) => tamper(id, other, bytes),
                            None => Some(bytes),
                        };
                        if let Some(bytes) = bytes {
                            self.send(format!("{link}to{other}"), Happening::OnLink(other, link, bytes));
                        }
                    }
                }
            }
            let again = self.now + self.sending();
            self.schedule(again, Happening::PumpPeer(id, target));
        }
        // Sending can end a link.
        self.drain_peer(id);
    }

    fn sending(&mut self) -> Duration {
        Duration::from_micros(self.below(self.weather.sending.as_micros() as u64))
    }

    /// Sends on a connection: after a while, and never before what was sent on it earlier.
    fn send(&mut self, connection: String, happening: Happening) {
        let (least, most) = self.weather.latency;
        let spread = (most - least).as_micros() as u64;
        let delay = if matches!(happening, Happening::OnLink(..)) { self.link_delay } else { Duration::ZERO };
        let arrival = self.now + least + delay + Duration::from_micros(self.below(spread));
        let earlier = self.last_arrival.entry(connection).or_default();
        *earlier = arrival.max(*earlier);
        let arrival = *earlier;
        self.schedule(arrival, happening);
    }

    fn schedule(&mut self, at: Time, happening: Happening) {
        self.sequence += 1;
        self.queue.insert((at, self.sequence), happening);
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
        self.hub.topology(&channel())?.into_iter().find(|entry| entry.peer.0 == session)
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
        self.session_node.get(&self.place(node)?.parent?.0).copied()
    }

    /// Whether a node has a settled place.
    pub fn is_settled(&self, node: u64) -> bool {
        self.place(node)
            .is_some_and(|entry| matches!(entry.place, Place::Root | Place::Child(_) | Place::Direct))
    }

    /// Whether everybody has everything.
    pub fn is_caught_up(&self) -> bool {
        self.nodes.values().all(|node| node.peer.position(&channel()) == Some(self.position))
    }

    /// Checks what must always hold of the tree: a parent's tier is one less than its child's, so there is no
    /// cycle, nobody has more children than it takes, and the peers of each tier are counted right.
    pub fn check_tree(&self) {
        let tree: BTreeMap<_, _> =
            self.hub.topology(&channel()).unwrap().into_iter().map(|entry| (entry.peer, entry)).collect();
        let mut tiers = BTreeMap::new();
        for entry in tree.values() {
            *tiers.entry(entry.tier).or_default() += 1;
            let capacity = entry.relay.map_or(0, |relay| usize::from(relay.children_max));
            assert!(entry.children <= capacity, "{entry:?} has too many children");
            let mut above = BTreeSet::from([entry.peer]);
            let mut next = entry.parent;
            while let Some(parent) = next {
                assert!(above.insert(parent), "{entry:?} stands in a cycle");
                next = tree[&parent].parent;
            }
            if let Some(parent) = entry.parent
                && tree[&parent].tier > 0
            {
                assert_eq!(tree[&parent].tier + 1, entry.tier, "{entry:?} below {:?}", tree[&parent]);
            }
        }
        assert_eq!(self.hub.peers_by_tier(&channel()), Some(&tiers));
    }
}

/// A native peer's settings.
pub fn relay(children_max: u16) -> PeerConfig {
    let relay = Relay { node: tiercast_codec::NodeKind::Native, children_max };
    PeerConfig { relay: Some(relay), ..PeerConfig::default() }
}

/// A hub with so many tier-1 peers.
pub fn roots(count: usize) -> HubConfig {
    HubConfig { tier1: hub::Tier1 { min: count, max: count }, ..HubConfig::default() }
}

/// A local network: everything takes a millisecond.
pub const CALM: Weather = Weather {
    latency: (Duration::from_millis(1), Duration::from_millis(1)),
    sending: Duration::from_micros(1),
};

/// The internet: 5 to 120 ms one way, senders that need up to a millisecond for a message.
pub const ROUGH: Weather = Weather {
    latency: (Duration::from_millis(5), Duration::from_millis(120)),
    sending: Duration::from_millis(1),
};

/// The first peer of a pair.
pub const PARENT: u64 = 1;
/// The second.
pub const CHILD: u64 = 2;

/// Bodies that tell their number.
pub fn bodies(count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|number| format!("body {number}").into_bytes()).collect()
}

/// A body that does not compress, the same for the same number.
pub fn noise(number: u64, bytes: usize) -> Vec<u8> {
    let mut body = vec![0; bytes];
    ChaCha8Rng::seed_from_u64(number).fill_bytes(&mut body);
    body
}

/// A parent that is fed by the server, and a child that is fed by it.
pub fn pair() -> Net {
    pair_with(roots(1), relay(4), relay(0))
}

/// The same with other settings.
pub fn pair_with(hub: HubConfig, parent: PeerConfig, child: PeerConfig) -> Net {
    let mut net = Net::new(1, hub, CALM);
    net.join(PARENT, parent, Since::Earliest);
    net.run_until("the parent is placed", |net| net.is_settled(PARENT));
    net.join(CHILD, child, Since::Earliest);
    net.run_until("the child is fed by the parent", |net| net.parent(CHILD) == Some(PARENT));
    net
}

/// The first so many offsets.
pub fn sequence(count: i64) -> Vec<i64> {
    (0..count).collect()
}
