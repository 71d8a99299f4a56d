//! Signals between the ends of a link: what is forwarded, what ends the link, and whom that concerns.

use tiercast_codec::{Code, Fed, LinkId, Lost, SessionId, Signal, SignalMessage, ToHub, ToPeer};
use tiercast_mesh::hub::{ChannelStats, HubConfig, Place};
use tiercast_sim::{channel, roots, sessions::Sessions};

/// A parent, a child, and the link between them, which is being set up.
fn pair(config: HubConfig) -> (Sessions, SessionId, SessionId, LinkId) {
    let mut sessions = Sessions::new(config);
    let (parent, child) = (sessions.join(64), sessions.join(0));
    sessions.read(parent);
    let link = assigned(&mut sessions, child).expect("the child is given a parent");
    (sessions, parent, child, link)
}

/// The link to the parent that a session is given.
fn assigned(sessions: &mut Sessions, session: SessionId) -> Option<LinkId> {
    let link = |message| match message {
        ToPeer::Assign(assign) => Some(assign.link),
        _ => None,
    };
    sessions.read(session).into_iter().filter_map(link).next_back()
}

fn signal(sessions: &mut Sessions, from: SessionId, link: LinkId, signals: impl IntoIterator<Item = Signal>) {
    for signal in signals {
        sessions.say(from, ToHub::Signal(SignalMessage { link, signal }));
    }
}

/// A candidate of so many bytes, its section included.
fn candidate(bytes: usize) -> Signal {
    Signal::Candidate { candidate: "c".repeat(bytes - 1), mid: "0".into() }
}

fn description(bytes: usize) -> Signal {
    Signal::Offer { sdp: "v".repeat(bytes) }
}

fn stats(sessions: &Sessions) -> ChannelStats {
    sessions.hub.channel_stats(&channel()).unwrap()
}

fn is_told(messages: &[ToPeer], link: LinkId) -> bool {
    messages.contains(&ToPeer::Lost(Lost { link, code: Code::SIGNAL_LIMIT }))
}

fn count_signals(messages: &[ToPeer]) -> usize {
    messages.iter().filter(|message| matches!(message, ToPeer::Signal(_))).count()
}

#[test]
fn regression_nobody_is_thrown_off_the_server_by_the_signals_of_a_neighbour() {
    for is_parent in [true, false] {
        let (mut sessions, parent, child, link) = pair(roots(1));
        let attacker = if is_parent { parent } else { child };
        // Nobody reads meanwhile.
        signal(&mut sessions, attacker, link, (0..5).map(|_| candidate(60_000)));
        assert!(sessions.closed.is_empty(), "{:?}", sessions.closed);
        for session in [parent, child] {
            let messages = sessions.read(session);
            assert!(is_told(&messages, link) && count_signals(&messages) == 0, "{messages:?}");
        }
        let ChannelStats { accusations, suspensions, signals, signals_dropped, .. } = stats(&sessions);
        assert_eq!((accusations, suspensions), (0, 0), "nobody is accused of anything");
        assert_eq!((signals, signals_dropped), (0, 1), "what comes after the end of a link is not looked at");
    }
}

#[test]
fn one_description_and_so_many_candidates_of_that_size_pass_and_one_more_ends_the_link() {
    let HubConfig { signal_candidate_bytes, signal_candidates_max, signal_description_bytes, .. } =
        HubConfig::default();
    let most = signal_candidates_max as usize;
    let cases = [
        (vec![candidate(signal_candidate_bytes)], vec![candidate(signal_candidate_bytes + 1)]),
        (vec![candidate(signal_candidate_bytes); most], vec![candidate(100)]),
        (vec![description(signal_description_bytes)], vec![description(100)]),
        (vec![candidate(100); most], vec![description(signal_description_bytes + 1)]),
    ];
    for (passed, refused) in cases {
        for is_parent in [true, false] {
            let (mut sessions, parent, child, link) = pair(roots(1));
            let (from, to) = if is_parent { (parent, child) } else { (child, parent) };
            signal(&mut sessions, from, link, passed.clone());
            let messages = sessions.read(to);
            assert!(count_signals(&messages) == passed.len() && !is_told(&messages, link), "{messages:?}");
            signal(&mut sessions, from, link, refused.clone());
            assert!(is_told(&sessions.read(from), link) && is_told(&sessions.read(to), link), "{refused:?}");
        }
    }
}

#[test]
fn each_end_of_a_link_has_limits_of_its_own() {
    let (mut sessions, parent, child, link) = pair(roots(1));
    for (from, to) in [(child, parent), (parent, child)] {
        signal(&mut sessions, from, link, (0..64).map(|_| candidate(512)).chain([description(16_384)]));
        let messages = sessions.read(to);
        assert_eq!((count_signals(&messages), is_told(&messages, link)), (65, false));
    }
}

#[test]
fn regression_many_links_to_one_who_does_not_read_end_before_its_session_does() {
    let mut sessions = Sessions::new(HubConfig { children_unproven: 64, ..roots(1) });
    let victim = sessions.join(64);
    sessions.read(victim);
    let attackers: Vec<_> = (0..64).map(|_| sessions.join(0)).collect();
    let links: Vec<_> =
        attackers.iter().map(|attacker| assigned(&mut sessions, *attacker).unwrap()).collect();
    for (attacker, link) in attackers.iter().zip(&links) {
        signal(&mut sessions, *attacker, *link, (0..64).map(|_| candidate(512)));
    }
    assert!(sessions.closed.is_empty(), "{:?}", sessions.closed);
    let HubConfig { outbox_signal_bytes, .. } = HubConfig::default();
    let ended =
        links.iter().zip(&attackers).filter(|(link, attacker)| is_told(&sessions.read(**attacker), **link));
    let ended = ended.count();
    let passed = count_signals(&sessions.read(victim));
    println!("{passed} signals waited for the victim, {ended} of 64 links ended");
    assert!(ended > 40 && passed * 512 <= outbox_signal_bytes && passed * 1_024 > outbox_signal_bytes / 2);

    // Once it reads it gets children again.
    let newcomer = sessions.join(0);
    let link = assigned(&mut sessions, newcomer).expect("a parent with room");
    signal(&mut sessions, newcomer, link, [description(1_000)]);
    assert_eq!(count_signals(&sessions.read(victim)), 1);
}

#[test]
fn a_child_that_is_innocent_gets_another_parent_however_often_its_parents_flood_it() {
    let mut sessions = Sessions::new(roots(1));
    let parents: Vec<_> = (0..8).map(|_| sessions.join(8)).collect();
    for parent in &parents[1..] {
        let link = assigned(&mut sessions, *parent).expect("the root has room");
        sessions.say(*parent, ToHub::Fed(Fed { channel: channel(), link }));
    }
    let child = sessions.join(0);
    for flooded in 0..6 {
        let link =
            assigned(&mut sessions, child).unwrap_or_else(|| panic!("no parent after {flooded} floods"));
        let parent = parents.iter().find(|parent| {
            let expects = |message: &ToPeer| matches!(message, ToPeer::Expect(expect) if expect.link == link);
            sessions.read(**parent).iter().any(expects)
        });
        signal(&mut sessions, *parent.expect("its parent"), link, [candidate(1_000)]);
    }
    assert!(matches!(sessions.place(child), Place::Linking(_)), "{:?}", sessions.place(child));
    assert_eq!(stats(&sessions).suspensions, 0);
}

#[test]
fn a_child_that_floods_one_parent_after_the_other_stays_with_the_server_and_the_parents_keep_their_places() {
    let mut sessions = Sessions::new(roots(4));
    let parents: Vec<_> = (0..4).map(|_| sessions.join(8)).collect();
    let child = sessions.join(0);
    for _ in 0..3 {
        let link = assigned(&mut sessions, child).expect("a parent");
        signal(&mut sessions, child, link, [candidate(1_000)]);
    }
    assert_eq!(sessions.place(child), Place::Direct);
    assert!(parents.iter().all(|parent| sessions.place(*parent) == Place::Root));
}
