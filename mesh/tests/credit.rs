//! Credit: nobody is sent more than a window beyond what it said that it has, so that an application that reads slowly
//! costs those who feed it nothing.

use std::{num::NonZeroU32, time::Duration};

use tiercast_codec::{
    ChannelAt, Gap, GapReason, Hello, Item, PROTOCOL_VERSION, Pong, Position, SessionId, Since, Subscribe,
    ToHub, ToPeer, WireMessage,
};
use tiercast_mesh::{
    Hub, LogLimits, SourceUpdate, Time,
    hub::{HubConfig, Input, Output, Rights, Whereabouts},
    peer::{self, PeerConfig, PeerStats},
};
use tiercast_sim::{
    CALM, CHILD, FakeSigner, Net, PARENT, bodies, channel, noise, pair_with, relay, roots, sequence,
};

const THIRD: u64 = 3;
const EVENT_BYTES: usize = 1_000;
/// The window of peers that say nothing else.
const WINDOW: usize = 256 << 10;

/// Publishes so many events of a thousand bytes each, of which none compresses.
fn publish(net: &mut Net, events: u64) {
    let first = (net.position.offset + 1) as u64;
    for number in first..first + events {
        net.publish([noise(number, EVENT_BYTES)]);
        net.run_for(Duration::from_micros(10));
    }
    net.run_for(Duration::from_millis(10));
}

fn data_bytes(net: &Net) -> u64 {
    net.hub.channel_stats(&channel()).unwrap().data_bytes
}

fn stalls(net: &Net, node: u64) -> u64 {
    net.nodes[&node].peer.stats().stalls
}

/// A peer's settings, with a log of so many bytes.
fn keeping(bytes: usize, config: PeerConfig) -> PeerConfig {
    PeerConfig { log: LogLimits { bytes, entries: 16_384 }, ..config }
}

/// An application reads one event each millisecond until it has so many.
fn read_slowly(net: &mut Net, node: u64, events: usize) {
    let patience = net.now + Duration::from_secs(60);
    while net.offsets(node).len() < events {
        net.run_for(Duration::from_millis(1));
        net.read_one(node);
        assert!(net.now < patience, "it hangs: {:?}", net.nodes[&node].peer.stats());
    }
}

/// A parent and a child that the parent feeds. The child's application has stopped reading, and 1 MB came since.
fn held_child() -> Net {
    let mut net = pair_with(roots(1), relay(4), keeping(64 << 10, relay(0)));
    net.set_reads(CHILD, false);
    publish(&mut net, 1_000);
    assert_eq!(stalls(&net, CHILD), 1);
    net
}

/// What the server sends to a slow application that has 4 MB to catch up with.
fn bytes_for_a_slow_application(log_bytes: usize) -> u64 {
    let mut net = Net::new(1, roots(1), CALM);
    publish(&mut net, 4_000);
    net.join(CHILD, keeping(log_bytes, relay(0)), Since::Earliest);
    net.set_reads(CHILD, false);
    read_slowly(&mut net, CHILD, 4_000);
    assert_eq!(net.offsets(CHILD), sequence(4_000));
    println!("a log of {log_bytes} bytes: {} bytes, {:?}", data_bytes(&net), net.nodes[&CHILD].peer.stats());
    data_bytes(&net)
}

#[test]
fn regression_a_slow_application_is_sent_its_backlog_once() {
    let costs = [64 << 10, 500_000].map(bytes_for_a_slow_application);
    assert!(costs.iter().all(|cost| *cost < 4_500_000), "4 MB of backlog cost {costs:?} bytes");
}

#[test]
fn regression_a_slow_application_is_sent_its_backlog_once_by_its_parent_too_and_keeps_it() {
    let mut net = pair_with(roots(1), relay(4), keeping(64 << 10, relay(0)));
    net.set_reads(CHILD, false);
    publish(&mut net, 4_000);
    let by_the_server = data_bytes(&net);
    read_slowly(&mut net, CHILD, 4_000);
    assert_eq!(net.offsets(CHILD), sequence(4_000));
    let by_the_parent = net.link_bytes[&CHILD];
    println!("the parent sent {by_the_parent} bytes, {:?}", net.nodes[&CHILD].peer.stats());
    assert!(by_the_parent < 4_500_000, "4 MB of backlog cost the parent {by_the_parent} bytes");
    assert_eq!(data_bytes(&net), by_the_server, "the server was not asked");
    assert_eq!(net.parent(CHILD), Some(PARENT));
}

#[test]
fn regression_a_parent_goes_on_where_its_child_says_that_it_is() {
    let mut net = Net::new(2, roots(1), CALM);
    net.link_delay = Duration::from_millis(200);
    net.join(PARENT, relay(4), Since::Earliest);
    net.join(CHILD, relay(0), Since::Earliest);
    net.run_for(Duration::from_millis(20));
    // While the child's `join` is under way the server brings both to the end.
    publish(&mut net, 4_000);
    net.run_until("fed by the parent", |net| net.parent(CHILD) == Some(PARENT));
    publish(&mut net, 10);
    net.run_until("caught up", Net::is_caught_up);
    let child = net.nodes[&CHILD].peer.stats();
    println!("the parent sent {} bytes to a child that had everything, {child:?}", net.link_bytes[&CHILD]);
    assert!(child.duplicates > 0);
    assert!(net.link_bytes[&CHILD] < 2 * WINDOW, "{}", net.link_bytes[&CHILD]);
    assert_eq!(net.offsets(CHILD), sequence(4_010));
}

#[test]
fn regression_frames_larger_than_the_window_and_even_than_the_log_are_sent_once() {
    for (log_bytes, event_bytes) in [(64 << 10, 100_000), (500_000, 200_000), (1 << 20, 3_000_000)] {
        let mut net = Net::new(3, roots(1), CALM);
        for number in 0..20 {
            net.publish([noise(number, event_bytes)]);
        }
        net.run_for(Duration::from_millis(10));
        net.join(CHILD, keeping(log_bytes, relay(0)), Since::Earliest);
        net.set_reads(CHILD, false);
        read_slowly(&mut net, CHILD, 20);
        assert_eq!(net.offsets(CHILD), sequence(20));
        let all = 20 * (event_bytes as u64 + 200);
        println!("{all} bytes cost {} with a log of {log_bytes}", data_bytes(&net));
        assert!(data_bytes(&net) <= all, "{all} bytes cost {}", data_bytes(&net));
    }
}

#[test]
fn what_is_under_way_and_has_no_room_is_asked_for_once_there_is() {
    let mut net = Net::new(7, roots(1), CALM);
    // A window is so many frames, and the log keeps a few of them.
    let config = PeerConfig { log: LogLimits { bytes: 1 << 20, entries: 8 }, ..relay(0) };
    net.join(CHILD, config, Since::Earliest);
    net.run_until("subscribed", |net| net.nodes[&CHILD].peer.position(&channel()).is_some());
    net.set_reads(CHILD, false);
    for body in bodies(100) {
        net.publish([body]);
        net.run_for(Duration::from_millis(20));
    }
    let PeerStats { frames, not_taken, stalls, feeds, .. } = net.nodes[&CHILD].peer.stats();
    assert_eq!((frames, not_taken, stalls, feeds), (8, 92, 1, 0));
    net.set_reads(CHILD, true);
    net.run_until("caught up", Net::is_caught_up);
    assert_eq!(net.offsets(CHILD), sequence(100));
    assert!(net.gaps(CHILD).is_empty());
}

#[test]
fn a_relay_whose_application_is_slow_sends_its_children_elsewhere_and_keeps_its_parent() {
    let mut net = pair_with(roots(1), relay(1), keeping(64 << 10, relay(4)));
    net.join(THIRD, relay(0), Since::Earliest);
    net.run_until("a chain of three", |net| net.parent(THIRD) == Some(CHILD));
    net.set_reads(CHILD, false);
    publish(&mut net, 1_000);
    assert_eq!(net.offsets(THIRD), sequence(1_000), "it does not wait for the application of its parent");
    assert_eq!((net.parent(CHILD), net.parent(THIRD)), (Some(PARENT), None));
    assert!(net.nodes[&CHILD].peer.position(&channel()).unwrap() < net.position);
    net.run_for(Duration::from_secs(120));
    assert_eq!((net.parent(CHILD), net.parent(THIRD)), (Some(PARENT), None), "for as long as that lasts");

    net.set_reads(CHILD, true);
    net.run_until("caught up", Net::is_caught_up);
    net.run_until("a chain of three again", |net| net.parent(THIRD) == Some(CHILD));
    publish(&mut net, 10);
    net.run_until("caught up", Net::is_caught_up);
    for node in [CHILD, THIRD] {
        assert_eq!(net.offsets(node), sequence(1_010));
        assert!(net.gaps(node).is_empty());
    }
    assert_eq!(net.nodes[&CHILD].peer.stats().feeds, 0, "it needed nothing from the server");
}

#[test]
fn an_application_that_stops_while_two_feed_its_peer_holds_up_both() {
    let mut net = Net::new(4, roots(1), CALM);
    net.join(PARENT, relay(4), Since::Earliest);
    publish(&mut net, 1_000);
    net.link_delay = Duration::from_millis(1);
    net.join(CHILD, keeping(64 << 10, relay(0)), Since::Earliest);
    let by_the_server = data_bytes(&net);
    net.run_until("both feed it", |net| {
        net.link_bytes.get(&CHILD).is_some_and(|bytes| *bytes > 1_000) && net.parent(CHILD).is_none()
    });
    net.set_reads(CHILD, false);
    net.run_for(Duration::from_secs(60));
    assert_eq!((stalls(&net, CHILD), net.parent(CHILD)), (1, None));
    let cost = data_bytes(&net) - by_the_server;
    assert!(cost < 500_000 && net.link_bytes[&CHILD] < 500_000, "{cost}, {}", net.link_bytes[&CHILD]);
    net.set_reads(CHILD, true);
    net.run_until("caught up", Net::is_caught_up);
    net.run_until("a parent after all", |net| net.parent(CHILD) == Some(PARENT));
    assert_eq!(net.offsets(CHILD), sequence(1_000));
}

#[test]
fn an_application_that_stopped_is_fed_by_the_server_when_its_parent_is_gone_meanwhile() {
    let mut net = held_child();
    let by_the_server = data_bytes(&net);
    net.kill(PARENT);
    net.run_for(Duration::from_secs(60));
    assert_eq!(data_bytes(&net), by_the_server, "nothing is asked for before there is room");
    net.set_reads(CHILD, true);
    net.run_until("caught up", Net::is_caught_up);
    assert_eq!(net.offsets(CHILD), sequence(1_000));
    assert_eq!(net.nodes[&CHILD].peer.stats().feeds, 1);
}

#[test]
fn an_application_that_stopped_goes_on_after_its_session_ended() {
    let mut net = held_child();
    let by_the_server = data_bytes(&net);
    net.disconnect(CHILD);
    net.run_for(Duration::from_secs(5));
    net.connect(CHILD);
    net.run_for(Duration::from_secs(60));
    let cost = data_bytes(&net) - by_the_server;
    assert!(cost < 2 * (64 << 10), "a window: {cost}");
    net.set_reads(CHILD, true);
    net.run_until("caught up", Net::is_caught_up);
    assert_eq!(net.offsets(CHILD), sequence(1_000));
    net.run_until("a parent again", |net| net.parent(CHILD) == Some(PARENT));
}

#[test]
fn an_application_that_stopped_gets_what_its_parent_has_while_there_is_no_server() {
    let mut net = held_child();
    for node in [PARENT, CHILD] {
        net.nodes.get_mut(&node).unwrap().session = None;
        net.peer(node, peer::Input::SessionClosed);
    }
    net.set_reads(CHILD, true);
    net.run_until("caught up", Net::is_caught_up);
    assert_eq!(net.offsets(CHILD), sequence(1_000));
}

#[test]
fn an_application_that_subscribes_anew_begins_with_a_window_of_its_own() {
    let mut net = held_child();
    net.peer(CHILD, peer::Input::Unsubscribe(channel()));
    net.peer(CHILD, peer::Input::Subscribe { channel: channel(), since: Since::Earliest });
    net.nodes.get_mut(&CHILD).unwrap().deliveries.clear();
    net.set_reads(CHILD, true);
    net.run_until("caught up", Net::is_caught_up);
    assert_eq!(net.offsets(CHILD), sequence(1_000));
}

#[test]
fn the_children_of_one_whose_application_stopped_do_not_wait_for_it() {
    let mut net = pair_with(roots(1), keeping(64 << 10, relay(4)), relay(0));
    net.set_reads(PARENT, false);
    publish(&mut net, 1_000);
    net.run_for(Duration::from_secs(1));
    assert_eq!(net.offsets(CHILD), sequence(1_000), "while its parent's application reads nothing");
    assert_eq!((stalls(&net, PARENT), net.parent(CHILD)), (1, None));
    net.run_for(Duration::from_secs(3_600));
    net.set_reads(PARENT, true);
    net.run_until("caught up", Net::is_caught_up);
    net.run_until("a child again", |net| net.parent(CHILD) == Some(PARENT));
    assert_eq!(net.offsets(PARENT), sequence(1_000));
    assert!(net.gaps(PARENT).is_empty() && net.gaps(CHILD).is_empty());
}

#[test]
fn one_who_stopped_for_longer_than_anybody_retains_is_told_once_what_is_gone() {
    let retains = LogLimits { bytes: 200_000, entries: 1_000 };
    let config = HubConfig { log: retains, ..roots(1) };
    let mut net = pair_with(config, PeerConfig { log: retains, ..relay(4) }, keeping(64 << 10, relay(0)));
    net.set_reads(CHILD, false);
    for _ in 0..100 {
        publish(&mut net, 10);
        net.run_for(Duration::from_secs(60));
    }
    net.set_reads(CHILD, true);
    net.run_until("caught up", Net::is_caught_up);
    let gaps = net.gaps(CHILD);
    let [peer::Delivery::Gap { from, to, reason: GapReason::Retention, .. }] = gaps.as_slice() else {
        panic!("one gap: {gaps:?}");
    };
    let expected: Vec<_> = (0..=from.offset).chain(to.offset + 1..1_000).collect();
    assert_eq!(net.offsets(CHILD), expected);
}

#[test]
fn one_who_falls_off_the_log_while_it_is_held_up_is_told_so_when_it_goes_on() {
    let config = HubConfig { log: LogLimits { bytes: 200_000, entries: 1_000 }, ..roots(1) };
    let mut net = Net::new(6, config, CALM);
    net.join(CHILD, keeping(64 << 10, relay(0)), Since::Earliest);
    net.run_until("subscribed", |net| net.nodes[&CHILD].peer.position(&channel()).is_some());
    net.set_reads(CHILD, false);
    (0..100).for_each(|_| publish(&mut net, 10));
    net.set_reads(CHILD, true);
    net.run_until("caught up", Net::is_caught_up);
    let (offsets, gaps) = (net.offsets(CHILD), net.gaps(CHILD));
    let first = offsets.iter().zip(0..).take_while(|(offset, number)| *offset == number).count() as i64;
    assert!(first < 100, "the server waited: {first}");
    let [peer::Delivery::Gap { from, to, reason: GapReason::Retention, .. }] = gaps.as_slice() else {
        panic!("one gap: {gaps:?}");
    };
    assert_eq!(from.offset, first - 1);
    assert_eq!(offsets[first as usize..], (to.offset + 1..1_000).collect::<Vec<_>>());
}

/// A hub with 1 MB in its log, and one who is subscribed from the earliest event on with a window of 10,000 bytes.
struct Silent {
    now: Time,
    hub: Hub,
}

impl Silent {
    const SESSION: SessionId = SessionId(1);

    fn subscribed() -> Self {
        let now = Time(1_790_000_000_000_000);
        let mut hub = Hub::new(roots(1), Box::new(FakeSigner(9)), [1; 32]);
        hub.add_channel(now, &channel()).unwrap();
        let mut silent = Self { now, hub };
        silent.source(SourceUpdate::Opened(Position::new(7, -1)));
        for number in 0..1_000 {
            silent.wait(Duration::from_millis(10));
            let body = noise(number, EVENT_BYTES).into();
            silent
                .source(SourceUpdate::Messages(vec![tiercast_codec::Message { body, ..Default::default() }]));
        }
        silent.wait(Duration::from_millis(10));
        assert_eq!(silent.hub.position(&channel()), Some(Position::new(7, 999)));
        silent
            .hub
            .handle(
                silent.now,
                Input::SessionOpened(Self::SESSION, Whereabouts::default(), Rights::default()),
            )
            .unwrap();
        silent.say(&ToHub::Hello(Hello {
            id: 1,
            protocol: PROTOCOL_VERSION,
            client: "test".into(),
            resume: None,
        }));
        silent.say(&ToHub::Subscribe(Subscribe {
            id: 2,
            channel: channel(),
            since: Since::Earliest,
            window_bytes: NonZeroU32::new(10_000).unwrap(),
            relay: None,
            links: Vec::new(),
        }));
        silent
    }

    fn source(&mut self, update: SourceUpdate) {
        self.hub.handle(self.now, Input::Source(&channel(), update)).unwrap();
    }

    fn wait(&mut self, duration: Duration) {
        self.now = self.now + duration;
        self.hub.handle(self.now, Input::Timeout).unwrap();
    }

    fn say(&mut self, message: &ToHub) {
        self.hub.handle(self.now, Input::SessionData(Self::SESSION, message.encode())).unwrap();
    }

    fn say_at(&mut self, position: Position) {
        self.say(&ToHub::At(ChannelAt { channel: channel(), position }));
    }

    /// What comes until nothing more does.
    fn receive(&mut self) -> Vec<Item> {
        std::iter::from_fn(|| self.hub.poll_transmit(Self::SESSION))
            .flat_map(|bytes| Item::all(bytes).unwrap())
            .collect()
    }
}

#[test]
fn who_says_that_it_has_more_than_there_is_is_judged_like_one_who_asks_for_what_follows() {
    let mut session = Silent::subscribed();
    session.receive();
    let (claimed, end) = (Position::new(7, 5_000), Position::new(7, 999));
    while session.hub.poll_output().is_some() {}
    session.say_at(claimed);
    let outputs: Vec<_> = std::iter::from_fn(|| session.hub.poll_output()).collect();
    assert!(outputs.contains(&Output::FindEnd { channel: channel(), claimed }), "{outputs:?}");
    assert!(session.receive().is_empty(), "not before the source has said");
    session.source(SourceUpdate::End(end));
    let items = session.receive();
    let Some(Item::Control(gap)) = items.first() else { panic!("not a gap: {items:?}") };
    let expected =
        Gap { channel: channel(), from: claimed, to: Position::new(7, -1), reason: GapReason::Epoch };
    assert_eq!(ToPeer::decode(gap).unwrap(), ToPeer::Gap(expected));
}

fn last_of(items: &[Item]) -> Position {
    let frames = items.iter().filter_map(|item| match item {
        Item::Frame(frame) => Some(frame.position()),
        _ => None,
    });
    frames.last().expect("frames")
}

fn frame_bytes(items: &[Item]) -> usize {
    let bytes = |item: &Item| match item {
        Item::Frame(frame) => frame.bytes().len(),
        _ => 0,
    };
    items.iter().map(bytes).sum()
}

#[test]
fn one_who_never_says_how_far_it_is_is_sent_a_window_and_stays_connected() {
    let mut silent = Silent::subscribed();
    let first = silent.receive();
    assert!((10_000..12_000).contains(&frame_bytes(&first)), "{}", frame_bytes(&first));
    for _ in 0..60 {
        silent.wait(Duration::from_secs(1));
        let items = silent.receive();
        assert_eq!(frame_bytes(&items), 0);
        for item in items {
            if let Item::Control(bytes) = item
                && let Ok(ToPeer::Ping(ping)) = ToPeer::decode(&bytes)
            {
                silent.say(&ToHub::Pong(Pong { time_us: ping.time_us }));
            }
        }
    }
    assert_eq!(silent.hub.sessions(), 1);
    silent.say_at(last_of(&first));
    let next = silent.receive();
    assert!((10_000..12_000).contains(&frame_bytes(&next)), "{}", frame_bytes(&next));
}

#[test]
fn what_somebody_has_from_elsewhere_the_server_does_not_send() {
    let mut session = Silent::subscribed();
    session.receive();
    session.say_at(Position::new(7, 994));
    assert_eq!(last_of(&session.receive()), Position::new(7, 999));
    // Nonsense harms nobody else, and no later numbering is lost by it.
    session.say_at(Position::new(8, 5));
    session.source(SourceUpdate::Opened(Position::new(8, -1)));
    let items = session.receive();
    let [Item::Control(gap)] = items.as_slice() else { panic!("not a gap: {items:?}") };
    let (from, to) = (Position::new(7, 999), Position::new(8, -1));
    let expected = Gap { channel: channel(), from, to, reason: GapReason::Epoch };
    assert_eq!(ToPeer::decode(gap).unwrap(), ToPeer::Gap(expected));
}
