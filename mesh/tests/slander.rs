//! Words cost nothing: what one says of another takes little from it, and nothing from the mesh.

use std::{num::NonZeroU32, ops::Range, time::Duration};

use tiercast_codec::{Code, Fed, Feed, Report, Since, ToHub};
use tiercast_mesh::hub::{HubConfig, Network, Place, Tier1};
use tiercast_sim::{CALM, CHILD, FakeSigner, Net, PARENT, channel, pair_with, relay, roots};

const SECOND: Duration = Duration::from_secs(1);

fn calls_parent(net: &mut Net, node: u64, code: Code) {
    if let Some(link) = net.link(node) {
        net.say(node, &ToHub::Report(Report { link, code }));
    }
}

fn join_leaves(net: &mut Net, leaves: Range<u64>) {
    for node in leaves {
        net.whereabouts.insert(node, Network(node.into()).into());
        net.join(node, relay(0), Since::Earliest);
    }
}

fn fed_by_peers(net: &Net, leaves: Range<u64>) -> usize {
    leaves.filter(|node| net.parent(*node).is_some()).count()
}

/// Ten relays of eight places. Three sessions say for four minutes that each parent that they are given is stale. How many of
/// forty leaves find a place then.
fn places_left_by(accusers: Range<u64>) -> usize {
    let mut net = Net::new(3, HubConfig { tier1: Tier1 { min: 2, max: 2 }, ..HubConfig::default() }, CALM);
    for node in 1..=10 {
        net.whereabouts.insert(node, Network(node.into()).into());
        net.join(node, relay(8), Since::Earliest);
    }
    net.run_until("all are placed", |net| (1..=10).all(|node| net.is_settled(node)));
    net.run_for(30 * SECOND);
    join_leaves(&mut net, accusers.clone());
    for _ in 0..960 {
        for node in accusers.clone() {
            let Some(link) = net.link(node) else { continue };
            net.say(node, &ToHub::Fed(Fed { channel: channel(), link }));
            net.say(node, &ToHub::Report(Report { link, code: Code::STALE }));
            let (position, window_bytes) = (net.position, NonZeroU32::MAX);
            let code = Code::UNAVAILABLE;
            net.say(
                node,
                &ToHub::Feed(Feed { channel: channel(), position, window_bytes, link: None, code }),
            );
        }
        net.run_for(SECOND / 4);
    }
    join_leaves(&mut net, 100..140);
    net.run_for(20 * SECOND);
    fed_by_peers(&net, 100..140)
}

#[test]
fn regression_three_who_call_everybody_stale_take_few_places_from_the_mesh() {
    let left = [places_left_by(900..900), places_left_by(900..903)];
    println!("of 40 leaves so many find a place, without and with three who call everybody stale: {left:?}");
    assert_eq!(left, [40, 40]);
}

#[test]
fn regression_a_root_that_is_called_silent_and_answers_stays_a_root() {
    let config = HubConfig { tier1: Tier1 { min: 1, max: 1 }, improve: SECOND / 4, ..HubConfig::default() };
    let mut net = Net::new(2, config, CALM);
    net.join(PARENT, relay(8), Since::Earliest);
    net.run_until("a root", |net| net.is_settled(PARENT));
    (2..=3).for_each(|node| net.join(node, relay(8), Since::Earliest));
    join_leaves(&mut net, 10..14);
    net.run_until("all are fed", |net| fed_by_peers(net, 10..14) == 4);
    net.run_for(90 * SECOND);
    for node in 10..14 {
        assert_eq!(net.parent(node), Some(PARENT));
        calls_parent(&mut net, node, Code::SILENT);
        for _ in 0..20 {
            net.run_for(SECOND / 20);
            assert_eq!(net.place(PARENT).unwrap().place, Place::Root);
        }
    }
    assert!(net.hub.stats().looks > 1);
    assert_eq!(net.hub.stats().found_dead, 0);
}

#[test]
fn one_whose_life_is_in_doubt_gets_no_children_until_it_has_answered() {
    let mut net = pair_with(HubConfig { look: 10 * SECOND, ..roots(1) }, relay(8), relay(0));
    let is_open = |net: &mut Net, newcomer| {
        net.join(newcomer, relay(0), Since::Earliest);
        net.run_for(SECOND);
        net.parent(newcomer) == Some(PARENT)
    };
    assert!(is_open(&mut net, 50));
    calls_parent(&mut net, CHILD, Code::SILENT);
    assert!(!is_open(&mut net, 51));
    net.run_for(10 * SECOND);
    assert_eq!(net.parent(51), Some(PARENT), "it has answered");
}

#[test]
fn regression_a_relay_that_served_for_long_is_left_like_any_other() {
    let mut net = Net::new(5, roots(1), CALM);
    net.join(PARENT, relay(8), Since::Earliest);
    net.run_until("a root", |net| net.is_settled(PARENT));
    for first in (1_000..1_160).step_by(8) {
        join_leaves(&mut net, first..first + 8);
        net.run_for(15 * SECOND);
        assert_eq!(fed_by_peers(&net, first..first + 8), 8);
        (first..first + 8).for_each(|node| net.kill(node));
        net.run_for(7 * SECOND);
    }
    join_leaves(&mut net, 2_000..2_003);
    net.run_for(3 * SECOND);
    for node in 2_000..2_003 {
        calls_parent(&mut net, node, Code::STALE);
        net.kill(node);
    }
    // It is spared for a while.
    net.run_for(60 * SECOND);
    join_leaves(&mut net, 3_000..3_008);
    net.run_for(5 * SECOND);
    assert_eq!(fed_by_peers(&net, 3_000..3_008), 4);
}

#[test]
fn regression_one_of_whom_little_is_believed_is_not_a_stranger_when_it_comes_again() {
    let mut net = Net::new(5, roots(1), CALM);
    net.whereabouts.insert(PARENT, Network(7).into());
    net.join(PARENT, relay(8), Since::Earliest);
    net.run_until("a root", |net| net.is_settled(PARENT));
    join_leaves(&mut net, 10..13);
    net.run_for(3 * SECOND);
    (10..13).for_each(|node| calls_parent(&mut net, node, Code::STALE));
    net.kill(PARENT);
    net.whereabouts.insert(2, Network(7).into());
    net.join(2, relay(8), Since::Earliest);
    net.run_until("a root", |net| net.is_settled(2));
    join_leaves(&mut net, 100..108);
    net.run_for(5 * SECOND);
    assert_eq!(fed_by_peers(&net, 10..13) + fed_by_peers(&net, 100..108), 4);
}

#[test]
fn regression_a_relay_of_many_places_takes_newcomers_after_a_restart_of_the_server() {
    let mut net = Net::new(4, roots(1), CALM);
    net.join(PARENT, relay(64), Since::Earliest);
    net.run_until("a root", |net| net.is_settled(PARENT));
    join_leaves(&mut net, 100..108);
    net.run_for(15 * SECOND);
    join_leaves(&mut net, 108..116);
    net.run_for(15 * SECOND);
    assert_eq!(fed_by_peers(&net, 100..116), 16);
    net.restart(roots(1), Box::new(FakeSigner(9)), true);
    net.run_for(30 * SECOND);
    assert_eq!(fed_by_peers(&net, 100..116), 16, "they are kept");
    join_leaves(&mut net, 200..208);
    net.run_for(10 * SECOND);
    assert_eq!(fed_by_peers(&net, 200..208), 8);
}

#[test]
fn regression_what_is_said_of_a_link_that_has_just_ended_is_heard_however_old_it_is() {
    let mut net = pair_with(HubConfig { accusers_min: 1, ..roots(1) }, relay(64), relay(0));
    let link = net.link(CHILD).expect("a parent");
    // More links end than are remembered.
    for node in 1_000..5_200 {
        net.join(node, relay(0), Since::Earliest);
        net.run_until("a link", |net| net.link(node).is_some());
        net.kill(node);
    }
    net.run_for(10 * SECOND);
    assert_eq!(net.link(CHILD), Some(link));
    assert!(net.hub.channel_stats(&channel()).unwrap().links > 4_100);
    net.say(PARENT, &ToHub::Report(Report { link, code: Code::DEPARTED }));
    net.say(CHILD, &ToHub::Report(Report { link, code: Code::BAD_SIGNATURE }));
    let stats = net.hub.channel_stats(&channel()).unwrap();
    assert_eq!((stats.accusations, stats.suspensions), (1, 1));
}

#[test]
fn regression_however_many_are_called_stale_three_in_four_of_those_with_places_stay_in_service() {
    let mut net = Net::new(5, HubConfig { accusations_max: 100, ..roots(2) }, CALM);
    for node in 1..=20 {
        net.whereabouts.insert(node, Network(node.into()).into());
        net.join(node, relay(4), Since::Earliest);
    }
    net.run_until("all are placed", |net| (1..=20).all(|node| net.is_settled(node)));
    join_leaves(&mut net, 100..140);
    net.run_for(5 * SECOND);
    assert_eq!(fed_by_peers(&net, 100..140), 40);
    for _ in 0..4 {
        (100..140).for_each(|node| calls_parent(&mut net, node, Code::STALE));
        net.run_for(2 * SECOND);
    }
    (100..140).for_each(|node| net.kill(node));
    net.run_for(10 * SECOND);
    join_leaves(&mut net, 200..240);
    net.run_for(5 * SECOND);
    let fed = fed_by_peers(&net, 200..240);
    println!("of 40 leaves {fed} are fed");
    assert!(fed >= 15);
}
