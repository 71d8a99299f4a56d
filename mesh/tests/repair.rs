//! Frames that links lose: whom the child asks for them again, and when the server has to help.

use std::time::Duration;

use tiercast_codec::{
    Away, Code, Event, Have, Item, LinkId, LinkMessage, Message, Nack, Position, Sealer, SendMessage, Since,
    ToPeer, WireMessage,
};
use tiercast_mesh::{
    BatchLimits, SourceUpdate,
    hub::HubConfig,
    peer::{HavePace, Input, PeerConfig, Status},
};
use tiercast_sim::{
    CALM, CHILD, FIRST_EPOCH, FakeSigner, Net, PARENT, Tamper, bodies, channel, noise, pair_with, relay,
    roots, sequence,
};

const OTHER: u64 = 3;

/// A hub that gives each event a frame of its own.
fn one_by_one(tier1: usize) -> HubConfig {
    HubConfig { batch: BatchLimits { events: 1, ..BatchLimits::default() }, ..roots(tier1) }
}

/// A parent and a child, where each event has a frame of its own. They have the first five.
fn pair() -> Net {
    let mut net = pair_with(one_by_one(1), relay(4), relay(0));
    drip(&mut net, bodies(5));
    net.run_until("caught up", Net::is_caught_up);
    net
}

/// Publishes one after the other, all before anything is asked for again.
fn drip(net: &mut Net, bodies: Vec<Vec<u8>>) {
    for body in bodies {
        net.publish([body]);
        net.run_for(Duration::from_micros(500));
    }
}

/// Loses the first messages from a node with the frames of these events, so many of each, and all heads.
fn lose(from: u64, frames: &[(i64, usize)]) -> Option<Tamper> {
    let mut frames = frames.to_vec();
    Some(Box::new(move |sender, _, bytes| {
        let items = if sender == from { Item::all(bytes.clone()).ok()? } else { Vec::new() };
        let is_lost = items.iter().any(|item| match item {
            Item::Frame(frame) => {
                let is_it =
                    |(offset, times): &&mut (i64, usize)| *offset == frame.position().offset && *times > 0;
                frames.iter_mut().find(is_it).map(|(_, times)| *times -= 1).is_some()
            }
            item => matches!(item, Item::Head(_)),
        });
        (!is_lost).then_some(bytes)
    }))
}

const ALWAYS: usize = usize::MAX;

/// A child with a parent and a standby, which shows each frame as soon as it has it.
fn child_with_standby() -> Net {
    let mut net = Net::new(1, one_by_one(2), CALM);
    let have = HavePace { least: Duration::ZERO, most: Duration::ZERO, ..HavePace::default() };
    let config = PeerConfig { have, ..relay(2) };
    for node in [PARENT, OTHER, CHILD] {
        net.join(node, config.clone(), Since::Earliest);
        net.run_until("it has a place", |net| net.is_settled(node));
    }
    net.run_until("it has a standby", |net| net.place(CHILD).is_some_and(|place| place.standby.is_some()));
    net.run_for(Duration::from_millis(100));
    net
}

#[test]
fn what_the_parent_does_not_send_again_the_standby_does_while_it_is_held() {
    let mut net = child_with_standby();
    let parent = net.parent(CHILD).expect("a parent");
    let standby = PARENT + OTHER - parent;
    net.tamper = lose(parent, &[(5, ALWAYS)]);
    drip(&mut net, bodies(10));
    net.run_for(Duration::from_millis(100));
    assert_eq!(net.offsets(CHILD), sequence(10));
    let repeated = [parent, standby].map(|node| net.nodes[&node].peer.stats().repeated_frames);
    assert_eq!(repeated, [1, 1], "each was asked once");
    let child = net.nodes[&CHILD].peer.stats();
    assert_eq!((child.nacks, child.swaps, child.pulls), (2, 0, 0), "{child:?}");
    assert_eq!(net.parent(CHILD), Some(parent));
}

#[test]
fn what_is_pulled_ends_where_the_child_has_the_rest() {
    let mut net = pair();
    net.tamper = lose(PARENT, &[(6, ALWAYS)]);
    drip(&mut net, bodies(5));
    net.run_until("caught up", Net::is_caught_up);
    assert_eq!(net.offsets(CHILD), sequence(10));
    assert_eq!(net.nodes[&CHILD].peer.stats().pulls, 1);
    let stats = net.hub.channel_stats(&channel()).expect("it is there");
    assert_eq!(stats.data_bytes, 11 * stats.pulled_bytes, "ten frames for the parent and one for the child");
}

#[test]
fn regression_a_second_hole_is_pulled_as_soon_as_if_it_were_the_first() {
    let mut net = pair();
    net.tamper = lose(PARENT, &[(5, 1), (7, ALWAYS)]);
    drip(&mut net, bodies(5));
    net.run_for(Duration::from_millis(500));
    assert_eq!(net.offsets(CHILD), sequence(10));
    assert_eq!(net.nodes[&CHILD].peer.stats().pulls, 1);
}

#[test]
fn regression_what_waits_for_its_turn_is_dropped_when_the_server_has_other_keys() {
    let mut net = pair();
    net.tamper = lose(PARENT, &[(5, ALWAYS)]);
    drip(&mut net, bodies(5));
    let before = net.nodes[&CHILD].peer.stats();
    net.restart(one_by_one(1), Box::new(FakeSigner(10)), true);
    net.run_until("caught up", Net::is_caught_up);
    net.run_for(Duration::from_secs(1));
    assert_eq!(net.offsets(CHILD), sequence(10));
    let after = net.nodes[&CHILD].peer.stats();
    assert_eq!(
        after.duplicates, before.duplicates,
        "it takes all from the server, whose children know its keys"
    );
}

#[test]
fn regression_a_numbering_whose_beginning_is_gone_is_not_passed_on_as_if_it_were_there() {
    let mut net = pair();
    net.source(SourceUpdate::Opened(Position::new(8, 99)));
    drip(&mut net, bodies(5));
    net.run_for(Duration::from_millis(100));
    assert_eq!(net.offsets(CHILD), (0..5).chain(100..105).collect::<Vec<_>>());
    let child = &net.nodes[&CHILD];
    let left = Status::LinkLost { other: net.name(PARENT), code: Code::UNAVAILABLE };
    assert!(child.statuses.contains(&left), "the server says what is gone");
    assert_eq!(child.peer.stats().pulls, 0);
}

#[test]
fn regression_a_peer_with_a_large_window_keeps_all_of_it_that_comes_before_its_turn() {
    let child = PeerConfig { window_bytes: 1 << 20, ..relay(0) };
    let mut net = pair_with(one_by_one(1), relay(4), child);
    drip(&mut net, bodies(5));
    net.tamper = lose(PARENT, &[(5, ALWAYS)]);
    drip(&mut net, (0..200).map(|number| noise(number, 3_000)).collect());
    net.run_for(Duration::from_millis(400));
    assert_eq!(net.offsets(CHILD), sequence(205));
    let stats = net.nodes[&CHILD].peer.stats();
    assert_eq!((stats.not_taken, stats.pulls), (0, 1), "{stats:?}");
}

#[test]
fn what_a_parent_sends_beyond_the_window_before_its_turn_is_dropped_and_counted() {
    let child = PeerConfig { window_bytes: 1_000, ..relay(0) };
    let mut net = pair_with(one_by_one(1), relay(4), child);
    let link = net.link(CHILD).expect("a parent");
    let mut sealer = Sealer::default();
    let mut frame = |offset| {
        let (after, event) =
            (Position::new(FIRST_EPOCH, offset - 1), Event { offset, message: Message::default() });
        sealer.seal(&channel(), after, offset, 0, &[event], &FakeSigner(9)).expect("a small event")
    };
    let room = 1_000_usize.div_ceil(frame(1).bytes().len()) as i64;
    for offset in 1..=room + 2 {
        net.peer(CHILD, Input::LinkData(link, frame(offset).bytes().clone()));
    }
    assert_eq!(net.nodes[&CHILD].peer.stats().not_taken, 2);
}

/// Bytes of a large event: five of them fit into a message.
const LARGE: usize = 3_000;

/// A pair with twenty large events, of which the child may ask for ten again; and their link.
fn pair_with_large_events() -> (Net, LinkId) {
    let parent = PeerConfig { again_bytes: 10 * LARGE, ..relay(4) };
    let mut net = pair_with(one_by_one(1), parent, relay(0));
    drip(&mut net, (0..20).map(|number| noise(number, LARGE)).collect());
    net.run_until("caught up", Net::is_caught_up);
    let link = net.link(CHILD).expect("a parent");
    (net, link)
}

#[test]
fn regression_a_child_that_asks_again_and_again_takes_no_more_of_its_parents_uplink_than_that_allows() {
    let (mut net, link) = pair_with_large_events();
    let at = |offset| Position::new(FIRST_EPOCH, offset);
    let nag = |net: &mut Net| {
        for _ in 0..100 {
            net.peer(PARENT, Input::LinkData(link, Nack { after: at(0), to: at(19) }.encode()));
            net.run_for(Duration::from_millis(1));
        }
        let stats = net.nodes[&PARENT].peer.stats();
        (stats.repeated_frames, stats.nacks_refused)
    };
    assert_eq!(nag(&mut net), (10, 98), "five frames fit into a message");
    drip(&mut net, (0..12).map(|number| noise(number, LARGE)).collect());
    assert_eq!(nag(&mut net), (20, 196), "half of twelve is more than none, and once more than one");
    net.run_until("caught up", Net::is_caught_up);
    assert_eq!(net.offsets(CHILD), sequence(32));
}

#[test]
fn regression_a_child_that_goes_back_again_and_again_is_soon_left() {
    let (mut net, link) = pair_with_large_events();
    let before = net.nodes[&PARENT].peer.stats().relayed_bytes;
    for _ in 0..100 {
        let send = LinkMessage::Send(SendMessage { position: Position::new(FIRST_EPOCH, 0) });
        net.peer(PARENT, Input::LinkData(link, send.encode()));
        net.run_for(Duration::from_millis(5));
    }
    let relayed = net.nodes[&PARENT].peer.stats().relayed_bytes - before;
    assert!(relayed < 25 * LARGE as u64, "once what is in the log is more than it may have again: {relayed}");
    let left = Status::LinkLost { other: net.name(PARENT), code: Code::LAGGING };
    assert!(net.nodes[&CHILD].statuses.contains(&left));
}

#[test]
fn regression_what_is_missing_of_a_numbering_that_the_server_no_longer_has_is_soon_said_to_be_gone() {
    let mut net = pair();
    net.tamper = lose(PARENT, &[(5, ALWAYS)]);
    drip(&mut net, bodies(1));
    net.run_for(Duration::from_millis(20));
    net.restart(one_by_one(1), Box::new(FakeSigner(9)), false);
    net.run_until("they are back", |net| net.is_settled(PARENT) && net.is_settled(CHILD));
    drip(&mut net, bodies(5));
    net.run_for(Duration::from_secs(4));
    assert_eq!(net.offsets(CHILD), [sequence(5), sequence(5)].concat());
    assert_eq!(net.gaps(CHILD).len(), 1, "of the old numbering only the parent had more, and kept it");
}

#[test]
fn regression_a_new_numbering_from_one_who_is_no_parent_any_more_waits_for_what_it_had_of_the_old_one() {
    let mut net = child_with_standby();
    drip(&mut net, bodies(5));
    net.run_until("caught up", Net::is_caught_up);
    let link = net.link(CHILD).expect("a parent");
    net.peer(CHILD, Input::SessionData(ToPeer::Away(Away { link }).encode()));
    net.run_until("the standby feeds it", |net| net.link(CHILD) != Some(link));
    // What the former parent had said by then was still under way. Two of its frames were lost.
    let have = LinkMessage::Have(Have { position: Position::new(FIRST_EPOCH, 6) });
    let event = Event { offset: 0, message: Message::default() };
    let begin = Position::new(FIRST_EPOCH + 1, -1);
    let first =
        Sealer::default().seal(&channel(), begin, 0, 0, &[event], &FakeSigner(9)).expect("a small event");
    for bytes in [have.encode(), first.bytes().clone()] {
        net.peer(CHILD, Input::LinkData(link, bytes));
    }
    drip(&mut net, bodies(2));
    net.renumber();
    drip(&mut net, bodies(3));
    net.run_until("caught up", Net::is_caught_up);
    assert_eq!(net.offsets(CHILD), [sequence(7), sequence(3)].concat());
    assert_eq!(net.gaps(CHILD).len(), 1, "the one between the numberings");
}
