//! Peers that have seen more of a numbering than the server: one that is behind, or one whose source lost its end. And
//! what `now` means while a source is behind.

use std::time::Duration;

use tiercast_codec::{Code, Event, GapReason, Message, Position, Since, ToPeer};
use tiercast_mesh::{
    SourceUpdate,
    hub::Input,
    peer::{Delivery, PeerConfig, Status},
};
use tiercast_sim::{
    CALM, CHILD, FakeSigner, Net, PARENT, bodies, channel, pair, roots, sequence, sessions::Sessions,
};

const LATER: u64 = 3;

fn events(range: std::ops::Range<i64>) -> SourceUpdate {
    let event = |offset| Event {
        offset,
        message: Message { body: format!("again {offset}").into(), ..Message::default() },
    };
    SourceUpdate::Events(range.map(event).collect())
}

/// The server restarts without a memory, and its source is a stream whose end was lost: it holds so many events.
fn restart_with_a_shorter_stream(net: &mut Net, events_left: i64) {
    for node in [PARENT, CHILD] {
        net.disconnect(node);
    }
    net.run_for(Duration::from_secs(1));
    net.new_hub(roots(1), Box::new(FakeSigner(9)));
    net.source(SourceUpdate::Behind);
    net.source(SourceUpdate::Opened(Position::new(7, -1)));
    net.source(events(0..events_left));
    net.source(SourceUpdate::CaughtUp);
}

fn went_back(from: i64, to: i64) -> Delivery {
    Delivery::Gap {
        channel: channel(),
        from: Position::new(7, from),
        to: Position::new(7, to),
        reason: GapReason::Epoch,
    }
}

#[test]
fn regression_a_peer_beyond_the_end_of_its_channel_gets_a_gap_and_everything_again() {
    let mut net = pair();
    net.publish(bodies(1_000));
    net.run_until("caught up", Net::is_caught_up);
    restart_with_a_shorter_stream(&mut net, 400);
    for node in [PARENT, CHILD] {
        net.connect(node);
    }
    net.run_for(Duration::from_secs(1));
    net.source(events(400..1_500));
    net.run_until("caught up", Net::is_caught_up);
    for node in [PARENT, CHILD] {
        assert_eq!(net.gaps(node), [&went_back(999, -1)]);
        assert_eq!(net.offsets(node), [sequence(1_000), sequence(1_500)].concat());
    }
}

#[test]
fn regression_a_peer_that_is_ahead_of_a_server_which_is_behind_waits_for_it() {
    let mut net = Net::new(1, roots(1), CALM);
    net.join(PARENT, PeerConfig::default(), Since::Earliest);
    net.publish(bodies(1_000));
    net.run_until("caught up", Net::is_caught_up);
    net.disconnect(PARENT);
    net.run_for(Duration::from_secs(1));
    // Another server of the same stream, which is still reading.
    net.answers = Some(Position::new(7, 999));
    net.new_hub(roots(1), Box::new(FakeSigner(9)));
    net.source(SourceUpdate::Behind);
    net.source(SourceUpdate::Opened(Position::new(7, -1)));
    net.source(events(0..400));
    net.connect(PARENT);
    net.run_for(Duration::from_secs(30));
    assert_eq!(net.offsets(PARENT), sequence(1_000), "it waits");
    net.source(events(400..1_000));
    net.source(SourceUpdate::CaughtUp);
    net.source(events(1_000..1_010));
    net.run_until("caught up", Net::is_caught_up);
    assert_eq!(net.offsets(PARENT), sequence(1_010));
    assert!(net.gaps(PARENT).is_empty());
}

#[test]
fn one_who_comes_ahead_while_a_question_is_open_is_judged_by_the_next_answer() {
    let mut net = Net::new(1, roots(2), CALM);
    for node in [PARENT, LATER] {
        net.join(node, PeerConfig::default(), Since::Earliest);
    }
    net.publish(bodies(100));
    net.run_until("caught up", Net::is_caught_up);
    net.disconnect(LATER);
    net.publish(bodies(100));
    net.run_until("only one has it", |net| net.offsets(PARENT).len() == 200);
    net.disconnect(PARENT);
    net.run_for(Duration::from_secs(1));
    net.withholds_answers = true;
    net.new_hub(roots(2), Box::new(FakeSigner(9)));
    net.source(SourceUpdate::Opened(Position::new(7, -1)));
    net.source(events(0..50));
    net.connect(LATER);
    net.run_for(Duration::from_secs(1));
    assert_eq!(net.questions, [Position::new(7, 99)]);
    net.connect(PARENT);
    net.run_for(Duration::from_secs(1));
    assert_eq!(net.questions.len(), 1, "one at a time");
    net.source(SourceUpdate::End(Position::new(7, 49)));
    net.run_for(Duration::from_secs(1));
    assert_eq!(net.gaps(LATER), [&went_back(99, -1)]);
    assert!(net.gaps(PARENT).is_empty(), "what was there may have been more when it came");
    assert_eq!(net.questions, [Position::new(7, 99), Position::new(7, 199)]);
    net.source(SourceUpdate::End(Position::new(7, 49)));
    net.run_for(Duration::from_secs(1));
    assert_eq!(net.gaps(PARENT), [&went_back(199, -1)]);
}

#[test]
fn one_whose_claim_is_open_is_not_passed_by_what_comes_meanwhile() {
    let mut net = Net::new(1, roots(1), CALM);
    net.join(PARENT, PeerConfig::default(), Since::Earliest);
    net.publish(bodies(100));
    net.run_until("caught up", Net::is_caught_up);
    net.disconnect(PARENT);
    net.run_for(Duration::from_secs(1));
    net.withholds_answers = true;
    net.new_hub(roots(1), Box::new(FakeSigner(9)));
    net.source(SourceUpdate::Opened(Position::new(7, -1)));
    net.source(events(0..50));
    net.connect(PARENT);
    net.run_for(Duration::from_secs(1));
    net.source(events(50..200));
    net.run_for(Duration::from_secs(1));
    net.source(SourceUpdate::End(Position::new(7, 49)));
    net.run_until("caught up", Net::is_caught_up);
    assert_eq!(net.gaps(PARENT), [&went_back(99, -1)]);
    assert_eq!(net.offsets(PARENT), [sequence(100), sequence(200)].concat());
}

#[test]
fn regression_a_numbering_that_goes_back_does_not_swallow_what_the_application_has_not_read() {
    for epoch in [7, 3] {
        let mut net = Net::new(1, roots(1), CALM);
        net.join(PARENT, PeerConfig::default(), Since::Earliest);
        net.publish(bodies(100));
        net.run_until("caught up", Net::is_caught_up);
        net.set_reads(PARENT, false);
        for body in bodies(100) {
            net.publish([body]);
            net.run_for(Duration::from_millis(10));
        }
        net.disconnect(PARENT);
        net.run_for(Duration::from_secs(1));
        net.new_hub(roots(1), Box::new(FakeSigner(9)));
        net.source(SourceUpdate::Opened(Position::new(epoch, -1)));
        net.source(events(0..50));
        net.connect(PARENT);
        net.run_for(Duration::from_secs(5));
        net.set_reads(PARENT, true);
        net.run_until("caught up", Net::is_caught_up);
        assert_eq!(net.offsets(PARENT), [sequence(200), sequence(50)].concat());
        assert_eq!(net.gaps(PARENT).len(), 1, "after all that was there before it");
        let is_event = |delivery: &&Delivery| matches!(delivery, Delivery::Event { .. });
        let is_gap = |delivery: &&Delivery| matches!(delivery, Delivery::Gap { .. });
        let before = net.nodes[&PARENT].deliveries.iter().take_while(|delivery| !is_gap(delivery));
        assert_eq!(before.filter(is_event).count(), 200);
    }
}

#[test]
fn regression_now_is_the_end_of_the_channel_and_not_how_far_its_history_was_read() {
    let mut net = Net::new(1, roots(1), CALM);
    net.new_hub(roots(1), Box::new(FakeSigner(9)));
    net.source(SourceUpdate::Behind);
    net.source(SourceUpdate::Opened(Position::new(7, -1)));
    net.source(events(0..10));
    net.join(PARENT, PeerConfig::default(), Since::Now);
    net.join(CHILD, PeerConfig::default(), Since::Position(Position::new(7, 4)));
    net.run_for(Duration::from_millis(200));
    assert_eq!(net.offsets(CHILD), [5, 6, 7, 8, 9], "a position is served at once");
    net.source(events(10..1_000));
    net.source(SourceUpdate::CaughtUp);
    net.run_until("subscribed", |net| net.is_settled(PARENT));
    net.source(events(1_000..1_005));
    net.run_until("caught up", Net::is_caught_up);
    assert_eq!(net.offsets(PARENT), [1_000, 1_001, 1_002, 1_003, 1_004]);
    assert!(!net.nodes[&PARENT].statuses.iter().any(|status| matches!(status, Status::Refused { .. })));
}

#[test]
fn regression_what_was_read_of_the_past_at_last_is_no_part_of_now() {
    let mut sessions = Sessions::new(roots(1));
    for update in [SourceUpdate::Behind, events(0..5), events(5..10), SourceUpdate::CaughtUp] {
        sessions.hub.handle(sessions.now, Input::Source(&channel(), update)).unwrap();
    }
    // At the same time: the hub may still be gathering events for its next frame.
    let session = sessions.join(0);
    let starts = sessions.read(session).into_iter().find_map(|message| match message {
        ToPeer::Subscribed(subscribed) => Some(subscribed.position.offset),
        _ => None,
    });
    assert_eq!(starts, Some(9));
}

#[test]
fn a_subscriber_to_what_comes_now_is_told_to_come_back_while_the_source_is_lost() {
    let mut net = Net::new(1, roots(1), CALM);
    net.publish(bodies(3));
    net.source(SourceUpdate::Lost { reason: "the broker is down".into() });
    net.join(PARENT, PeerConfig::default(), Since::Now);
    net.run_for(Duration::from_secs(5));
    assert!(net.place(PARENT).is_none(), "nobody knows what was published meanwhile");
    net.source(SourceUpdate::Opened(Position::new(7, 2)));
    net.run_until("subscribed", |net| net.is_settled(PARENT));
    assert_eq!(net.nodes[&PARENT].closed_with, None::<Code>);
}
