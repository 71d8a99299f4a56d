//! Links between the same two peers share a connection, in whatever channels they are.

use std::{collections::BTreeMap, num::NonZeroU32, time::Duration};

use tiercast_codec::{
    Assign, ChannelName, Code, Fed, LinkId, NodeKind, Position, Relay, Report, SessionId, Since, Subscribe,
    ToHub, ToPeer,
};
use tiercast_mesh::{
    SourceUpdate,
    hub::{HubConfig, Input, Place, Tier1},
};
use tiercast_sim::{
    CALM, CHILD, FIRST_EPOCH, Net, PARENT, ROUGH, bodies, channel, relay, roots, sequence, sessions::Sessions,
};

const SECOND: Duration = Duration::from_secs(1);

/// A hub with more channels, and two who have subscribed to the first of them: a parent and a child.
fn two(config: HubConfig) -> (Sessions, [SessionId; 2]) {
    let day = SECOND * 86_400;
    let mut sessions = Sessions::new(HubConfig { heartbeat: SECOND * 3_600, standby: day, ..config });
    for name in ["second", "third", "fourth"] {
        sessions.hub.add_channel(sessions.now, &named(name)).unwrap();
        let opened = SourceUpdate::Opened(Position::new(FIRST_EPOCH, -1));
        sessions.hub.handle(sessions.now, Input::Source(&named(name), opened)).unwrap();
    }
    let parent = sessions.join(4);
    let child = sessions.join(0);
    (sessions, [parent, child])
}

fn named(name: &str) -> ChannelName {
    name.parse().unwrap()
}

fn subscribe(sessions: &mut Sessions, session: SessionId, name: &str, children_max: u16) {
    let (since, window_bytes, links) = (Since::Now, NonZeroU32::MAX, Vec::new());
    let relay = Some(Relay { node: NodeKind::Native, children_max });
    let subscribe = Subscribe { id: 3, channel: named(name), since, window_bytes, relay, links };
    sessions.say(session, ToHub::Subscribe(subscribe));
}

/// The last link that a session was given a parent by.
fn assigned(sessions: &mut Sessions, session: SessionId) -> Option<Assign> {
    let assign = |message| match message {
        ToPeer::Assign(assign) => Some(assign),
        _ => None,
    };
    sessions.read(session).into_iter().filter_map(assign).next_back()
}

/// Both subscribe to another channel; the link that comes of it.
fn next_link(sessions: &mut Sessions, [parent, child]: [SessionId; 2], name: &str) -> Assign {
    subscribe(sessions, parent, name, 4);
    subscribe(sessions, child, name, 0);
    assigned(sessions, child).expect("a parent")
}

fn fed(sessions: &mut Sessions, session: SessionId, channel: ChannelName, link: LinkId) {
    sessions.say(session, ToHub::Fed(Fed { channel, link }));
}

fn failed(sessions: &mut Sessions, session: SessionId, link: LinkId) {
    sessions.say(session, ToHub::Report(Report { link, code: Code::LINK_FAILED }));
}

#[test]
fn both_ends_are_told_of_the_link_whose_connection_they_are_to_share() {
    let (mut sessions, [parent, child]) = two(roots(1));
    let first = assigned(&mut sessions, child).expect("a parent");
    assert_eq!(first.via, None);
    sessions.read(parent);
    let second = next_link(&mut sessions, [parent, child], "second");
    assert_eq!((second.via, second.offers), (Some(first.link), true), "though it is still being set up");
    let expects = sessions.read(parent).into_iter().filter_map(|message| match message {
        ToPeer::Expect(expect) => Some((expect.link, expect.via)),
        _ => None,
    });
    assert_eq!(expects.collect::<Vec<_>>(), [(second.link, Some(first.link))]);
    fed(&mut sessions, child, named("second"), second.link);
    let third = next_link(&mut sessions, [parent, child], "third");
    assert_eq!(third.via, Some(second.link), "rather one that is up");
    assert_eq!(sessions.hub.channel_stats(&named("third")).unwrap().links_shared, 1);
}

#[test]
fn a_link_that_has_ended_is_shared_by_nobody() {
    let (mut sessions, ends) = two(roots(1));
    let first = assigned(&mut sessions, ends[1]).expect("a parent");
    failed(&mut sessions, ends[1], first.link);
    assert_eq!(next_link(&mut sessions, ends, "second").via, None);
}

#[test]
fn if_a_connection_that_was_up_cannot_be_shared_the_next_link_has_its_own_and_nobody_is_blamed() {
    // Whoever is to blame for one link stays with the server, or gets no children.
    let (mut sessions, ends) = two(HubConfig { link_tries: 1, ..roots(1) });
    let [_, child] = ends;
    let first = assigned(&mut sessions, child).expect("a parent");
    fed(&mut sessions, child, channel(), first.link);
    let second = next_link(&mut sessions, ends, "second");
    assert_eq!(second.via, Some(first.link));
    failed(&mut sessions, child, second.link);
    let again = assigned(&mut sessions, child).expect("the same parent, at once");
    assert_eq!((again.parent, again.via), (second.parent, None));
    assert_eq!(next_link(&mut sessions, ends, "third").via, Some(again.link), "and not the first one");
    fed(&mut sessions, child, named("second"), again.link);
    assert_eq!(next_link(&mut sessions, ends, "fourth").via, Some(again.link));
    assert_eq!(sessions.place(child), Place::Child(first.link), "which goes on");
}

#[test]
fn a_link_that_does_not_come_up_in_time_is_one_that_cannot_be_shared() {
    let config = roots(1);
    let (mut sessions, ends) = two(HubConfig { link_tries: 1, ..config.clone() });
    let first = assigned(&mut sessions, ends[1]).expect("a parent");
    fed(&mut sessions, ends[1], channel(), first.link);
    next_link(&mut sessions, ends, "second");
    sessions.pass(config.link_setup);
    assert_eq!(assigned(&mut sessions, ends[1]).expect("the same parent").via, None);
}

#[test]
fn if_a_connection_does_not_come_up_all_links_that_wait_for_it_are_failures() {
    let (mut sessions, ends) = two(HubConfig { link_tries: 1, ..roots(1) });
    let second = next_link(&mut sessions, ends, "second");
    failed(&mut sessions, ends[1], second.link);
    assert_eq!(assigned(&mut sessions, ends[1]), None, "the parent cannot be reached");
}

#[test]
fn five_channels_between_two_peers_are_one_connection_and_lose_nothing() {
    let mut net = Net::new(1, roots(1), CALM);
    let more = ["b", "c", "d", "e"].map(|name| net.add_channel(name));
    for (node, config) in [(PARENT, relay(4)), (CHILD, relay(0))] {
        net.join(node, config, Since::Earliest);
        more.iter().for_each(|channel| net.subscribe_to(node, channel));
        net.run_until("it has a place", |net| net.is_settled(node));
    }
    net.run_for(SECOND);
    assert_eq!((net.links_of(CHILD).len(), net.connections()), (5, 1));
    let signals = |name| net.hub.channel_stats(name).unwrap().signals;
    let all = more.iter().map(signals).sum::<u64>() + signals(&channel());
    assert_eq!(all, 2, "an offer and an answer");
    more.iter().for_each(|channel| net.publish_in(channel, bodies(20)));
    net.peer(CHILD, tiercast_mesh::peer::Input::Unsubscribe(more[0].clone()));
    net.peer(CHILD, tiercast_mesh::peer::Input::Unsubscribe(channel()));
    net.run_for(SECOND);
    assert_eq!((net.links_of(CHILD).len(), net.connections()), (3, 1), "the others go on");
    net.break_links(PARENT);
    more.iter().for_each(|channel| net.publish_in(channel, bodies(20)));
    net.run_for(SECOND * 90);
    for channel in &more[1..] {
        assert_eq!(net.offsets_in(CHILD, channel), sequence(40), "{channel}");
    }
    assert_eq!((net.links_of(CHILD).len(), net.connections()), (3, 1), "made anew, and shared anew");
}

#[test]
fn links_that_outlive_the_session_of_an_end_are_shared_when_it_is_back() {
    let mut net = Net::new(1, roots(1), CALM);
    let more = ["b", "c"].map(|name| net.add_channel(name));
    for (node, config) in [(PARENT, relay(4)), (CHILD, relay(0))] {
        net.join(node, config, Since::Earliest);
        net.run_until("it has a place", |net| net.is_settled(node));
    }
    net.disconnect(PARENT);
    net.run_for(SECOND);
    net.subscribe_to(CHILD, &more[0]);
    net.run_for(SECOND);
    assert_eq!(net.links_of(CHILD).len(), 1, "nobody is brought together with one that is away");
    net.connect(PARENT);
    net.run_for(SECOND);
    for channel in &more {
        net.subscribe_to(PARENT, channel);
    }
    net.subscribe_to(CHILD, &more[1]);
    net.run_for(SECOND);
    assert_eq!(net.connections(), 1);
    assert!(net.links_of(CHILD).len() > 1);
}

#[test]
fn peers_with_several_channels_lose_nothing_on_a_rough_network_however_they_share() {
    let (mut links, mut shared) = (0, 0);
    for seed in 0..40 {
        let (begun, were_shared) = storm(seed);
        links += begun;
        shared += were_shared;
    }
    println!("{shared} of {links} links shared a connection");
    assert!(shared * 10 > links, "{shared} of {links} show little");
}

/// Twelve peers that come, go, blink and break in four channels. How many links there were, and were to share.
fn storm(seed: u64) -> (u64, u64) {
    let hub = HubConfig { tier1: Tier1 { min: 2, max: 2 }, ..HubConfig::default() };
    let mut net = Net::new(seed, hub, ROUGH);
    let more = ["b", "c", "d"].map(|name| net.add_channel(name));
    let mut published = BTreeMap::new();
    for round in 0..150 {
        let node = 1 + net.below(12);
        let is_there = net.nodes.contains_key(&node);
        match net.below(12) {
            0..=4 if !is_there => {
                let places = net.below(4) as u16;
                net.join(node, relay(places), Since::Earliest);
                more.iter().for_each(|channel| net.subscribe_to(node, channel));
            }
            0 if round < 100 && is_there => {
                if net.below(2) == 0 {
                    net.kill(node)
                } else {
                    net.crash(node)
                }
            }
            1 if is_there => net.break_links(node),
            2 if is_there => {
                net.disconnect(node);
                net.connect(node);
            }
            3 if is_there => {
                if let Some(link) = net.links_of(node).first() {
                    net.close_ends(*link, 0);
                }
            }
            _ => {
                let channel = more[net.below(3) as usize].clone();
                net.publish([b"body".to_vec()]);
                net.publish_in(&channel, [b"body".to_vec()]);
                *published.entry(channel).or_insert(0) += 1;
            }
        }
        net.check_tree();
        let pause = Duration::from_millis(net.below(600));
        net.run_for(pause);
    }
    net.run_for(SECOND * 90);
    for node in net.nodes.keys().copied().collect::<Vec<_>>() {
        assert_eq!(net.offsets(node).len() as i64, net.position.offset + 1, "seed {seed}, node {node}");
        for (channel, count) in &published {
            assert_eq!(
                net.offsets_in(node, channel),
                sequence(*count),
                "seed {seed}, node {node}, {channel}"
            );
        }
    }
    let stats =
        more.iter().chain([&channel()]).map(|name| net.hub.channel_stats(name).unwrap()).collect::<Vec<_>>();
    (stats.iter().map(|stats| stats.links).sum(), stats.iter().map(|stats| stats.links_shared).sum())
}
