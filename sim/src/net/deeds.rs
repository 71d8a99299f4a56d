//! What is done to a network: peers come, go and stand still, events are published, the server restarts.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use bytes::Bytes;
use tiercast_codec::{Event, Message, Position, SessionId, Signer, Since, ToHub, WireMessage};
use tiercast_mesh::{
    Hub, Peer, SourceUpdate,
    hub::{self, HubConfig},
    peer::{self, PeerConfig},
};

use super::{Happening, Net, Node};
use crate::{cut::Cut, signature::FakeVerifier, wires::Way};

impl Net {
    /// Adds a peer that subscribes and connects.
    pub fn join(&mut self, node: u64, config: PeerConfig, since: Since) {
        self.join_with(node, Peer::new(config, Box::new(FakeVerifier)), since);
    }

    /// The same with a peer of one's own.
    pub fn join_with(&mut self, node: u64, peer: Peer, since: Since) {
        let subscribe = peer::Input::Subscribe { channel: self.channel.clone(), since };
        let state = Node {
            peer,
            session: None,
            deliveries: Vec::new(),
            more_deliveries: BTreeMap::new(),
            statuses: Vec::new(),
            closed_with: None,
            links: BTreeSet::new(),
            reads: true,
            wakes: None,
        };
        self.nodes.insert(node, Box::new(state));
        self.peer(node, subscribe);
        self.connect(node);
    }

    /// A session says something to the hub, at once and whatever its peer thinks.
    pub fn say(&mut self, node: u64, message: &ToHub) {
        let session = SessionId(self.nodes[&node].session.expect("it has a session"));
        self.hub_input(hub::Input::SessionData(session, message.encode()));
    }

    /// A node that runs sends the server something of its own accord.
    pub fn tell(&mut self, node: u64, bytes: Bytes) {
        let session = self.nodes.get(&node).and_then(|node| node.session);
        if let Some(session) = session.filter(|_| !self.frozen.contains_key(&node)) {
            self.send(Way::Up { session, node }, bytes.len(), Happening::ToHub(session, bytes));
        }
    }

    /// (Re)connects a peer to the hub, if that is there.
    pub fn connect(&mut self, node: u64) {
        if self.is_server_away {
            return self.cut_off.push(node);
        }
        self.next_session += 1;
        let session = self.next_session;
        self.session_node.insert(session, node);
        self.nodes.get_mut(&node).expect("a node that is there").session = Some(session);
        self.send(Way::Up { session, node }, 0, Happening::HubSees(session, true));
        self.send(Way::Down { session, node }, 0, Happening::PeerSees(session, true));
    }

    /// The connection between a peer and the hub breaks; both see it.
    pub fn disconnect(&mut self, node: u64) {
        if let Some(session) = self.nodes.get(&node).and_then(|node| node.session) {
            self.end_session(session, node);
            self.happen(self.now, Happening::PeerSees(session, false));
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
        self.wires.narrow(self.now, node, share);
    }

    /// Nothing passes between some ends for a while.
    pub fn cut(&mut self, cut: Cut) {
        self.wires.cut(self.now, cut);
    }

    /// A peer dies without a word. Its links fall silent.
    pub fn kill(&mut self, node: u64) {
        if let Some(session) = self.nodes.remove(&node).and_then(|node| node.session) {
            self.end_session(session, node);
            self.session_node.remove(&session);
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
        for way in [Way::Up { session, node }, Way::Down { session, node }] {
            self.last_arrival.remove(&way);
            self.wires.forget(way);
        }
    }

    /// Publishes messages with these bodies.
    pub fn publish(&mut self, bodies: impl IntoIterator<Item = Vec<u8>>) {
        let message =
            |body: Vec<u8>| Message { routing_key: "key".into(), body: body.into(), ..Message::default() };
        let messages: Vec<_> = bodies.into_iter().map(message).collect();
        let offsets = self.position.offset + 1..;
        let events =
            offsets.zip(&messages).map(|(offset, message)| Event { offset, message: message.clone() });
        self.history.extend(events);
        if self.is_server_away {
            self.position.offset += messages.len() as i64;
        } else {
            self.source(SourceUpdate::Messages(messages));
        }
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

    /// The server goes, and comes back with all that the source has if that is a stream; else with a new numbering. Only
    /// if the key is the same as before does it know the peers again.
    pub fn restart(&mut self, config: HubConfig, signer: Box<dyn Signer>, source_is_stream: bool) {
        self.stop_server();
        self.run_for(Duration::from_secs(1));
        self.start_server(config, signer, source_is_stream);
        for node in self.nodes.keys().copied().collect::<Vec<_>>() {
            self.connect(node);
        }
    }

    /// The server goes. Links stay.
    pub fn stop_server(&mut self) {
        self.is_server_away = true;
        for node in self.nodes.keys().copied().collect::<Vec<_>>() {
            self.disconnect(node);
        }
    }

    /// Another one comes in its place.
    pub fn start_server(&mut self, config: HubConfig, signer: Box<dyn Signer>, source_is_stream: bool) {
        self.is_server_away = false;
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
        let secret = signer.public_key();
        self.hub = Hub::new(config, signer, secret);
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
}
