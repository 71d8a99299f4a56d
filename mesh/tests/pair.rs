//! A parent and a child on a calm network: who feeds whom, and what either does when something is wrong.

use std::{cell::RefCell, rc::Rc, time::Duration};

use bytes::Bytes;
use tiercast_codec::{
    CHUNK_KIND, Code, Gap, GapReason, Message, Position, Since, ToPeer, WireMessage,
    limits::LINK_MESSAGE_BYTES_MAX,
};
use tiercast_mesh::{
    LogLimits, SourceUpdate,
    hub::{HubConfig, Place},
    peer::{Delivery, Input, PeerConfig, Status},
};
use tiercast_sim::{
    CALM, CHILD, FakeSigner, Net, PARENT, bodies, channel, noise, pair, pair_with, relay, roots, sequence,
};

#[test]
fn a_child_gets_everything_through_its_parent_and_the_server_sends_it_once() {
    let mut net = pair();
    for body in bodies(100) {
        net.publish([body]);
        net.run_for(Duration::from_millis(10));
    }
    net.run_until("caught up", Net::is_caught_up);
    assert_eq!(net.offsets(CHILD), sequence(100));
    assert_eq!(net.offsets(PARENT), sequence(100));
    let stats = net.hub.channel_stats(&channel()).unwrap();
    assert_eq!(stats.direct_data_bytes, 2 * stats.data_bytes, "the parent's copy only");
    let child = net.nodes[&CHILD].peer.stats();
    assert_eq!((child.server_bytes, child.duplicates), (0, 0));
    assert_eq!(child.parent_bytes, stats.data_bytes);
}

#[test]
fn a_joiner_is_fed_by_the_server_until_the_link_has_caught_up_and_sees_no_event_twice() {
    let mut net = Net::new(2, roots(1), CALM);
    net.join(PARENT, relay(4), Since::Earliest);
    net.publish(bodies(50));
    net.run_for(Duration::from_millis(50));
    net.join(CHILD, relay(0), Since::Earliest);
    for body in bodies(50) {
        net.publish([body]);
        net.run_for(Duration::from_millis(1));
    }
    net.run_until("caught up", Net::is_caught_up);
    assert_eq!(net.parent(CHILD), Some(PARENT));
    assert_eq!(net.offsets(CHILD), sequence(100));
    let child = net.nodes[&CHILD].peer.stats();
    assert!(child.server_bytes > 0 && child.parent_bytes > 0, "{child:?}");
}

#[test]
fn bodies_of_any_size_arrive_byte_for_byte() {
    let mut net = pair();
    let sizes = [0, 1, 1_160, 16_384, 16_385, 70_000, 1_000_000];
    let sent: Vec<Vec<u8>> =
        sizes.iter().map(|size| (0..*size).map(|at| (at * 7 % 251) as u8).collect()).collect();
    net.publish(sent.clone());
    net.run_until("caught up", Net::is_caught_up);
    for node in [PARENT, CHILD] {
        let got: Vec<_> = net.nodes[&node]
            .deliveries
            .iter()
            .map(|delivery| match delivery {
                Delivery::Event { event, .. } => event.message.body.to_vec(),
                other => panic!("no event: {other:?}"),
            })
            .collect();
        assert_eq!(got, sent);
    }
}

#[test]
fn the_children_of_a_peer_whose_session_closes_move_without_a_hole() {
    let mut net = pair();
    net.publish(bodies(10));
    net.run_until("caught up", Net::is_caught_up);
    net.publish(bodies(10));
    net.kill(PARENT);
    net.publish(bodies(10));
    net.run_until("caught up", Net::is_caught_up);
    assert_eq!(net.offsets(CHILD), sequence(30));
    let lost = Status::LinkLost { other: net.name(PARENT), code: Code::LOST };
    assert!(net.nodes[&CHILD].statuses.contains(&lost), "told by the hub, not by a timeout");
}

#[test]
fn a_child_whose_parent_falls_silent_has_everything_soon_and_leaves_it() {
    let mut net = pair();
    net.publish(bodies(10));
    net.run_until("caught up", Net::is_caught_up);
    net.tamper = Some(Box::new(|from, _, bytes| (from != PARENT).then_some(bytes)));
    net.publish(bodies(10));
    net.run_for(Duration::from_secs(3));
    assert!(net.is_caught_up(), "the server is asked");
    net.run_until("the parent is left", |net| net.parent(CHILD).is_none());
    let closed = Status::LinkLost { other: net.name(PARENT), code: Code::STALE };
    assert!(net.nodes[&CHILD].statuses.contains(&closed));
    assert_eq!(net.offsets(CHILD), sequence(20));
}

#[test]
fn a_frame_with_one_flipped_bit_is_neither_delivered_nor_relayed_and_closes_its_link() {
    const GRANDCHILD: u64 = 3;
    let mut net = pair_with(roots(1), relay(1), relay(1));
    net.join(GRANDCHILD, relay(0), Since::Earliest);
    net.run_until("a chain of three", |net| net.parent(GRANDCHILD) == Some(CHILD));
    net.publish(bodies(10));
    net.run_until("caught up", Net::is_caught_up);
    let before = net.nodes[&GRANDCHILD].peer.stats();
    net.tamper = Some(Box::new(|from, to, bytes| {
        let mut changed = bytes.to_vec();
        if (from, to) == (PARENT, CHILD) && changed[0] == tiercast_codec::FRAME_KIND {
            let middle = changed.len() / 2;
            changed[middle] ^= 1;
        }
        Some(changed.into())
    }));
    net.publish(bodies(10));
    net.run_until("caught up", Net::is_caught_up);
    for node in [CHILD, GRANDCHILD] {
        assert_eq!(net.offsets(node), sequence(20));
    }
    assert_eq!(net.nodes[&CHILD].peer.stats().bad_signatures, 1);
    assert_eq!(
        net.nodes[&GRANDCHILD].peer.stats().bad_signatures,
        before.bad_signatures,
        "it was not relayed"
    );
    let closed = Status::LinkLost { other: net.name(PARENT), code: Code::BAD_SIGNATURE };
    assert!(net.nodes[&CHILD].statuses.contains(&closed));
    assert_eq!(net.hub.channel_stats(&channel()).unwrap().accusations, 1, "the hub was told");
    net.run_for(Duration::from_secs(50));
    assert_ne!(net.parent(CHILD), Some(PARENT), "the two are not brought together again");
}

#[test]
fn garbage_on_a_link_closes_that_link_and_nothing_else() {
    for garbage in
        [&b""[..], b"\xff", b"\x01\x01", b"\x81\xa4type\xa4join", b"\x03\x01\x01\x00\x01\x02\x03\x04\x05"]
    {
        let mut net = pair();
        let mut sent = false;
        net.tamper = Some(Box::new(move |from, _, bytes| {
            let spoils = from == PARENT && !std::mem::replace(&mut sent, true);
            Some(if spoils { Bytes::copy_from_slice(garbage) } else { bytes })
        }));
        net.publish(bodies(10));
        net.run_until("caught up", Net::is_caught_up);
        assert_eq!(net.offsets(CHILD), sequence(10), "{garbage:x?}");
        assert_eq!(net.nodes[&CHILD].peer.stats().malformed, 1, "{garbage:x?}");
        assert!(net.nodes[&CHILD].closed_with.is_none() && net.nodes[&PARENT].closed_with.is_none());
    }
}

#[test]
fn a_frame_may_come_between_the_chunks_of_another() {
    let mut net = pair();
    let last = Rc::new(RefCell::new(Bytes::new()));
    let seen = last.clone();
    net.tamper = Some(Box::new(move |_, to, bytes| {
        if to == CHILD {
            *seen.borrow_mut() = bytes.clone();
        }
        Some(bytes)
    }));
    net.publish(bodies(1));
    net.run_until("caught up", Net::is_caught_up);
    let frame = last.borrow().clone();
    net.publish([noise(1, 50_000)]);
    net.run_until("a chunk", |_| last.borrow().first() == Some(&CHUNK_KIND));
    net.run_until("it arrives", |net| net.link_bytes[&CHILD] > LINK_MESSAGE_BYTES_MAX);
    assert_eq!(net.offsets(CHILD), sequence(1), "not all chunks are there");
    let link = net.link(CHILD).expect("a parent");
    net.peer(CHILD, Input::LinkData(link, frame));
    net.run_until("caught up", Net::is_caught_up);
    let stats = net.nodes[&CHILD].peer.stats();
    assert_eq!((stats.malformed, stats.duplicates, net.offsets(CHILD)), (0, 1, sequence(2)));
}

#[test]
fn a_stranger_without_the_token_gets_nothing() {
    let mut net = Net::new(3, roots(1), CALM);
    net.join(PARENT, relay(4), Since::Earliest);
    net.run_until("the parent is placed", |net| net.is_settled(PARENT));
    net.tamper = Some(Box::new(|from, _, bytes| {
        let mut changed = bytes.to_vec();
        if from == CHILD
            && let Some(at) = changed.windows(5).position(|window| window == b"token")
        {
            changed[at + 8] ^= 1;
        }
        Some(changed.into())
    }));
    net.join(CHILD, relay(0), Since::Earliest);
    net.publish(bodies(10));
    net.run_until("given up", |net| net.place(CHILD).is_some_and(|entry| entry.place == Place::Direct));
    net.run_until("caught up", Net::is_caught_up);
    let refused = Status::LinkLost { other: net.name(CHILD), code: Code::BAD_TOKEN };
    assert!(net.nodes[&PARENT].statuses.contains(&refused));
    assert_eq!(net.nodes[&PARENT].peer.stats().relayed_frames, 0);
    assert_eq!(net.offsets(CHILD), sequence(10));
}

#[test]
fn a_peer_that_no_parent_can_reach_is_fed_by_the_server_and_tried_again_later() {
    let mut net = Net::new(4, roots(1), CALM);
    net.blocked.insert((CHILD, CHILD));
    net.join(PARENT, relay(4), Since::Earliest);
    net.run_until("the parent is placed", |net| net.is_settled(PARENT));
    net.join(CHILD, relay(0), Since::Earliest);
    for body in bodies(60) {
        net.publish([body]);
        net.run_for(Duration::from_secs(1));
    }
    assert_eq!(net.offsets(CHILD), sequence(60));
    assert_eq!(net.place(CHILD).unwrap().parent, None);
    let tried = net.hub.channel_stats(&channel()).unwrap().links;
    net.blocked.clear();
    net.run_until("linked at last", |net| net.parent(CHILD) == Some(PARENT));
    assert!(net.hub.channel_stats(&channel()).unwrap().links > tried);
}

#[test]
fn a_peer_that_does_not_relay_never_hears_of_another() {
    let mut net = Net::new(5, roots(1), CALM);
    net.join(PARENT, relay(4), Since::Earliest);
    net.join(CHILD, PeerConfig::default(), Since::Earliest);
    net.publish(bodies(10));
    net.run_for(Duration::from_secs(60));
    assert_eq!(net.offsets(CHILD), sequence(10));
    assert_eq!(net.place(CHILD).unwrap().place, Place::Direct);
    assert_eq!(net.hub.channel_stats(&channel()).unwrap().links, 0);
}

#[test]
fn a_child_takes_its_time_and_the_parent_stays_within_the_window() {
    let mut child = relay(0);
    child.log = LogLimits { bytes: 100_000, entries: 10_000 };
    let mut net = pair_with(roots(1), relay(4), child);
    net.set_reads(CHILD, false);
    for number in 0..100 {
        net.publish([noise(number, 10_000)]);
        net.run_for(Duration::from_millis(20));
    }
    net.run_for(Duration::from_secs(60));
    let child = net.nodes[&CHILD].peer.stats();
    assert!(child.stalls > 0, "the log was full of what the application had not read: {child:?}");
    assert!(net.link_bytes[&CHILD] < 1_000_000, "the parent stopped: {}", net.link_bytes[&CHILD]);
    net.set_reads(CHILD, true);
    net.drain_peer(CHILD);
    net.run_until("caught up", Net::is_caught_up);
    assert_eq!(net.offsets(CHILD), sequence(100));
    assert!(net.gaps(CHILD).is_empty());
}

#[test]
fn a_reconnecting_peer_goes_on_from_its_position() {
    let mut net = pair();
    net.publish(bodies(10));
    net.run_until("caught up", Net::is_caught_up);
    net.disconnect(CHILD);
    net.publish(bodies(10));
    net.run_for(Duration::from_secs(1));
    net.connect(CHILD);
    net.publish(bodies(10));
    net.run_until("caught up", Net::is_caught_up);
    assert_eq!(net.offsets(CHILD), sequence(30));
    net.run_until("fed by the parent again", |net| net.parent(CHILD) == Some(PARENT));
}

#[test]
fn a_new_numbering_reaches_a_child_as_exactly_one_gap_after_the_last_event_of_the_old_one() {
    let mut net = pair();
    net.publish(bodies(10));
    net.source(SourceUpdate::Opened(Position::new(8, -1)));
    net.publish(bodies(10));
    net.run_until("caught up", Net::is_caught_up);
    let gap = Delivery::Gap {
        channel: channel(),
        from: Position::new(7, 9),
        to: Position::new(8, -1),
        reason: GapReason::Epoch,
    };
    for node in [PARENT, CHILD] {
        assert_eq!(net.offsets(node), [sequence(10), sequence(10)].concat());
        assert_eq!(net.gaps(node), [&gap]);
        assert_eq!(net.nodes[&node].deliveries[10], gap, "in its place");
    }
    assert_eq!(net.parent(CHILD), Some(PARENT), "no reason to move");
}

#[test]
fn a_parent_that_withholds_the_beginning_of_a_new_numbering_costs_its_child_nothing() {
    let mut net = pair();
    net.publish(bodies(10));
    net.run_until("caught up", Net::is_caught_up);
    let is_first_frame = |bytes: &[u8]| bytes[0] == 1 && bytes[16..24] == (-1_i64).to_be_bytes();
    net.tamper =
        Some(Box::new(move |_, to, bytes| (to != CHILD || !is_first_frame(&bytes)).then_some(bytes)));
    net.renumber();
    for body in bodies(10) {
        net.publish([body]);
        net.run_for(Duration::from_millis(20));
    }
    net.run_until("caught up", Net::is_caught_up);
    assert_eq!(net.offsets(CHILD), [sequence(10), sequence(10)].concat());
    assert_eq!(net.gaps(CHILD).len(), 1);
    let lost = Status::LinkLost { other: net.name(PARENT), code: Code::STALE };
    assert!(net.nodes[&CHILD].statuses.contains(&lost), "the parent was left");
}

#[test]
fn events_that_the_source_lost_are_one_explicit_gap() {
    let mut net = pair();
    net.publish(bodies(5));
    net.source(SourceUpdate::Opened(Position::new(7, 99)));
    net.publish(bodies(5));
    net.run_until("caught up", Net::is_caught_up);
    for node in [PARENT, CHILD] {
        let gap = Delivery::Gap {
            channel: channel(),
            from: Position::new(7, 4),
            to: Position::new(7, 99),
            reason: GapReason::Source,
        };
        assert_eq!(net.gaps(node), [&gap]);
        assert_eq!(net.offsets(node), [0, 1, 2, 3, 4, 100, 101, 102, 103, 104]);
    }
}

#[test]
fn holes_in_the_numbering_are_no_gaps() {
    let mut net = pair();
    let event = |offset| tiercast_codec::Event { offset, message: Message::default() };
    net.source(SourceUpdate::Events(vec![event(0), event(1), event(3), event(4)]));
    net.source(SourceUpdate::Events(vec![event(4), event(10)]));
    net.position = Position::new(7, 10);
    net.run_until("caught up", Net::is_caught_up);
    assert_eq!(net.offsets(CHILD), [0, 1, 3, 4, 10]);
    assert!(net.gaps(CHILD).is_empty());
}

#[test]
fn one_who_was_away_for_longer_than_the_log_lasts_gets_one_gap() {
    let mut hub = roots(1);
    hub.log = LogLimits { bytes: 1 << 20, entries: 5 };
    let mut net = Net::new(1, hub, CALM);
    net.join(CHILD, PeerConfig::default(), Since::Earliest);
    net.publish(bodies(1));
    net.run_until("caught up", Net::is_caught_up);
    net.disconnect(CHILD);
    for body in bodies(20) {
        net.publish([body]);
        net.run_for(Duration::from_millis(10));
    }
    net.connect(CHILD);
    net.run_until("caught up", Net::is_caught_up);
    assert_eq!(net.offsets(CHILD), [vec![0], (16..21).collect()].concat());
    assert_eq!(net.gaps(CHILD).len(), 1);
}

#[test]
fn a_quiet_channel_says_so_and_a_dead_server_is_noticed() {
    let mut net = pair();
    net.publish(bodies(1));
    net.run_for(Duration::from_secs(300));
    assert!(net.nodes.values().all(|node| node.closed_with.is_none()), "heartbeats keep quiet sessions open");
    assert_eq!(net.parent(CHILD), Some(PARENT), "and quiet links");
    net.deaf.insert(CHILD);
    net.run_until("noticed", |net| net.nodes[&CHILD].closed_with == Some(Code::SILENT));
    assert!(net.nodes[&CHILD].session.is_none(), "by the peer itself");
    net.run_for(Duration::from_secs(1));
    assert_eq!(net.hub.sessions(), 1);
}

#[test]
fn an_event_that_no_frame_can_hold_is_a_gap_and_those_around_it_arrive() {
    let mut net = pair();
    let mut nested = tiercast_codec::HeaderValue::Int(1);
    for _ in 0..=tiercast_codec::limits::HEADER_DEPTH_MAX {
        nested = tiercast_codec::HeaderValue::List(vec![nested]);
    }
    let too_deep = Message { headers: [("h".to_owned(), nested)].into(), ..Message::default() };
    let too_large =
        Message { body: vec![0; tiercast_codec::limits::EVENT_BYTES_MAX].into(), ..Message::default() };
    let fine = Message::default;
    net.source(SourceUpdate::Messages(vec![fine(), too_deep, fine(), too_large, fine()]));
    net.position = Position::new(7, 4);
    net.run_until("caught up", Net::is_caught_up);
    for node in [PARENT, CHILD] {
        assert_eq!(net.offsets(node), [0, 2, 4]);
        assert_eq!(net.gaps(node).len(), 2);
    }
    assert_eq!(net.hub.channel_stats(&channel()).unwrap().unfit, 2);
}

/// A root whose application does not read, so that it takes no more frames.
fn stalled_root() -> Net {
    let mut root = relay(4);
    root.log = LogLimits { bytes: 4_000, entries: 1_000 };
    let mut net = Net::new(6, roots(1), CALM);
    net.join(PARENT, root, Since::Earliest);
    net.run_until("the root is placed", |net| net.is_settled(PARENT));
    net.set_reads(PARENT, false);
    for body in bodies(60) {
        net.publish([body]);
        net.run_for(Duration::from_millis(10));
    }
    assert_eq!(net.nodes[&PARENT].peer.stats().stalls, 1);
    net
}

#[test]
fn regression_a_peer_whose_application_is_too_slow_gets_no_children_until_it_has_caught_up() {
    let mut net = stalled_root();
    net.join(CHILD, relay(0), Since::Earliest);
    net.publish(bodies(10));
    net.run_until("the child has everything", |net| net.offsets(CHILD) == sequence(70));
    assert_eq!(net.parent(CHILD), None);
    net.set_reads(PARENT, true);
    net.run_until("caught up", Net::is_caught_up);
    net.run_until("a child after all", |net| net.parent(CHILD) == Some(PARENT));
    net.publish(bodies(10));
    net.run_until("caught up", Net::is_caught_up);
    for node in [PARENT, CHILD] {
        assert_eq!(net.offsets(node), sequence(80));
    }
}

#[test]
fn regression_a_gap_does_not_swallow_what_a_slow_peer_has_not_taken() {
    let mut net = stalled_root();
    net.source(SourceUpdate::Opened(Position::new(8, -1)));
    net.publish(bodies(3));
    net.run_for(Duration::from_secs(1));
    net.set_reads(PARENT, true);
    net.run_until("caught up", Net::is_caught_up);
    assert_eq!(net.offsets(PARENT), [sequence(60), sequence(3)].concat());
    assert_eq!(net.gaps(PARENT).len(), 1, "the one between the numberings");
}

#[test]
fn regression_a_link_that_outlives_its_session_makes_no_request_before_the_subscription() {
    let mut net = pair();
    net.publish(bodies(5));
    net.run_until("caught up", Net::is_caught_up);
    // The server goes and comes back, and with it both sessions; the link between the two stays.
    for node in [PARENT, CHILD] {
        net.nodes.get_mut(&node).unwrap().session = None;
        net.peer(node, tiercast_mesh::peer::Input::SessionClosed);
    }
    net.connect(CHILD);
    net.connect(PARENT);
    net.publish(bodies(5));
    net.run_until("caught up", Net::is_caught_up);
    assert_eq!(net.offsets(CHILD), sequence(10));
    let refused = net.nodes[&CHILD].statuses.iter().any(|status| matches!(status, Status::Refused { .. }));
    assert!(!refused, "the server had nothing to refuse");
}

#[test]
fn regression_a_peer_that_takes_no_frames_takes_no_parent_until_it_does() {
    const NEXT: u64 = 3;
    let slow = PeerConfig { log: LogLimits { bytes: 4_000, entries: 1_000 }, ..relay(0) };
    let mut net = pair_with(roots(1), relay(4), slow);
    net.kill(PARENT);
    net.run_until("fed by the server", |net| net.parent(CHILD).is_none());
    net.set_reads(CHILD, false);
    for body in bodies(60) {
        net.publish([body]);
        net.run_for(Duration::from_millis(10));
    }
    assert_eq!(net.nodes[&CHILD].peer.stats().stalls, 1);
    // It had no link that it could have closed: the hub does not know yet.
    let links = |net: &Net| net.hub.channel_stats(&channel()).unwrap().links;
    let before = links(&net);
    net.join(NEXT, relay(4), Since::Earliest);
    net.renumber();
    for body in bodies(60) {
        net.publish([body]);
        net.run_for(Duration::from_secs(5));
        assert_eq!(net.parent(CHILD), None);
    }
    assert_eq!(links(&net), before + 1, "it is asked once");
    net.set_reads(CHILD, true);
    net.run_until("a parent", |net| net.parent(CHILD) == Some(NEXT));
    net.run_until("caught up", Net::is_caught_up);
    assert_eq!(net.offsets(CHILD), [sequence(60), sequence(60)].concat());
    assert_eq!(net.gaps(CHILD).len(), 1, "the one between the numberings");
}

#[test]
fn regression_a_gap_that_comes_late_does_not_throw_a_peer_back() {
    let mut net = pair();
    net.publish(bodies(3));
    net.renumber();
    net.publish(bodies(3));
    net.run_until("caught up", Net::is_caught_up);
    // What the server had said before the parent took over was still under way.
    let gap = Gap {
        channel: channel(),
        from: Position::new(7, 0),
        to: Position::new(7, 2),
        reason: GapReason::Retention,
    };
    net.peer(CHILD, Input::SessionData(ToPeer::Gap(gap).encode()));
    net.publish(bodies(3));
    net.run_until("caught up", Net::is_caught_up);
    assert_eq!(net.offsets(CHILD), [0, 1, 2, 0, 1, 2, 3, 4, 5]);
    assert_eq!(net.gaps(CHILD).len(), 1);
}

#[test]
fn regression_a_peer_asks_again_in_its_next_session() {
    let mut net = Net::new(8, roots(1), CALM);
    net.join(CHILD, relay(0), Since::Earliest);
    net.run_for(Duration::from_secs(2));
    for feeds in 1..=2 {
        let (from, to) = (Position::new(7, 50), Position::new(7, 51));
        let gap = Gap { channel: channel(), from, to, reason: GapReason::Source };
        net.peer(CHILD, Input::SessionData(ToPeer::Gap(gap).encode()));
        assert_eq!(net.nodes[&CHILD].peer.stats().feeds, feeds);
        net.disconnect(CHILD);
        net.connect(CHILD);
        net.run_for(Duration::from_secs(2));
    }
}

#[test]
fn a_peer_that_gives_back_its_children_costs_them_nothing_and_gets_them_back_when_it_can() {
    let mut net = pair();
    net.publish(bodies(10));
    net.run_until("caught up", Net::is_caught_up);
    net.peer(PARENT, Input::Offer(0));
    net.publish(bodies(10));
    net.run_until("caught up", Net::is_caught_up);
    assert_eq!(net.offsets(CHILD), sequence(20));
    assert_eq!((net.parent(CHILD), net.place(PARENT).unwrap().children), (None, 0));
    let told = Status::LinkLost { other: net.name(PARENT), code: Code::REPLACED };
    assert!(net.nodes[&CHILD].statuses.contains(&told), "told by the hub, not by a timeout");
    net.peer(PARENT, Input::Offer(1));
    net.run_until("linked again", |net| net.parent(CHILD) == Some(PARENT));
    net.publish(bodies(10));
    net.run_until("caught up", Net::is_caught_up);
    assert_eq!(net.offsets(CHILD), sequence(30));
}

#[test]
fn of_a_peer_that_can_do_less_those_children_go_that_came_last() {
    let mut net = pair_with(roots(1), relay(3), relay(0));
    for latecomer in [3, 4] {
        net.join(latecomer, relay(0), Since::Earliest);
        net.run_until("linked", |net| net.parent(latecomer) == Some(PARENT));
    }
    net.peer(PARENT, Input::Offer(1));
    net.run_for(Duration::from_secs(1));
    assert_eq!([CHILD, 3, 4].map(|node| net.parent(node)), [Some(PARENT), None, None]);
    assert_eq!(net.place(PARENT).unwrap().place, Place::Root);
}

#[test]
fn a_peer_of_tier_1_that_can_do_nothing_more_for_others_makes_room_for_one_that_can() {
    let mut net = pair_with(roots(1), relay(1), relay(1));
    net.peer(PARENT, Input::Offer(0));
    net.run_until("they have changed places", |net| net.parent(PARENT) == Some(CHILD));
    assert_eq!(net.place(CHILD).unwrap().place, Place::Root);
}

#[test]
fn where_nobody_is_waited_for_a_link_ends_with_a_session_and_nothing_is_lost() {
    let config = HubConfig { resume: Duration::ZERO, ..roots(1) };
    let mut net = pair_with(config.clone(), relay(4), relay(4));
    net.publish(bodies(10));
    net.run_until("caught up", Net::is_caught_up);
    net.disconnect(PARENT);
    let lost = Status::LinkLost { other: net.name(PARENT), code: Code::LOST };
    net.run_until("the child is told", |net| net.nodes[&CHILD].statuses.contains(&lost));
    net.publish(bodies(10));
    net.connect(PARENT);
    net.run_until("a place", |net| net.parent(PARENT) == Some(CHILD) || net.parent(CHILD) == Some(PARENT));
    net.restart(config, Box::new(FakeSigner(9)), true);
    net.run_until("a place", |net| net.is_settled(PARENT) && net.is_settled(CHILD));
    net.publish(bodies(10));
    net.run_until("caught up", Net::is_caught_up);
    for node in [PARENT, CHILD] {
        assert_eq!(net.offsets(node), sequence(30));
    }
}
