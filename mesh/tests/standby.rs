//! A second parent that stands by, and what a peer does when those who feed it are late.

use std::time::Duration;

use tiercast_codec::{Code, Fed, Head, Item, LinkMessage, PeerId, Since, ToHub, ToPeer, WireMessage};
use tiercast_mesh::{
    hub::HubConfig,
    peer::{Input, Status},
};
use tiercast_sim::{
    CALM, CHILD, FakeSigner, Net, PARENT, bodies, channel,
    liar::{Lie, lies_of},
    pair, pair_with, relay, roots, sequence,
    sessions::Sessions,
};

const OTHER: u64 = 3;

/// A child whose parent and whose standby are both fed by the server.
fn triangle() -> Net {
    let mut net = Net::new(1, roots(2), CALM);
    for (node, config) in [(PARENT, relay(2)), (OTHER, relay(2)), (CHILD, relay(0))] {
        net.join(node, config, Since::Earliest);
        net.run_until("it has a place", |net| net.is_settled(node));
    }
    net.run_until("it has a standby", |net| net.place(CHILD).is_some_and(|place| place.standby.is_some()));
    net.run_for(Duration::from_millis(100));
    net
}

/// Publishes an event every 50 ms. The longest time that a node lacked one, to 10 ms.
fn longest_lack(net: &mut Net, node: u64, events: usize) -> Duration {
    let (mut longest, mut lacking) = (Duration::ZERO, Duration::ZERO);
    for body in bodies(events) {
        net.publish([body]);
        for _ in 0..5 {
            net.run_for(Duration::from_millis(10));
            let has_all = net.nodes[&node].peer.position(&tiercast_sim::channel()) == Some(net.position);
            lacking = if has_all { Duration::ZERO } else { lacking + Duration::from_millis(10) };
            longest = longest.max(lacking);
        }
    }
    longest
}

fn closed(net: &Net, node: u64, other: PeerId, code: Code) -> bool {
    net.nodes[&node].statuses.contains(&Status::LinkLost { other, code })
}

fn name(net: &Net, node: u64) -> PeerId {
    net.place(node).expect("it is in the tree").peer
}

#[test]
fn a_child_of_a_parent_that_vanishes_has_everything_from_its_standby_in_less_than_a_second() {
    let mut net = triangle();
    let parent = net.parent(CHILD).expect("a parent");
    longest_lack(&mut net, CHILD, 20);
    net.freeze(parent);
    let lack = longest_lack(&mut net, CHILD, 60);
    assert!(lack < Duration::from_secs(1), "it lacked events for {lack:?}");
    assert_eq!(net.nodes[&CHILD].peer.stats().feeds, 0, "the server had nothing to do with it");
    assert_ne!(net.parent(CHILD), Some(parent));
    assert_eq!(net.offsets(CHILD), sequence(80));
}

#[test]
fn what_is_missing_is_pulled_once_by_the_one_nearest_to_the_hole_and_not_by_all_below() {
    let mut net = Net::new(1, HubConfig { standby: Duration::from_secs(86_400), ..roots(1) }, CALM);
    for node in 1..=4 {
        net.join(node, relay(1), Since::Earliest);
        net.run_until("it has a place", |net| net.is_settled(node));
    }
    longest_lack(&mut net, 4, 20);
    net.tamper = Some(lies_of(1, Lie::Withhold));
    longest_lack(&mut net, 4, 40);
    let pulls = [2, 3, 4].map(|node| net.nodes[&node].peer.stats().pulls);
    assert!(pulls[0] > 0 && pulls[1..] == [0, 0], "{pulls:?}");
    net.run_for(Duration::from_secs(2));
    assert!(net.is_caught_up());
}

#[test]
fn the_hub_ends_one_that_is_called_silent_and_does_not_answer() {
    let mut net = triangle();
    let parent = net.parent(CHILD).expect("a parent");
    let parents_name = name(&net, parent);
    net.freeze(parent);
    longest_lack(&mut net, CHILD, 120);
    assert!(closed(&net, CHILD, parents_name, Code::SILENT));
    assert_eq!(net.place(parent), None, "six seconds after it stood still");
    assert_eq!((net.hub.stats().looks, net.hub.stats().found_dead), (1, 1));
}

#[test]
fn one_that_is_called_silent_and_answers_stays() {
    let mut net = pair();
    net.publish(bodies(3));
    net.run_until("caught up", Net::is_caught_up);
    net.tamper = Some(lies_of(PARENT, Lie::Withhold));
    net.publish(bodies(3));
    net.run_until("the parent is left", |net| net.parent(CHILD).is_none());
    net.run_for(Duration::from_secs(5));
    assert!(net.place(PARENT).is_some());
    assert_eq!((net.hub.stats().looks, net.hub.stats().found_dead), (1, 0));
}

/// A parent sends an earlier message in the place of one in three from now on. Its child soon has each event all the same.
fn follow_one_who_replays(net: &mut Net) {
    net.tamper = Some(lies_of(net.parent(CHILD).expect("a parent"), Lie::Replay));
    let lack = longest_lack(net, CHILD, 200);
    assert!(lack < Duration::from_millis(500), "it lacked events for {lack:?}");
    assert_eq!(net.offsets(CHILD), sequence(200));
}

#[test]
fn a_parent_that_replaces_one_message_in_three_by_an_earlier_one_is_left_and_nothing_is_lost() {
    let mut net = pair();
    follow_one_who_replays(&mut net);
    assert!(closed(&net, CHILD, name(&net, PARENT), Code::STALE));
}

#[test]
fn one_that_replaces_messages_feeds_nobody_who_has_a_standby() {
    let mut net = triangle();
    let parent = net.parent(CHILD).expect("a parent");
    follow_one_who_replays(&mut net);
    assert_ne!(net.parent(CHILD), Some(parent));
}

#[test]
fn regression_a_parent_that_answers_pings_and_passes_on_nothing_is_noticed() {
    let mut net = pair();
    longest_lack(&mut net, CHILD, 20);
    net.tamper = Some(lies_of(PARENT, Lie::Withhold));
    let lack = longest_lack(&mut net, CHILD, 200);
    assert!(lack < Duration::from_secs(2), "it lacked events for {lack:?}");
    assert!(closed(&net, CHILD, name(&net, PARENT), Code::STALE));
    assert_eq!(net.offsets(CHILD), sequence(220));
}

#[test]
fn a_standby_that_follows_the_channel_no_more_is_left() {
    let mut net = triangle();
    let standby = if net.parent(CHILD) == Some(PARENT) { OTHER } else { PARENT };
    net.tamper = Some(Box::new(move |from, _, bytes| {
        let is_have = matches!(LinkMessage::decode(&bytes), Ok(LinkMessage::Have(_)));
        (from != standby || !is_have).then_some(bytes)
    }));
    longest_lack(&mut net, CHILD, 200);
    assert!(closed(&net, CHILD, name(&net, standby), Code::STALE));
    assert_eq!(net.offsets(CHILD), sequence(200));
}

#[test]
fn regression_a_last_frame_that_is_replaced_by_an_earlier_one_is_missed_by_the_next_head() {
    let mut net = pair();
    let (mut earlier, mut frames) = (None, 0);
    net.tamper = Some(Box::new(move |from, _, bytes| {
        if from != PARENT || bytes.first() != Some(&tiercast_codec::FRAME_KIND) {
            return Some(bytes);
        }
        frames += 1;
        if frames == 2 {
            return earlier.clone();
        }
        earlier = Some(bytes.clone());
        Some(bytes)
    }));
    for _ in 0..2 {
        net.publish(bodies(1));
        net.run_for(Duration::from_secs(1));
    }
    net.run_for(Duration::from_secs(5));
    assert_eq!(net.offsets(CHILD), sequence(2));
}

#[test]
fn regression_a_head_that_is_known_already_still_shows_what_is_missing() {
    let mut net = pair();
    longest_lack(&mut net, CHILD, 5);
    net.tamper = Some(lies_of(PARENT, Lie::Withhold));
    net.publish(bodies(1));
    net.run_for(Duration::from_millis(10));
    // It knows of what is missing, and what the server sends it then does not reach it.
    let latest = net.now + Duration::from_secs(3_600);
    let head = Head::sign(&channel(), net.position, latest.0, &FakeSigner(9));
    net.peer(CHILD, Input::SessionData(head.bytes().clone()));
    net.deaf.insert(CHILD);
    net.run_until("it has pulled twice", |net| net.nodes[&CHILD].peer.stats().pulls == 2);
    net.deaf.clear();
    net.run_for(Duration::from_secs(3));
    assert_eq!(net.offsets(CHILD), sequence(6));
}

/// It says that it is far ahead whenever it says how far it is, and sends nothing.
#[test]
fn a_standby_that_promises_what_it_does_not_have_is_left() {
    let mut net = triangle();
    let standby = if net.parent(CHILD) == Some(PARENT) { OTHER } else { PARENT };
    let liar = name(&net, standby);
    net.tamper = Some(Box::new(move |from, _, bytes| match LinkMessage::decode(&bytes) {
        Ok(LinkMessage::Have(mut have)) if from == standby => {
            have.position.offset += 1_000;
            Some(LinkMessage::Have(have).encode())
        }
        Ok(_) => Some(bytes),
        Err(_) => (from != standby).then_some(bytes),
    }));
    let lack = longest_lack(&mut net, CHILD, 400);
    assert!(lack < Duration::from_secs(1), "it lacked events for {lack:?}");
    assert!(closed(&net, CHILD, liar, Code::STALE));
    assert_eq!(net.offsets(CHILD), sequence(400));
}

#[test]
fn regression_a_parent_that_is_behind_its_child_does_not_take_over() {
    let mut net = Net::new(1, roots(1), CALM);
    net.join(PARENT, relay(4), Since::Earliest);
    net.run_until("it has a place", |net| net.is_settled(PARENT));
    net.deaf.insert(PARENT);
    net.publish(bodies(20));
    net.join(CHILD, relay(0), Since::Earliest);
    net.run_until("it is fed by the server", |net| net.offsets(CHILD) == sequence(20));
    let lack = longest_lack(&mut net, CHILD, 100);
    assert!(lack <= Duration::from_millis(200), "it lacked events for {lack:?}");
}

#[test]
fn a_standby_takes_one_of_its_parents_places_and_gives_it_to_one_who_has_no_parent() {
    let mut net = triangle();
    let held = |net: &Net| net.place(CHILD).and_then(|place| place.standby);
    assert!(held(&net).is_some());
    // Two places at each of the two roots: one is taken by the child, one by its standby.
    for node in 10..13 {
        net.join(node, relay(0), Since::Earliest);
        net.run_until("it has a parent", |net| net.parent(node).is_some());
        net.check_tree();
    }
    assert_eq!(held(&net), None);
    net.publish(bodies(5));
    net.run_until("caught up", Net::is_caught_up);
}

#[test]
fn whoever_held_a_parent_gets_all_that_came_meanwhile_when_it_lets_go() {
    let mut net = triangle();
    let parent = net.parent(CHILD).expect("a parent");
    longest_lack(&mut net, CHILD, 40);
    let standby = if parent == PARENT { OTHER } else { PARENT };
    let before = net.nodes[&standby].peer.stats();
    assert_eq!(before.relayed_frames, 0, "it was held");
    net.kill(parent);
    longest_lack(&mut net, CHILD, 20);
    assert_eq!(net.parent(CHILD), Some(standby));
    assert_eq!(net.offsets(CHILD), sequence(60));
    assert!(net.nodes[&standby].peer.stats().relayed_frames >= 19);
}

/// How many links so many peers are asked to set up as standbys in the next seconds, if so many of them have no parent yet.
fn standbys(peers: u64, linking: u64, seconds: u64) -> usize {
    // They say no more than they must.
    let heartbeat = Duration::from_secs(3_600);
    let mut sessions = Sessions::new(HubConfig { heartbeat, ..roots(8) });
    let all: Vec<_> = (0..peers).map(|_| sessions.join(4)).collect();
    let mut given = 0;
    for _ in 0..seconds {
        for session in all.iter().copied() {
            for message in sessions.read(session) {
                let ToPeer::Assign(assign) = message else { continue };
                given += usize::from(assign.standby);
                if !assign.standby && session.0 + linking <= peers {
                    sessions.say(session, ToHub::Fed(Fed { channel: channel(), link: assign.link }));
                }
            }
        }
        sessions.pass(Duration::from_secs(1));
    }
    given
}

#[test]
fn standbys_are_given_a_few_at_a_time_and_not_while_many_have_no_parent_yet() {
    assert_eq!(standbys(400, 100, 8), 0, "others come first");
    let given = standbys(400, 0, 8);
    assert!((40..=160).contains(&given), "{given} in 8 s, 40 at most in 2 s");
    let given = standbys(400, 0, 100);
    assert!(given > 380, "in the end there is one for everybody: {given}");
}

/// A parent passes on heads and no frames. Whether its child leaves it.
fn leaves_one_who_keeps_frames_back(has_session: bool) -> bool {
    let config = HubConfig { resume: Duration::from_secs(60), ..roots(1) };
    let mut net = pair_with(config, relay(4), relay(0));
    longest_lack(&mut net, CHILD, 20);
    let parent = name(&net, PARENT);
    if !has_session {
        net.disconnect(CHILD);
    }
    net.tamper = Some(Box::new(|from, _, bytes| {
        let is_frame = Item::all(bytes.clone()).is_ok_and(|items| matches!(items[..], [Item::Frame(_)]));
        (from != PARENT || !is_frame).then_some(bytes)
    }));
    longest_lack(&mut net, CHILD, 200);
    closed(&net, CHILD, parent, Code::STALE)
}

#[test]
fn one_who_keeps_frames_back_is_better_than_nobody_while_there_is_no_server() {
    assert!(leaves_one_who_keeps_frames_back(true));
    assert!(!leaves_one_who_keeps_frames_back(false));
}

#[test]
fn so_is_one_who_replays() {
    let mut net = pair();
    longest_lack(&mut net, CHILD, 20);
    let parent = name(&net, PARENT);
    net.disconnect(CHILD);
    net.tamper = Some(lies_of(PARENT, Lie::Replay));
    for _ in 0..200 {
        net.publish(bodies(1));
        net.run_for(Duration::from_millis(20));
    }
    assert!(!closed(&net, CHILD, parent, Code::STALE));
}
