//! Crowds that come at once: what one change costs the hub does not grow with the number of those who wait.

mod support;

use std::{
    collections::VecDeque,
    num::NonZeroU32,
    time::{Duration, Instant},
};

use support::{FIRST_EPOCH, FakeSigner, channel, roots};
use tiercast_codec::{
    Code, Fed, Hello, Item, LinkId, NodeKind, PROTOCOL_VERSION, Position, Relay, Report, SessionId, Since,
    Subscribe, ToHub, ToPeer, WireMessage,
};
use tiercast_mesh::{
    Hub, SourceUpdate, Time,
    hub::{HubConfig, Input, Output, Place},
};

const FEW: u64 = 4_000;
const MANY: u64 = 10 * FEW;
/// Ten times as many changes of the same cost take ten times as long, and a little more for larger maps and caches
/// that are too small. If each change looks at everybody who waits, it is a hundred times.
const RATIO_MAX: f64 = 40.0;

/// What a peer says to the parent that it is given.
type Answer = fn(LinkId) -> ToHub;

/// A hub, and peers that join one after the other and answer for their links.
struct Crowd {
    hub: Hub,
    now: Time,
    peers: u64,
    /// Those for whom the hub has something, in turn.
    awake: VecDeque<SessionId>,
    /// Time that the hub took for what peers said.
    busy: Duration,
}

impl Crowd {
    fn new(config: HubConfig) -> Self {
        let now = Time(1_790_000_000_000_000);
        let mut hub = Hub::new(config, Box::new(FakeSigner(9)), [1; 32]);
        hub.add_channel(now, &channel()).unwrap();
        let position = Position::new(FIRST_EPOCH, -1);
        hub.handle(now, Input::Source(&channel(), SourceUpdate::Opened(position))).unwrap();
        Self { hub, now, peers: 0, awake: VecDeque::new(), busy: Duration::ZERO }
    }

    fn join(&mut self, count: u64, children_max: u16) {
        for _ in 0..count {
            self.peers += 1;
            let session = SessionId(self.peers);
            let relay = Some(Relay { node: NodeKind::Native, children_max });
            let hello = Hello { id: 1, protocol: PROTOCOL_VERSION, client: "crowd".into() };
            self.hub.handle(self.now, Input::SessionOpened(session)).unwrap();
            self.say(session, &ToHub::Hello(hello));
            let window_bytes = NonZeroU32::MAX;
            let subscribe = Subscribe { id: 2, channel: channel(), since: Since::Now, window_bytes, relay };
            self.say(session, &ToHub::Subscribe(subscribe));
        }
    }

    fn say(&mut self, session: SessionId, message: &ToHub) {
        let bytes = message.encode();
        let begun = Instant::now();
        self.hub.handle(self.now, Input::SessionData(session, bytes)).unwrap();
        self.busy += begun.elapsed();
        while let Some(output) = self.hub.poll_output() {
            match output {
                Output::Transmit(session) => self.awake.push_back(session),
                other => panic!("{other:?}"),
            }
        }
    }

    /// Lets everybody who is given a parent answer, until nobody is.
    fn answer(&mut self, answer: Answer) {
        while let Some(session) = self.awake.pop_front() {
            while let Some(bytes) = self.hub.poll_transmit(session) {
                for item in Item::all(bytes).unwrap() {
                    let Item::Control(bytes) = item else { continue };
                    if let ToPeer::Assign(assign) = ToPeer::decode(&bytes).unwrap() {
                        self.say(session, &answer(assign.link));
                    }
                }
            }
        }
    }

    fn count(&self, is_counted: impl Fn(&Place) -> bool) -> u64 {
        let nodes = self.hub.topology(&channel()).unwrap();
        nodes.iter().filter(|node| is_counted(&node.place)).count() as u64
    }
}

/// Runs a crowd of few and one of many, and compares what each took of the hub's time. The best of three runs each:
/// other programs only ever add to it.
fn compare(what: &str, run: fn(u64) -> Duration) {
    let best = |peers| (0..3).map(|_| run(peers)).min().unwrap();
    let (few, many) = (best(FEW), best(MANY));
    let ratio = many.as_secs_f64() / few.as_secs_f64();
    println!("{what}: {FEW} peers {few:.1?}, {MANY} peers {many:.1?}: {ratio:.1} times");
    assert!(ratio < RATIO_MAX, "{what}: {ratio:.1} times as long for ten times as many");
}

#[test]
fn regression_a_crowd_that_joins_at_once_is_placed_in_time_that_grows_with_its_size() {
    compare("relays with two places each", |peers| {
        let mut crowd = Crowd::new(roots(2));
        crowd.join(peers, 2);
        crowd.answer(|link| ToHub::Fed(Fed { channel: channel(), link }));
        assert_eq!(crowd.count(|place| matches!(place, Place::Child(_))), peers - 2);
        crowd.busy
    });
}

#[test]
fn regression_leaves_that_wait_for_relays_cost_nothing_while_others_join() {
    compare("leaves without a relay", |peers| {
        let mut crowd = Crowd::new(roots(64));
        crowd.join(peers, 0);
        assert_eq!(crowd.count(|place| *place == Place::Waiting), peers);
        crowd.busy
    });
}

#[test]
fn regression_those_whom_no_parent_suits_cost_nothing_while_others_are_tried() {
    compare("leaves that the one relay failed", |peers| {
        // The relay has its turn when all the others have answered.
        let mut crowd = Crowd::new(HubConfig { outbox_bytes: 1 << 30, ..roots(1) });
        crowd.join(1, 64);
        crowd.join(peers, 0);
        crowd.answer(|link| ToHub::Report(Report { link, code: Code::DEPARTED }));
        assert_eq!(crowd.count(|place| *place == Place::Waiting), peers);
        crowd.busy
    });
}
