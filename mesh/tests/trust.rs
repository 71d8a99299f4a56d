//! Peers that are not to be relied on: relays that change what they pass on, children that lie about their parents,
//! links that never last.

use std::{num::NonZeroU32, time::Duration};

use tiercast_codec::{Code, Feed, LinkId, Ping, Report, SessionId, Signal, Since, ToHub, WireMessage};
use tiercast_mesh::{
    hub::{self, ChannelStats, HubConfig, Network, Place},
    peer::{self, Status},
};
use tiercast_sim::{
    CALM, CHILD, Net, PARENT, bodies, channel,
    liar::{Lie, lies_of},
    pair, pair_with, relay, roots, sequence,
};

const THIRD: u64 = 3;

fn stats(net: &Net) -> ChannelStats {
    net.hub.channel_stats(&channel()).unwrap()
}

fn place(net: &Net, node: u64) -> Place {
    net.place(node).unwrap().place
}

/// Changes a bit in everything that goes from one node to another.
fn spoil(net: &mut Net, concerns: impl Fn(u64, u64) -> bool + 'static) {
    net.tamper = Some(Box::new(move |from, to, bytes| {
        let mut bytes = bytes.to_vec();
        if concerns(from, to) {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        }
        Some(bytes.into())
    }));
}

#[test]
fn a_peer_that_was_accused_leaves_its_tier_1_place_to_another_and_may_relay_again_after_its_suspension() {
    let config = HubConfig { suspension: Duration::from_secs(300), accusers_min: 1, ..roots(1) };
    let mut net = pair_with(config, relay(1), relay(4));
    net.join(THIRD, relay(0), Since::Earliest);
    net.run_until("a chain of three", |net| net.parent(THIRD) == Some(CHILD));
    spoil(&mut net, |from, to| (from, to) == (PARENT, CHILD));
    net.publish(bodies(10));
    net.run_until("caught up", Net::is_caught_up);
    net.run_until("the child took over", |net| place(net, CHILD) == Place::Root);
    net.tamper = None;
    net.run_until("as a leaf it may stay", |net| net.parent(PARENT) == Some(CHILD));
    assert_eq!((stats(&net).accusations, stats(&net).suspensions), (1, 1));

    // Now the one who took over goes, and for as long as the suspension lasts nobody else can relay.
    net.kill(CHILD);
    net.publish(bodies(10));
    net.run_for(Duration::from_secs(120));
    assert!(net.is_caught_up(), "the server feeds both");
    assert_ne!(place(&net, PARENT), Place::Root);
    assert_eq!(net.parent(THIRD), None);
    net.run_until("it is a root again", |net| place(net, PARENT) == Place::Root);
    net.run_until("with a child", |net| net.parent(THIRD) == Some(PARENT));
    net.publish(bodies(10));
    net.run_until("caught up", Net::is_caught_up);
    for node in [PARENT, THIRD] {
        assert_eq!(net.offsets(node), sequence(30));
    }
}

#[test]
fn one_who_accuses_everybody_is_soon_believed_no_more_and_stays_with_the_server() {
    const LIAR: u64 = 99;
    let config = HubConfig { parent_refused: Duration::ZERO, accusers_min: 1, ..roots(1) };
    let mut net = Net::new(7, config, CALM);
    for node in 1..=20 {
        net.join(node, relay(4), Since::Earliest);
    }
    net.run_until("all are placed", |net| (1..=20).all(|node| net.is_settled(node)));
    net.join(LIAR, relay(0), Since::Earliest);
    // Whatever it is sent arrives changed: to the hub that looks like lies about one honest parent after the other.
    spoil(&mut net, |_, to| to == LIAR);
    for body in bodies(600) {
        net.publish([body]);
        net.run_for(Duration::from_secs(1));
    }
    net.run_until("caught up", Net::is_caught_up);
    assert_eq!(net.offsets(LIAR), sequence(600), "the server fed it");
    assert_eq!(net.parent(LIAR), None);
    let ChannelStats { accusations, suspensions, .. } = stats(&net);
    assert_eq!(suspensions, 3, "of {accusations} accusations");
    // Three tries, then one after 30 s, 60 s, 120 s, 240 s.
    assert!((5..=8).contains(&accusations), "{accusations} accusations in 10 minutes");
    let in_service = (1..=20).filter(|node| net.parent(*node).is_some() || place(&net, *node) == Place::Root);
    assert_eq!(in_service.count(), 20, "no honest peer lost its place for good");
}

#[test]
fn a_child_whose_links_soon_break_is_left_with_the_server_for_longer_and_longer() {
    let config = HubConfig { parent_refused: Duration::ZERO, ..roots(1) };
    let mut net = pair_with(config, relay(4), relay(0));
    let before = stats(&net).links;
    for second in 0..600 {
        if let Some(link) = net.link(CHILD) {
            net.close_ends(link, 0);
        }
        net.publish([format!("body {second}").into_bytes()]);
        net.run_for(Duration::from_secs(1));
    }
    net.run_until("caught up", Net::is_caught_up);
    assert_eq!(net.offsets(CHILD), sequence(600));
    let tried = stats(&net).links - before;
    assert!((5..=8).contains(&tried), "{tried} links in 10 minutes");
    net.run_until("it is tried again", |net| net.parent(CHILD) == Some(PARENT));
    net.run_for(Duration::from_secs(20));
    let link = net.link(CHILD).expect("its link holds now");
    net.close_ends(link, 0);
    let broken = net.now;
    net.run_until("another link", |net| net.link(CHILD).is_some_and(|other| other != link));
    assert!(net.now.since(broken) < Duration::from_secs(5), "a link that lasted makes up for the others");
}

#[test]
fn nobody_gets_more_children_than_the_hub_allows_whatever_it_offers() {
    let mut net = Net::new(8, HubConfig { children_max: 3, ..roots(1) }, CALM);
    net.join(PARENT, relay(60_000), Since::Earliest);
    net.run_until("the parent is placed", |net| net.is_settled(PARENT));
    for node in 2..=8 {
        net.join(node, relay(0), Since::Earliest);
    }
    net.run_for(Duration::from_secs(30));
    assert_eq!(net.place(PARENT).unwrap().children, 3);
}

#[test]
fn a_stranger_to_a_link_can_neither_signal_nor_report_on_it() {
    let mut net = pair();
    net.join(THIRD, relay(0), Since::Earliest);
    net.run_until("the third is placed", |net| net.is_settled(THIRD));
    let link = net.link(CHILD).expect("the child has a parent");
    let session = SessionId(net.nodes[&THIRD].session.unwrap());
    let before = stats(&net);
    let signal = Signal::Offer { sdp: "let me in".into() };
    let lies = [
        ToHub::Signal(tiercast_codec::SignalMessage { link, signal }),
        ToHub::Report(Report { link, code: Code::BAD_SIGNATURE }),
        ToHub::Report(Report { link: LinkId(link.0 + 1_000), code: Code::MALFORMED }),
    ];
    for lie in lies {
        net.hub.handle(net.now, hub::Input::SessionData(session, lie.encode())).unwrap();
    }
    net.run_for(Duration::from_secs(1));
    assert_eq!(net.parent(CHILD), Some(PARENT));
    assert_eq!(stats(&net).signals, before.signals);
    assert_eq!(stats(&net).suspensions, 0);
}

#[test]
fn regression_a_message_of_an_unknown_type_closes_nobody_whatever_its_id_is() {
    let mut net = pair();
    let session = SessionId(net.nodes[&CHILD].session.unwrap());
    // A map of `type`, "dance", and `id`: text, negative, 2^64 - 1, a list, 9.
    let ids =
        [&b"\xa4nine"[..], b"\xff", &[0xcf, 255, 255, 255, 255, 255, 255, 255, 255], b"\x91\x09", b"\x09"];
    for id in ids {
        let message = [b"\x82\xa4type\xa5dance\xa2id", id].concat();
        net.hub.handle(net.now, hub::Input::SessionData(session, message.into())).unwrap();
        net.run_for(Duration::from_secs(1));
    }
    assert_eq!(net.hub.sessions(), 2);
    assert_eq!(net.hub.stats().malformed, 0);
    let is_refusal = |status: &&Status| {
        matches!(status, Status::Refused { channel: None, code: Code::UNKNOWN_MESSAGE, .. })
    };
    assert_eq!(net.nodes[&CHILD].statuses.iter().filter(is_refusal).count(), 5, "each is answered");
}

#[test]
fn regression_what_a_child_says_when_it_closes_a_link_is_not_held_against_the_parent_or_the_child() {
    for code in [Code::LAGGING, Code::MALFORMED, Code::BAD_SIGNATURE] {
        let mut net = pair();
        let link = net.link(CHILD).expect("the child has a parent");
        // It comes before what the child tells the hub itself.
        net.peer(PARENT, peer::Input::LinkData(link, peer::bye(code)));
        net.run_until("another link", |net| net.link(CHILD).is_some_and(|other| other != link));
        assert_eq!(net.parent(CHILD), Some(PARENT), "{code}");
        assert_eq!((stats(&net).accusations, stats(&net).suspensions), (0, 0), "{code}");
    }
}

#[test]
fn regression_a_relay_does_not_escape_by_reporting_the_link_first() {
    let mut net = pair_with(HubConfig { accusers_min: 1, ..roots(1) }, relay(4), relay(0));
    let link = net.link(CHILD).expect("the child has a parent");
    let position = net.nodes[&CHILD].peer.position(&channel()).unwrap();
    net.say(PARENT, &ToHub::Report(Report { link, code: Code::DEPARTED }));
    let (link, code) = (Some(link), Code::BAD_SIGNATURE);
    let feed = Feed { channel: channel(), position, window_bytes: NonZeroU32::MAX, link, code };
    net.say(CHILD, &ToHub::Feed(feed.clone()));
    assert_eq!(stats(&net).suspensions, 1);
    assert_ne!(place(&net, PARENT), Place::Root);
    net.say(CHILD, &ToHub::Feed(feed));
    assert_eq!(stats(&net).suspensions, 1, "it is heard once");
}

#[test]
fn regression_only_a_child_accuses_and_only_its_own_parent() {
    let mut net = pair_with(HubConfig { accusers_min: 1, ..roots(1) }, relay(4), relay(0));
    net.join(THIRD, relay(0), Since::Earliest);
    net.run_until("the third is placed", |net| net.is_settled(THIRD));
    let link = net.link(CHILD).expect("the child has a parent");
    let (position, window_bytes) = (net.position, NonZeroU32::MAX);
    let feed = |link, code| Feed { channel: channel(), position, window_bytes, link, code };
    let [foreign, without_link] = [feed(Some(link), Code::MALFORMED), feed(None, Code::BAD_SIGNATURE)];
    let own = feed(Some(link), Code::BAD_SIGNATURE);
    for code in [Code::MALFORMED, Code::BAD_SIGNATURE] {
        net.say(THIRD, &ToHub::Report(Report { link, code }));
        net.say(THIRD, &ToHub::Report(Report { link: LinkId(link.0 + 1_000), code }));
    }
    net.say(THIRD, &ToHub::Feed(foreign));
    net.say(THIRD, &ToHub::Feed(without_link));
    assert_eq!(stats(&net).accusations, 0, "of strangers");
    net.say(PARENT, &ToHub::Report(Report { link, code: Code::MALFORMED }));
    assert_eq!((stats(&net).accusations, stats(&net).suspensions), (0, 0), "of the parent");
    for _ in 0..3 {
        net.say(CHILD, &ToHub::Feed(own.clone()));
    }
    assert_eq!((stats(&net).accusations, stats(&net).suspensions), (1, 1), "of the child");
}

#[test]
fn a_parent_that_nobody_can_reach_leaves_tier_1_to_others_for_a_while() {
    let mut net = Net::new(9, roots(1), CALM);
    for other in 2..=8 {
        net.blocked.insert((PARENT, other));
    }
    net.join(PARENT, relay(8), Since::Earliest);
    net.run_until("the parent is placed", |net| net.is_settled(PARENT));
    for node in 2..=8 {
        net.join(node, relay(8), Since::Earliest);
    }
    let is_root = |net: &Net, node| net.place(node).is_some_and(|entry| entry.place == Place::Root);
    net.run_until("another root", |net| (2..=8).any(|node| is_root(net, node)));
    net.run_until("children", |net| (2..=8).filter(|node| net.parent(*node).is_some()).count() == 6);
    net.publish(bodies(10));
    net.run_until("caught up", Net::is_caught_up);
    assert!((1..=8).all(|node| net.offsets(node) == sequence(10)));
    assert_eq!(stats(&net).suspensions, 0, "nobody is accused of anything");
}

/// Whether a root stays one that replaces messages by earlier ones, and so loses its three children, who come from these
/// networks.
fn stays_when_left_from(networks: [u128; 3]) -> bool {
    let mut net = Net::new(1, roots(1), CALM);
    net.join(PARENT, relay(3), Since::Earliest);
    net.run_until("a root", |net| net.is_settled(PARENT));
    for (child, network) in (10..).zip(networks) {
        net.whereabouts.insert(child, Network(network).into());
        net.join(child, relay(3), Since::Earliest);
        net.run_until("a child", |net| net.parent(child) == Some(PARENT));
    }
    net.tamper = Some(lies_of(PARENT, Lie::Replay));
    for body in bodies(500) {
        net.publish([body]);
        net.run_for(Duration::from_millis(20));
    }
    assert!((10..13).all(|child| net.parent(child) != Some(PARENT) && net.offsets(child) == sequence(500)));
    place(&net, PARENT) == Place::Root
}

#[test]
fn a_parent_that_three_children_have_left_because_it_brings_too_little_is_spared_if_they_cannot_be_one_and_the_same()
 {
    assert!(!stays_when_left_from([1, 2, 3]));
    assert!(stays_when_left_from([1, 2, 2]));
}

#[test]
fn regression_a_link_that_lasted_makes_up_for_earlier_failures_also_when_its_parent_leaves() {
    let config = HubConfig { parent_refused: Duration::ZERO, ..roots(1) };
    let mut net = pair_with(config, relay(4), relay(0));
    net.join(THIRD, relay(4), Since::Earliest);
    for _ in 0..3 {
        net.run_until("a link", |net| net.link(CHILD).is_some());
        let link = net.link(CHILD).unwrap();
        net.close_ends(link, 0);
        net.run_until("it broke", |net| net.link(CHILD) != Some(link));
    }
    net.run_until("a link", |net| net.link(CHILD).is_some());
    net.run_for(Duration::from_secs(60));
    let parent = net.parent(CHILD).expect("its link holds now");
    net.kill(parent);
    let killed = net.now;
    net.run_until("another parent", |net| net.parent(CHILD).is_some_and(|other| other != parent));
    assert!(net.now.since(killed) < Duration::from_secs(10), "{:?}", net.now.since(killed));
}

#[test]
fn regression_asking_for_frames_does_not_end_the_link_that_is_being_set_up() {
    let mut net = Net::new(10, roots(1), CALM);
    net.join(PARENT, relay(4), Since::Earliest);
    net.run_until("the parent is placed", |net| net.is_settled(PARENT));
    net.join(CHILD, relay(0), Since::Earliest);
    net.run_until("a link under way", |net| {
        net.place(CHILD).is_some_and(|entry| matches!(entry.place, Place::Linking(_)))
    });
    let before = place(&net, CHILD);
    let (position, code) = (net.position, Code::UNAVAILABLE);
    let feed = Feed { channel: channel(), position, window_bytes: NonZeroU32::MAX, link: None, code };
    net.say(CHILD, &ToHub::Feed(feed));
    assert_eq!(place(&net, CHILD), before);
}

#[test]
fn a_session_that_does_not_read_its_control_messages_is_closed_and_the_others_notice_nothing() {
    let mut net = pair_with(HubConfig { outbox_bytes: 4_096, ..roots(1) }, relay(4), relay(0));
    let deaf = SessionId(1_000);
    let say = |net: &mut Net, message: ToHub| {
        net.hub.handle(net.now, hub::Input::SessionData(deaf, message.encode())).unwrap();
    };
    net.hub
        .handle(net.now, hub::Input::SessionOpened(deaf, hub::Whereabouts::default(), hub::Rights::default()))
        .unwrap();
    say(
        &mut net,
        ToHub::Hello(tiercast_codec::Hello { id: 1, protocol: 1, client: "deaf".into(), resume: None }),
    );
    for _ in 0..100 {
        say(&mut net, ToHub::Ping(Ping { time_us: 0 }));
    }
    assert_eq!(net.hub.stats().closed.get(&Code::SLOW), Some(&1));
    assert_eq!(net.hub.sessions(), 2);
    net.publish(bodies(10));
    net.run_until("caught up", Net::is_caught_up);
    assert_eq!(net.offsets(CHILD), sequence(10));
}

#[test]
fn regression_where_nobody_can_reach_anybody_tier_1_stays() {
    let mut net = Net::new(1, roots(4), CALM);
    net.blocked.extend((1..=40).map(|node| (node, node)));
    for node in 1..=40 {
        net.join(node, relay(4), Since::Earliest);
    }
    let has_roots =
        |net: &Net| net.hub.peers_by_tier(&channel()).is_some_and(|tiers| tiers.get(&1) == Some(&4));
    for minute in 1..=30 {
        net.run_for(Duration::from_secs(60));
        assert!(has_roots(&net), "after {minute} minutes");
    }
    // What kept them apart is over.
    net.blocked.clear();
    net.run_for(Duration::from_secs(20 * 60));
    let fed_by_peers = (1..=40).filter(|node| net.parent(*node).is_some()).count();
    assert_eq!(fed_by_peers, 36);
}

/// Children of one relay, which all accuse it; from so many networks.
fn accused_from(networks: &[Option<u128>]) -> ChannelStats {
    let mut net = Net::new(3, roots(1), CALM);
    net.join(PARENT, relay(networks.len() as u16), Since::Earliest);
    net.run_until("a root", |net| net.is_settled(PARENT));
    for (child, network) in (10..).zip(networks) {
        net.whereabouts.extend(network.map(|network| (child, hub::Network(network).into())));
        net.join(child, relay(0), Since::Earliest);
        net.run_until("a child", |net| net.parent(child) == Some(PARENT));
    }
    net.run_for(Duration::from_secs(1));
    for child in (10..).take(networks.len()) {
        if let Some(link) = net.link(child) {
            net.say(child, &ToHub::Report(Report { link, code: Code::BAD_SIGNATURE }));
        }
    }
    stats(&net)
}

#[test]
fn regression_one_who_has_many_sessions_suspends_nobody() {
    for networks in [vec![Some(1); 40], vec![None], vec![Some(1)]] {
        let stats = accused_from(&networks);
        assert_eq!((stats.accusations, stats.suspensions), (networks.len() as u64, 0), "{networks:?}");
    }
}

#[test]
fn two_who_come_from_different_networks_or_whose_addresses_tell_nothing_are_two() {
    for networks in [vec![Some(1), Some(2)], vec![None, None], vec![Some(1), None]] {
        assert_eq!(accused_from(&networks).suspensions, 1, "{networks:?}");
    }
}

#[test]
fn one_who_was_suspended_is_so_as_well_when_it_comes_again_as_somebody_else() {
    let mut net = Net::new(4, HubConfig { accusers_min: 1, ..roots(1) }, CALM);
    for (node, network) in [(PARENT, 7), (CHILD, 1), (200, 7), (201, 8)] {
        net.whereabouts.insert(node, hub::Network(network).into());
    }
    net.join(PARENT, relay(4), Since::Earliest);
    net.run_until("a root", |net| net.is_settled(PARENT));
    net.join(CHILD, relay(0), Since::Earliest);
    net.run_until("a child", |net| net.parent(CHILD) == Some(PARENT));
    let link = net.link(CHILD).unwrap();
    net.say(CHILD, &ToHub::Report(Report { link, code: Code::BAD_SIGNATURE }));
    net.kill(PARENT);
    net.run_for(Duration::from_secs(1));
    net.join(200, relay(4), Since::Earliest);
    net.run_for(Duration::from_secs(5));
    assert_ne!(place(&net, 200), Place::Root, "it comes from there");
    net.join(201, relay(4), Since::Earliest);
    net.run_until("another is", |net| net.is_settled(201));
    net.run_for(Duration::from_secs(600));
    net.kill(201);
    net.run_until("it is over", |net| place(net, 200) == Place::Root);
}

#[test]
fn however_many_are_accused_three_in_four_relays_stay_in_service() {
    let mut net = Net::new(5, HubConfig { accusers_min: 1, accusations_max: 100, ..roots(4) }, CALM);
    (1..=20).for_each(|node| net.join(node, relay(4), Since::Earliest));
    net.run_until("all are placed", |net| (1..=20).all(|node| net.is_settled(node)));
    for node in 1..=20 {
        if let Some(link) = net.link(node) {
            net.say(node, &ToHub::Report(Report { link, code: Code::BAD_SIGNATURE }));
        }
    }
    let ChannelStats { accusations, suspensions, .. } = stats(&net);
    assert!(accusations >= 10 && (1..=5).contains(&suspensions), "{suspensions} of {accusations}");
}

/// A child accuses its parent of what cannot be right.
fn accuse_parent_of(net: &mut Net, child: u64) {
    let link = net.link(child).expect("it has a parent");
    net.say(child, &ToHub::Report(Report { link, code: Code::BAD_SIGNATURE }));
}

#[test]
fn regression_who_was_accused_once_is_not_forgotten_when_it_comes_again() {
    let mut net = Net::new(4, roots(1), CALM);
    for (node, network) in [(PARENT, 7), (CHILD, 1), (200, 7), (THIRD, 2)] {
        net.whereabouts.insert(node, hub::Network(network).into());
    }
    for (liar, child) in [(PARENT, CHILD), (200, THIRD)] {
        net.join(liar, relay(1), Since::Earliest);
        net.run_until("a root", |net| net.is_settled(liar));
        net.join(child, relay(0), Since::Earliest);
        net.run_until("a child", |net| net.parent(child) == Some(liar));
        accuse_parent_of(&mut net, child);
        net.kill(liar);
        net.kill(child);
        net.run_for(Duration::from_secs(10));
    }
    assert_eq!((stats(&net).accusations, stats(&net).suspensions), (2, 1));
}

#[test]
fn regression_newcomers_from_a_suspended_network_protect_no_other_liar() {
    let mut net = Net::new(4, HubConfig { accusers_min: 1, ..roots(2) }, CALM);
    net.whereabouts.insert(1, hub::Network(7).into());
    (1..=2).for_each(|root| net.join(root, relay(4), Since::Earliest));
    net.run_until("roots", |net| (1..=2).all(|root| net.is_settled(root)));
    (3..=10).for_each(|node| net.join(node, relay(1), Since::Earliest));
    net.run_until("all are placed", |net| (3..=10).all(|node| net.is_settled(node)));
    let children = |net: &Net, root| (3..=10).find(|node| net.parent(*node) == Some(root)).expect("a child");
    let first = children(&net, 1);
    accuse_parent_of(&mut net, first);
    assert_eq!(stats(&net).suspensions, 1);
    // Many come from where it does.
    (50..=70).for_each(|node| _ = net.whereabouts.insert(node, hub::Network(7).into()));
    (50..=70).for_each(|node| net.join(node, relay(1), Since::Earliest));
    net.run_for(Duration::from_secs(5));
    let second = children(&net, 2);
    accuse_parent_of(&mut net, second);
    assert_eq!(stats(&net).suspensions, 2);
}
