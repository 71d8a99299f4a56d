//! Sessions of a hub without peers behind them: each says what it is told to and reads when it is told to.

use std::{collections::BTreeMap, num::NonZeroU32, time::Duration};

use tiercast_codec::{
    Code, Hello, Item, NodeKind, PROTOCOL_VERSION, Position, Relay, SessionId, Since, Subscribe, ToHub,
    ToPeer, WireMessage,
};
use tiercast_mesh::{
    Hub, SourceUpdate, Time,
    hub::{HubConfig, Input, Output, Place, Rights, Whereabouts},
};

use crate::{
    net::{BEGIN, FIRST_EPOCH, channel},
    signature::FakeSigner,
};

/// A hub, and sessions that have subscribed.
pub struct Sessions {
    /// The hub.
    pub hub: Hub,
    /// The time.
    pub now: Time,
    /// Those for whom the hub has something, in turn.
    pub awake: Vec<SessionId>,
    /// Those that the hub closed, and why.
    pub closed: BTreeMap<SessionId, Code>,
    /// Where those come from who join next.
    pub from: Whereabouts,
    count: u64,
}

impl Sessions {
    /// A hub with these settings, whose channel is open.
    pub fn new(config: HubConfig) -> Self {
        let now = BEGIN;
        let mut hub = Hub::new(config, Box::new(FakeSigner(9)), [1; 32]);
        hub.add_channel(now, &channel()).unwrap();
        let position = Position::new(FIRST_EPOCH, -1);
        hub.handle(now, Input::Source(&channel(), SourceUpdate::Opened(position))).unwrap();
        let (awake, closed) = (Vec::new(), BTreeMap::new());
        Self { hub, now, awake, closed, from: Whereabouts::default(), count: 0 }
    }

    /// A session subscribes, and takes so many children.
    pub fn join(&mut self, children_max: u16) -> SessionId {
        self.count += 1;
        let session = SessionId(self.count);
        let relay = Some(Relay { node: NodeKind::Native, children_max });
        let hello = Hello { id: 1, protocol: PROTOCOL_VERSION, client: "test".into(), resume: None };
        self.hub.handle(self.now, Input::SessionOpened(session, self.from, Rights::default())).unwrap();
        self.say(session, ToHub::Hello(hello));
        let window_bytes = NonZeroU32::MAX;
        let (since, links) = (Since::Now, Vec::new());
        let subscribe = Subscribe { id: 2, channel: channel(), since, window_bytes, relay, links };
        self.say(session, ToHub::Subscribe(subscribe));
        session
    }

    /// A session says something.
    pub fn say(&mut self, session: SessionId, message: ToHub) {
        self.hub.handle(self.now, Input::SessionData(session, message.encode())).unwrap();
        self.drain();
    }

    /// Lets time pass.
    pub fn pass(&mut self, duration: Duration) {
        self.now = self.now + duration;
        self.hub.handle(self.now, Input::Timeout).unwrap();
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.hub.poll_output() {
            match output {
                Output::Transmit(session) => self.awake.push(session),
                Output::Close { session, code, .. } => _ = self.closed.insert(session, code),
                other => panic!("{other:?}"),
            }
        }
    }

    /// Reads what the hub has for a session.
    pub fn read(&mut self, session: SessionId) -> Vec<ToPeer> {
        let messages = std::iter::from_fn(|| self.hub.poll_transmit(session));
        let items = messages.flat_map(|bytes| Item::all(bytes).unwrap());
        let control = |item| match item {
            Item::Control(bytes) => Some(ToPeer::decode(&bytes).unwrap()),
            _ => None,
        };
        items.filter_map(control).collect()
    }

    /// Where a session stands.
    pub fn place(&self, session: SessionId) -> Place {
        let nodes = self.hub.topology(&channel()).unwrap();
        let peer = self.hub.peer(session).expect("it has said hello");
        nodes.iter().find(|node| node.peer == peer).unwrap().place
    }
}
