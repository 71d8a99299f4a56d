//! What the server spends on those who are not in tier 1 is bounded: they take turns, and nobody misses anything.

use std::time::Duration;

use tiercast_codec::{Code, Since};
use tiercast_mesh::{
    hub::{Class, HubConfig, Place, Spending},
    peer::PeerConfig,
};
use tiercast_sim::{CALM, Net, channel, noise, relay, roots};

/// Bytes a second.
const BUDGET: u64 = 100_000;

fn hub(tier1: usize) -> HubConfig {
    HubConfig { feed_bytes: BUDGET, ..roots(tier1) }
}

/// Takes no part in the mesh.
fn direct() -> PeerConfig {
    PeerConfig { relay: None, ..relay(0) }
}

/// Publishes so many events of a kilobyte at once.
fn burst(net: &mut Net, count: u64) {
    net.publish((0..count).map(|number| noise(number, 1_000)));
}

fn spending(net: &Net, class: Class) -> Spending {
    net.hub.spending()[class as usize]
}

#[test]
fn beyond_the_budget_cursors_wait_and_nothing_is_lost() {
    let mut net = Net::new(1, hub(1), CALM);
    (1..=10).for_each(|node| net.join(node, direct(), Since::Now));
    net.run_for(Duration::from_secs(1));
    burst(&mut net, 100);
    for second in 1..=9 {
        net.run_for(Duration::from_secs(1));
        let sent = spending(&net, Class::Direct).bytes;
        assert!(sent < BUDGET * second + BUDGET / 2, "{sent} bytes in {second} s");
    }
    let waits = spending(&net, Class::Direct);
    assert!(waits.waiting > 0 && waits.waited > Duration::from_millis(100), "{waits:?}");
    net.run_for(Duration::from_secs(3));
    assert!(net.is_caught_up());
    assert_eq!(spending(&net, Class::Direct).waiting, 0);
}

#[test]
fn tier_1_comes_first_then_those_on_whom_others_hang_then_other_peers_then_the_rest() {
    let mut net = Net::new(1, hub(1), CALM);
    // The second finds no parent, and takes a child meanwhile; those after it find none either.
    for (node, places) in [(1, 1), (11, 0), (2, 1), (21, 0), (31, 0), (32, 0), (33, 0)] {
        net.join(node, relay(places), Since::Now);
        net.run_for(Duration::from_secs(1));
    }
    assert_eq!((net.parent(11), net.parent(2), net.parent(21)), (Some(1), None, Some(2)));
    (41..=43).for_each(|node| net.join(node, direct(), Since::Now));
    net.run_for(Duration::from_secs(1));
    burst(&mut net, 60);
    net.run_for(Duration::from_millis(1_200));
    let events = |node: u64| net.offsets(node).len();
    assert!([1, 11, 2, 21].into_iter().all(|node| events(node) == 60), "they were first");
    assert!((41..=43).all(|node| events(node) == 0), "the budget was for others");
    net.run_for(Duration::from_secs(10));
    assert!(net.is_caught_up());
    let leaf = spending(&net, Class::Leaf);
    assert!(leaf.bytes >= 3 * 60_000 && leaf.waiting == 0, "{leaf:?}");
}

#[test]
fn newcomers_who_take_no_part_are_told_to_come_back_while_others_wait_and_peers_are_not() {
    let mut net = Net::new(1, hub(1), CALM);
    (1..=10).for_each(|node| net.join(node, direct(), Since::Now));
    net.run_for(Duration::from_secs(1));
    burst(&mut net, 200);
    net.run_for(Duration::from_secs(3));
    net.join(11, direct(), Since::Now);
    net.join(12, relay(2), Since::Now);
    net.run_for(Duration::from_millis(500));
    assert_eq!(net.place(11), None, "it was told to come back");
    assert_eq!(net.place(12).map(|node| node.place), Some(Place::Root));
    net.run_for(Duration::from_secs(25));
    assert!(net.place(11).is_some(), "it came back");
    net.publish(vec![b"more".to_vec()]);
    net.run_for(Duration::from_secs(2));
    assert!(net.is_caught_up());
    assert_eq!(net.hub.channel_stats(&channel()).unwrap().gaps, 0);
    assert!(!net.hub.stats().closed.contains_key(&Code::SLOW));
}
