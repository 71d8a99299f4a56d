//! Traces of a peer, recorded from scenarios and replayed: the same inputs must give the same outputs, here
//! and in every other implementation. `UPDATE_TRACES=1 cargo test -p tiercast-mesh --test traces` records
//! them anew.

use std::{path::PathBuf, time::Duration};

use bytes::Bytes;
use serde_json::{Value, json};
use tiercast_codec::{
    Assign, At, ChannelName, Code, Ed25519, Event, Expect, Gap, GapReason, Joined, LinkId, LinkMessage,
    Message, Nack, PeerId, Ping, Position, Sealer, SendMessage, SigningKey, Since, ToPeer, Token,
    WireMessage, may_be_lost,
};
use tiercast_mesh::{
    LogLimits, Peer, SourceUpdate, Time,
    peer::{Delivery, Input, PeerConfig, Status, Target},
};
use tiercast_sim::{
    CALM, Net, channel,
    liar::{Lie, lies_of},
    noise, relay, roots,
    trace::{Recorder, config_from, config_json, input_from, target_from},
};

const SUBJECT: u64 = 1;
const PARENT: u64 = 2;
const CHILD: u64 = 3;
const OTHER: u64 = 4;

struct Scenario {
    name: &'static str,
    description: &'static str,
    config: PeerConfig,
    play: fn(&mut Net, PeerConfig),
}

fn scenarios() -> Vec<Scenario> {
    let small =
        || PeerConfig { window_bytes: 4_096, log: LogLimits { bytes: 40_000, entries: 64 }, ..relay(2) };
    let scenario = |name, description, config, play| Scenario { name, description, config, play };
    vec![
        scenario(
            "leaf",
            "fed by the server: live events, a hole, a gap, a new numbering, unsubscribing",
            PeerConfig::default(),
            leaf,
        ),
        scenario(
            "reconnect",
            "a lost session, going on from a position, a server that falls silent",
            relay(0),
            reconnect,
        ),
        scenario(
            "child",
            "assigned to a parent, caught up, saying how far it is, the parent dies",
            small(),
            child,
        ),
        scenario(
            "losses",
            "between a parent and a child on links that lose a message in six: each hole is asked for again, at the end as well",
            relay(1),
            losses,
        ),
        scenario(
            "nagging",
            "a child that asks for the same again and again, until it is given nothing, and more when the channel has gone on",
            PeerConfig { again_bytes: 2_000, ..relay(1) },
            nagging,
        ),
        scenario(
            "ahead",
            "a child whose parent sends nothing but what the server has sent already",
            small(),
            ahead,
        ),
        scenario(
            "parent",
            "serving a child within the child's window: small frames together, a large one in chunks, heads",
            small(),
            parent,
        ),
        scenario(
            "overtaken",
            "a parent goes on where its child says that it is: the server was faster",
            small(),
            overtaken,
        ),
        scenario(
            "chunks",
            "a link message between the chunks of a frame, and a frame between them",
            small(),
            chunks,
        ),
        scenario(
            "relay",
            "between a parent and a child, a new numbering passes through",
            relay(2),
            relay_between,
        ),
        scenario(
            "polite",
            "gives back its children while nobody looks at it, once in a session and once between two",
            relay(2),
            polite,
        ),
        scenario("tampering", "a parent changes a bit, sends garbage, falls silent", relay(2), tampering),
        scenario(
            "strangers",
            "a child with a wrong token, a link that never comes up, a child that falls behind the log",
            small(),
            strangers,
        ),
        scenario(
            "slow",
            "an application that stops reading for a while, with a parent that waits and a child that goes",
            PeerConfig { log: LogLimits { bytes: 6_000, entries: 64 }, ..small() },
            slow,
        ),
        scenario(
            "full",
            "an application that stops reading, and a log with no room for what is under way",
            PeerConfig { log: LogLimits { bytes: 40_000, entries: 8 }, ..small() },
            full,
        ),
        scenario(
            "paused",
            "an application that stops reading over two reconnects, and is told once that it has caught up",
            PeerConfig { log: LogLimits { bytes: 4_000, entries: 64 }, ..PeerConfig::default() },
            paused,
        ),
        scenario(
            "restart",
            "a server that comes back with another key and the same stream, then with a new numbering",
            relay(2),
            restart,
        ),
        scenario(
            "blink",
            "between a parent and a child: sessions that end and go on, a ghost, a parent that is away, one that is gone",
            relay(2),
            blink,
        ),
        scenario(
            "survival",
            "between a parent and a child: the links outlive the server, with the same stream, then with a new numbering",
            relay(2),
            survival,
        ),
        scenario(
            "overflow",
            "nobody reads what it has to say, to the server and on a link",
            PeerConfig { outbox_bytes: 1_000, ..relay(2) },
            overflow,
        ),
        scenario(
            "manners",
            "what strangers say out of turn: before `join`, before `joined`, of another channel, beyond a position",
            relay(2),
            manners,
        ),
        scenario(
            "standby",
            "a parent that withholds for a while, then for good, then dies; a standby that takes its place",
            relay(2),
            standby,
        ),
        scenario(
            "away",
            "a parent whose session ends and a standby; then the two are swapped while the subject has no session",
            relay(2),
            away,
        ),
        scenario(
            "orphaned",
            "a parent and a standby that die at the same time, as the server sees: neither takes the other's place",
            relay(2),
            orphaned,
        ),
        scenario(
            "sharing",
            "a parent in two channels, one connection, which breaks and is made again",
            relay(2),
            sharing,
        ),
        scenario(
            "starved",
            "a parent that passes on nothing and no standby: pulled from the server, then left",
            relay(2),
            starved,
        ),
        scenario("deep", "a hole far above: who is nearest to it asks for what is missing", relay(2), deep),
        scenario(
            "replayed",
            "a parent sends an earlier message in the place of one in three: what is missing is asked for again, until it is too much",
            relay(0),
            replayed,
        ),
        scenario("boaster", "a standby that says it has what it has not, again and again", relay(2), boaster),
        scenario(
            "held",
            "a child that holds us: told how far we are, small steps and large, released, held again",
            relay(4),
            held,
        ),
        scenario(
            "going_back",
            "a numbering whose end was lost: a gap that leads back, while the application is slow and after that",
            relay(2),
            going_back,
        ),
    ]
}

fn bodies(count: usize, bytes: usize) -> Vec<Vec<u8>> {
    // Bodies that compress a little, so that both kinds of payload occur.
    (0..count).map(|number| (0..bytes).map(|at| (at * (7 + number % 5) % 251) as u8).collect()).collect()
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn join_subject(net: &mut Net, config: PeerConfig) {
    net.join_with(SUBJECT, Peer::new(config, Box::new(Ed25519)), Since::Earliest);
}

fn join_other(net: &mut Net, node: u64, config: PeerConfig) {
    net.join_with(node, Peer::new(config, Box::new(Ed25519)), Since::Earliest);
    net.run_until("placed", |net| net.is_settled(node));
}

fn publish(net: &mut Net, bodies: Vec<Vec<u8>>) {
    for body in bodies {
        net.publish([body]);
        net.run_for(ms(3));
    }
    net.run_until("caught up", Net::is_caught_up);
}

fn leaf(net: &mut Net, config: PeerConfig) {
    join_subject(net, config);
    publish(net, bodies(5, 200));
    net.source(SourceUpdate::Opened(Position::new(7, 20)));
    publish(net, bodies(2, 50));
    net.source(SourceUpdate::Opened(Position::new(8, -1)));
    publish(net, bodies(2, 50));
    net.run_for(Duration::from_secs(45));
    net.peer(SUBJECT, tiercast_mesh::peer::Input::Unsubscribe(channel()));
    net.run_for(ms(50));
}

fn reconnect(net: &mut Net, config: PeerConfig) {
    join_subject(net, config);
    publish(net, bodies(3, 100));
    net.disconnect(SUBJECT);
    net.publish(bodies(3, 100));
    net.run_for(Duration::from_secs(1));
    net.connect(SUBJECT);
    net.run_until("caught up", Net::is_caught_up);
    // A server that falls silent.
    net.deaf.insert(SUBJECT);
    net.run_until("noticed", |net| net.nodes[&SUBJECT].session.is_none());
    net.deaf.clear();
    net.connect(SUBJECT);
    publish(net, bodies(1, 10));
}

fn child(net: &mut Net, config: PeerConfig) {
    join_other(net, PARENT, relay(4));
    join_subject(net, config);
    net.run_until("linked", |net| net.parent(SUBJECT) == Some(PARENT));
    publish(net, bodies(12, 300));
    net.run_for(Duration::from_secs(5));
    net.publish(bodies(2, 300));
    net.kill(PARENT);
    publish(net, bodies(2, 300));
}

fn parent(net: &mut Net, config: PeerConfig) {
    join_subject(net, config);
    net.run_until("placed", |net| net.is_settled(SUBJECT));
    publish(net, bodies(6, 100));
    let narrow = PeerConfig { window_bytes: 4_096, ..relay(0) };
    net.join_with(CHILD, Peer::new(narrow, Box::new(Ed25519)), Since::Earliest);
    net.run_until("linked", |net| net.parent(CHILD) == Some(SUBJECT));
    publish(net, bodies(20, 500));
    publish(net, vec![noise(1, 20_000)]);
    net.run_for(Duration::from_secs(5));
    net.disconnect(CHILD);
    net.run_for(ms(100));
}

/// Loses every frame and head from one node to another, if there are such two.
fn withhold(net: &mut Net, between: Option<(u64, u64)>) {
    net.tamper = between.map(|(one, other)| -> tiercast_sim::Tamper {
        Box::new(move |from, to, bytes| {
            ((from, to) != (one, other)
                || tiercast_codec::Item::all(bytes.clone())
                    .is_ok_and(|items| matches!(items[..], [tiercast_codec::Item::Control(_)])))
            .then_some(bytes)
        })
    });
}

/// Publishes an event every so often.
fn drip(net: &mut Net, count: usize, pause: Duration) {
    for body in bodies(count, 300) {
        net.publish([body]);
        net.run_for(pause);
    }
}

fn with_standby(net: &mut Net, child: u64) {
    net.run_until("it has a standby", |net| net.place(child).is_some_and(|place| place.standby.is_some()));
    net.run_for(ms(100));
}

/// The subject has a parent and a standby.
fn join_between(net: &mut Net, config: PeerConfig) {
    join_other(net, PARENT, relay(4));
    join_other(net, OTHER, relay(4));
    // Of two neighbours one can stand by for the other: it looked before the subject was there.
    net.run_for(Duration::from_secs(5));
    join_subject(net, config);
    with_standby(net, SUBJECT);
}

fn standby(net: &mut Net, config: PeerConfig) {
    join_between(net, config);
    assert_eq!(net.parent(SUBJECT), Some(PARENT));
    drip(net, 10, ms(50));
    withhold(net, Some((PARENT, SUBJECT)));
    drip(net, 10, ms(100));
    assert_eq!(net.parent(SUBJECT), Some(OTHER), "its standby was ahead");
    withhold(net, None);
    drip(net, 10, ms(200));
    let parent = net.parent(SUBJECT).expect("a parent");
    net.kill(parent);
    drip(net, 5, ms(100));
    assert!(net.is_caught_up());
    net.run_for(Duration::from_secs(5));
}

fn away(net: &mut Net, config: PeerConfig) {
    join_other(net, PARENT, relay(4));
    join_other(net, OTHER, relay(4));
    // Of two neighbours one can stand by for the other: it looked before the subject was there.
    net.run_for(Duration::from_secs(5));
    join_subject(net, config);
    with_standby(net, SUBJECT);
    assert_eq!(net.parent(SUBJECT), Some(PARENT));
    drip(net, 10, ms(50));
    net.disconnect(PARENT);
    net.run_for(ms(500));
    assert_eq!(net.parent(SUBJECT), Some(OTHER), "its standby took over at once");
    net.connect(PARENT);
    drip(net, 10, ms(50));
    let stands_by = |net: &Net| net.place(SUBJECT).unwrap().standby;
    assert_eq!(stands_by(net), Some(net.name(PARENT)), "it kept its links");
    net.disconnect(SUBJECT);
    net.crash(OTHER);
    net.run_for(ms(500));
    net.connect(SUBJECT);
    drip(net, 10, ms(50));
    assert_eq!((net.parent(SUBJECT), stands_by(net)), (Some(PARENT), None));
    assert_eq!(net.nodes[&SUBJECT].peer.stats().feeds, 0);
    assert!(net.is_caught_up());
}

fn orphaned(net: &mut Net, config: PeerConfig) {
    join_between(net, config);
    drip(net, 10, ms(50));
    let place = net.place(SUBJECT).unwrap();
    assert!(place.parent.is_some() && place.standby.is_some());
    let parent = net.parent(SUBJECT).unwrap();
    net.kill(parent);
    net.kill(PARENT + OTHER - parent);
    net.run_for(ms(300));
    assert_eq!((net.parent(SUBJECT), net.nodes[&SUBJECT].peer.stats().feeds), (None, 1));
    drip(net, 5, ms(50));
    assert!(net.is_caught_up());
}

fn boaster(net: &mut Net, config: PeerConfig) {
    join_between(net, config);
    net.tamper = Some(Box::new(|from, _, bytes| match LinkMessage::decode(&bytes) {
        Ok(LinkMessage::Have(mut have)) if from == OTHER => {
            have.position.offset += 1_000;
            Some(LinkMessage::Have(have).encode())
        }
        Ok(_) => Some(bytes),
        Err(_) => (from != OTHER).then_some(bytes),
    }));
    drip(net, 150, ms(50));
    let stats = net.nodes[&SUBJECT].peer.stats();
    assert!(stats.swaps >= 3, "it was believed");
    assert!(net.place(SUBJECT).is_some_and(|place| place.standby.is_none()), "and is no more");
}

fn replayed(net: &mut Net, config: PeerConfig) {
    join_other(net, PARENT, relay(4));
    join_subject(net, config);
    net.run_until("linked", |net| net.parent(SUBJECT) == Some(PARENT));
    net.tamper = Some(lies_of(PARENT, Lie::Replay));
    drip(net, 150, ms(50));
    let lost = |status: &Status| matches!(status, Status::LinkLost { code: Code::STALE, .. });
    assert!(net.nodes[&SUBJECT].statuses.iter().any(lost), "one that replaces so much is left");
    assert!(net.is_caught_up());
}

fn starved(net: &mut Net, config: PeerConfig) {
    join_other(net, PARENT, relay(4));
    join_subject(net, config);
    net.run_until("linked", |net| net.parent(SUBJECT) == Some(PARENT));
    drip(net, 10, ms(50));
    withhold(net, Some((PARENT, SUBJECT)));
    drip(net, 40, ms(200));
    net.run_until("left", |net| net.parent(SUBJECT).is_none());
    publish(net, bodies(3, 100));
}

fn deep(net: &mut Net, config: PeerConfig) {
    for (node, above) in [(PARENT, None), (OTHER, Some(PARENT))] {
        join_other(net, node, relay(1));
        net.run_until("linked", |net| net.parent(node) == above);
    }
    join_subject(net, config);
    net.run_until("linked", |net| net.parent(SUBJECT) == Some(OTHER));
    drip(net, 10, ms(50));
    withhold(net, Some((PARENT, OTHER)));
    drip(net, 20, ms(200));
    let pulls = |node| net.nodes[&node].peer.stats().pulls;
    assert!(pulls(OTHER) > 0 && pulls(SUBJECT) == 0);
    withhold(net, Some((OTHER, SUBJECT)));
    drip(net, 10, ms(200));
    assert!(net.nodes[&SUBJECT].peer.stats().pulls > 0, "now nobody above lacks it");
}

fn held(net: &mut Net, config: PeerConfig) {
    join_other(net, PARENT, relay(4));
    join_subject(net, config);
    net.run_until("linked", |net| net.parent(SUBJECT) == Some(PARENT));
    net.join_with(CHILD, Peer::new(relay(0), Box::new(Ed25519)), Since::Earliest);
    with_standby(net, CHILD);
    assert_eq!(net.parent(CHILD), Some(PARENT));
    drip(net, 5, Duration::from_secs(2));
    drip(net, 40, ms(20));
    publish(net, vec![noise(1, 20_000), noise(2, 20_000)]);
    withhold(net, Some((PARENT, CHILD)));
    drip(net, 10, ms(100));
    assert_eq!(net.parent(CHILD), Some(SUBJECT), "its standby was ahead");
    publish(net, vec![noise(3, 40_000)]);
    withhold(net, None);
    withhold(net, Some((SUBJECT, CHILD)));
    drip(net, 20, ms(100));
    assert_eq!(net.parent(CHILD), Some(PARENT), "and is again");
    withhold(net, None);
    net.disconnect(SUBJECT);
    net.run_for(ms(500));
    net.connect(SUBJECT);
    drip(net, 10, ms(100));
    assert_eq!(net.place(CHILD).unwrap().standby, Some(net.name(SUBJECT)), "it holds the subject still");
}

/// Both are at the beginning when the child says so; when the parent hears it, the server has brought both to the end.
fn join_late(net: &mut Net, join_child: impl FnOnce(&mut Net)) {
    net.link_delay = ms(200);
    join_child(net);
    net.run_for(ms(20));
    for number in 0..30 {
        net.publish([noise(number, 400)]);
        net.run_for(ms(3));
    }
    net.run_for(ms(1_000));
    net.link_delay = Duration::ZERO;
    publish(net, bodies(3, 100));
}

fn ahead(net: &mut Net, config: PeerConfig) {
    join_other(net, PARENT, relay(1));
    join_late(net, |net| join_subject(net, config));
    let stats = net.nodes[&SUBJECT].peer.stats();
    assert!(stats.duplicates > 5, "{stats:?}");
    assert_eq!(net.parent(SUBJECT), Some(PARENT));
}

fn overtaken(net: &mut Net, config: PeerConfig) {
    join_subject(net, config);
    net.run_until("placed", |net| net.is_settled(SUBJECT));
    let narrow = PeerConfig { window_bytes: 4_096, ..relay(0) };
    join_late(net, |net| net.join_with(CHILD, Peer::new(narrow, Box::new(Ed25519)), Since::Earliest));
    let stats = net.nodes[&CHILD].peer.stats();
    assert!((5..20).contains(&stats.duplicates), "{stats:?}");
    assert_eq!(net.parent(CHILD), Some(SUBJECT));
}

/// What a parent has to say on a link until it has nothing more. None of it arrives.
fn intercept(net: &mut Net, bodies: [Vec<u8>; 2]) -> Vec<Bytes> {
    let (sender, intercepted) = std::sync::mpsc::channel();
    net.tamper = Some(Box::new(move |_, to, bytes| {
        if to != SUBJECT || bytes[0] >= 0x80 {
            return Some(bytes);
        }
        sender.send(bytes).unwrap();
        None
    }));
    for body in bodies {
        net.publish([body]);
        net.run_for(ms(20));
    }
    net.tamper = None;
    intercepted.iter().collect()
}

fn chunks(net: &mut Net, config: PeerConfig) {
    join_other(net, PARENT, relay(1));
    join_subject(net, config);
    net.run_until("linked", |net| net.parent(SUBJECT) == Some(PARENT));
    let link = net.link(SUBJECT).expect("it has a parent");
    let mut messages = intercept(net, [noise(1, 100), noise(2, 40_000)]);
    assert_eq!(messages.iter().map(|message| message[0]).collect::<Vec<_>>(), [1, 3, 3, 3]);
    messages.insert(2, LinkMessage::Ping(Ping { time_us: 1 }).encode());
    for bytes in messages {
        net.peer(SUBJECT, Input::LinkData(link, bytes));
    }
    net.run_until("caught up", Net::is_caught_up);
    assert_eq!(net.parent(SUBJECT), Some(PARENT));
    let messages = intercept(net, [noise(3, 100), noise(4, 40_000)]);
    for number in [0, 1, 0, 2, 3] {
        net.peer(SUBJECT, Input::LinkData(link, messages[number].clone()));
    }
    let stats = net.nodes[&SUBJECT].peer.stats();
    assert_eq!((stats.malformed, stats.duplicates), (0, 1));
    net.run_until("caught up", Net::is_caught_up);
}

fn relay_between(net: &mut Net, config: PeerConfig) {
    join_other(net, PARENT, relay(1));
    join_subject(net, config);
    net.run_until("linked", |net| net.parent(SUBJECT) == Some(PARENT));
    net.join_with(CHILD, Peer::new(relay(0), Box::new(Ed25519)), Since::Earliest);
    net.run_until("linked", |net| net.parent(CHILD) == Some(SUBJECT));
    publish(net, bodies(3, 100));
    net.source(SourceUpdate::Opened(Position::new(9, -1)));
    publish(net, bodies(3, 100));
    // What the server had said before the parent took over, and comes late.
    for (from, to) in [((7, 0), (7, 1)), ((7, 2), (8, -1)), ((9, 0), (9, 1))] {
        let (from, to) = (Position::new(from.0, from.1), Position::new(to.0, to.1));
        let gap = Gap { channel: channel(), from, to, reason: GapReason::Retention };
        net.peer(SUBJECT, Input::SessionData(ToPeer::Gap(gap).encode()));
    }
    publish(net, bodies(3, 100));
    net.run_for(Duration::from_secs(3));
}

/// Of what may be lost on links, four messages in 23.
fn lose_some(net: &mut Net) {
    let mut sent = 0;
    net.tamper = Some(Box::new(move |_, _, bytes| {
        sent += u64::from(may_be_lost(&bytes));
        (!may_be_lost(&bytes) || ![3, 8, 9, 20].contains(&(sent % 23))).then_some(bytes)
    }));
}

fn losses(net: &mut Net, config: PeerConfig) {
    join_other(net, PARENT, relay(1));
    join_subject(net, config);
    net.run_until("linked", |net| net.parent(SUBJECT) == Some(PARENT));
    net.join_with(CHILD, Peer::new(relay(0), Box::new(Ed25519)), Since::Earliest);
    net.run_until("linked", |net| net.parent(CHILD) == Some(SUBJECT));
    lose_some(net);
    drip(net, 40, ms(20));
    // One after the other, so that nothing but the parent's word shows that one is missing.
    drip(net, 5, ms(400));
    net.source(SourceUpdate::Opened(Position::new(9, -1)));
    drip(net, 5, ms(20));
    net.run_for(Duration::from_secs(3));
    let stats = net.nodes[&SUBJECT].peer.stats();
    assert!(stats.nacks > 3 && stats.repeated_frames > 3, "{stats:?}");
    assert_eq!((stats.pulls, stats.feeds), (0, 0), "{stats:?}");
    for node in [SUBJECT, CHILD] {
        assert_eq!(net.offsets(node), (0..45).chain(0..5).collect::<Vec<_>>());
    }
}

fn nagging(net: &mut Net, config: PeerConfig) {
    join_subject(net, config);
    net.join_with(CHILD, Peer::new(relay(0), Box::new(Ed25519)), Since::Earliest);
    net.run_until("linked", |net| net.parent(CHILD) == Some(SUBJECT));
    let link = net.link(CHILD).expect("a parent");
    for bytes in [700, 300] {
        publish(net, (0..5).map(|number| noise(number, bytes)).collect());
        let from = net.position.offset - 5;
        for _ in 0..6 {
            let [after, to] = [from, from + 5].map(|offset| Position::new(net.position.epoch, offset));
            net.peer(SUBJECT, Input::LinkData(link, Nack { after, to }.encode()));
            net.run_for(ms(20));
        }
    }
    let stats = net.nodes[&SUBJECT].peer.stats();
    assert!(stats.repeated_frames > 0 && stats.nacks_refused > 5, "{stats:?}");
    // It may go back where nothing has to be sent again, and not where that is too much.
    for offset in [net.position.offset, 0] {
        let position = Position { offset, ..net.position };
        assert_eq!(net.link(CHILD), Some(link));
        net.peer(SUBJECT, Input::LinkData(link, LinkMessage::Send(SendMessage { position }).encode()));
    }
    net.run_until("it has left the child", |net| net.link(CHILD) != Some(link));
}

fn polite(net: &mut Net, config: PeerConfig) {
    join_subject(net, config);
    net.join_with(CHILD, Peer::new(relay(0), Box::new(Ed25519)), Since::Earliest);
    net.run_until("linked", |net| net.parent(CHILD) == Some(SUBJECT));
    for _ in 0..2 {
        net.peer(SUBJECT, Input::Offer(0));
        publish(net, bodies(3, 100));
        assert_eq!(net.parent(CHILD), None);
    }
    net.peer(SUBJECT, Input::Offer(2));
    net.run_until("linked again", |net| net.parent(CHILD) == Some(SUBJECT));
    publish(net, bodies(3, 100));
    net.disconnect(SUBJECT);
    net.peer(SUBJECT, Input::Offer(0));
    net.connect(SUBJECT);
    publish(net, bodies(3, 100));
    assert_eq!(net.place(SUBJECT).and_then(|node| node.relay).map(|relay| relay.children_max), Some(0));
}

fn tampering(net: &mut Net, config: PeerConfig) {
    for (count, kind) in [0, 1, 2].into_iter().enumerate() {
        join_other(net, PARENT + count as u64, relay(1));
        if count == 0 {
            join_subject(net, config.clone());
        }
        net.run_for(Duration::from_secs(70));
        let mut spoilt = false;
        net.tamper = Some(Box::new(move |_, to, bytes| {
            if to != SUBJECT || spoilt {
                return Some(bytes);
            }
            // Silence lasts, the others happen once.
            spoilt = kind != 2;
            let mut changed = bytes.to_vec();
            let middle = changed.len() / 2;
            changed[middle] ^= 4;
            match kind {
                0 => Some(changed.into()),
                1 => Some(Bytes::from_static(b"\xc1garbage")),
                _ => None,
            }
        }));
        net.publish(bodies(2, 400));
        net.run_for(Duration::from_secs(10));
        net.tamper = None;
        net.kill(PARENT + count as u64);
    }
    net.run_until("caught up", Net::is_caught_up);
}

fn strangers(net: &mut Net, config: PeerConfig) {
    join_subject(net, config);
    net.run_until("placed", |net| net.is_settled(SUBJECT));
    net.tamper = Some(Box::new(|from, _, bytes| {
        let mut changed = bytes.to_vec();
        if from == CHILD
            && let Some(at) = changed.windows(5).position(|window| window == b"token")
        {
            changed[at + 8] ^= 1;
        }
        Some(changed.into())
    }));
    net.join_with(CHILD, Peer::new(relay(0), Box::new(Ed25519)), Since::Earliest);
    net.run_for(ms(500));
    net.kill(CHILD);
    net.tamper = None;
    net.blocked.insert((CHILD + 1, CHILD + 1));
    net.join_with(CHILD + 1, Peer::new(relay(0), Box::new(Ed25519)), Since::Earliest);
    net.run_for(Duration::from_secs(15));
    net.kill(CHILD + 1);
    // A child whose application stops for so long that the log moves on without it.
    let lazy = PeerConfig { log: LogLimits { bytes: 8_000, entries: 64 }, ..relay(0) };
    net.join_with(CHILD + 2, Peer::new(lazy, Box::new(Ed25519)), Since::Earliest);
    net.run_until("linked", |net| net.parent(CHILD + 2) == Some(SUBJECT));
    net.set_reads(CHILD + 2, false);
    for body in bodies(80, 2_000) {
        net.publish([body]);
        net.run_for(ms(40));
    }
    net.set_reads(CHILD + 2, true);
    net.run_until("caught up", Net::is_caught_up);
}

fn slow(net: &mut Net, config: PeerConfig) {
    join_other(net, PARENT, relay(1));
    join_subject(net, config);
    net.run_until("linked", |net| net.parent(SUBJECT) == Some(PARENT));
    net.join_with(CHILD, Peer::new(relay(0), Box::new(Ed25519)), Since::Earliest);
    net.run_until("linked", |net| net.parent(CHILD) == Some(SUBJECT));
    net.set_reads(SUBJECT, false);
    for body in bodies(30, 400) {
        net.publish([body]);
        net.run_for(ms(20));
    }
    net.run_for(ms(500));
    net.source(SourceUpdate::Opened(Position::new(8, -1)));
    net.set_reads(SUBJECT, true);
    publish(net, bodies(3, 100));
    assert_eq!(net.parent(SUBJECT), Some(PARENT));
    net.run_until("linked again", |net| net.parent(CHILD) == Some(SUBJECT));
    publish(net, bodies(3, 100));
}

fn full(net: &mut Net, config: PeerConfig) {
    join_other(net, PARENT, relay(1));
    join_subject(net, config);
    net.run_until("linked", |net| net.parent(SUBJECT) == Some(PARENT));
    net.set_reads(SUBJECT, false);
    for body in bodies(30, 50) {
        net.publish([body]);
        net.run_for(ms(20));
    }
    net.set_reads(SUBJECT, true);
    publish(net, bodies(3, 100));
    net.run_until("linked again", |net| net.parent(SUBJECT) == Some(PARENT));
    assert_eq!(net.nodes[&SUBJECT].peer.stats().feeds, 1);
    assert_eq!(net.offsets(SUBJECT), (0..33).collect::<Vec<_>>());
}

fn paused(net: &mut Net, config: PeerConfig) {
    join_subject(net, config);
    publish(net, bodies(3, 100));
    net.set_reads(SUBJECT, false);
    for body in bodies(20, 400) {
        net.publish([body]);
        net.run_for(ms(20));
    }
    for _ in 0..2 {
        net.disconnect(SUBJECT);
        net.publish(bodies(3, 100));
        net.connect(SUBJECT);
        net.run_for(ms(100));
    }
    net.set_reads(SUBJECT, true);
    publish(net, bodies(3, 100));
    assert_eq!(net.offsets(SUBJECT), (0..32).collect::<Vec<_>>());
    let caught_up = |delivery: &&Delivery| matches!(delivery, Delivery::CaughtUp { .. });
    assert_eq!(net.nodes[&SUBJECT].deliveries.iter().filter(caught_up).count(), 1);
}

fn restart(net: &mut Net, config: PeerConfig) {
    join_subject(net, config);
    net.run_until("placed", |net| net.is_settled(SUBJECT));
    publish(net, bodies(5, 100));
    // Long enough for a head, which the next server's peers could not verify.
    net.run_for(Duration::from_secs(3));
    net.restart(roots(1), Box::new(SigningKey::from_seed(&[6; 32])), true);
    net.run_until("placed", |net| net.is_settled(SUBJECT));
    // A newcomer knows the new key only: what is older it cannot get from us.
    net.join_with(CHILD, Peer::new(relay(0), Box::new(Ed25519)), Since::Earliest);
    net.run_until("linked", |net| net.parent(CHILD) == Some(SUBJECT));
    publish(net, bodies(5, 100));
    assert_eq!(net.offsets(CHILD), (0..10).collect::<Vec<_>>());
    let accusations = net.hub.channel_stats(&channel()).unwrap().accusations;
    assert_eq!(accusations, 0, "nothing that was signed with the old key is passed on");
    net.kill(CHILD);
    net.restart(roots(1), Box::new(SigningKey::from_seed(&[7; 32])), false);
    net.run_until("placed", |net| net.is_settled(SUBJECT));
    publish(net, bodies(5, 100));
}

/// The subject stands between a parent and a child.
fn stand_between(net: &mut Net, config: PeerConfig) {
    join_other(net, PARENT, relay(1));
    join_subject(net, config);
    net.run_until("linked", |net| net.parent(SUBJECT) == Some(PARENT));
    net.join_with(CHILD, Peer::new(relay(0), Box::new(Ed25519)), Since::Earliest);
    net.run_until("linked", |net| net.parent(CHILD) == Some(SUBJECT));
    publish(net, bodies(3, 100));
}

/// Everybody is where `stand_between` put them, has everything, and has lost no link.
fn assert_kept(net: &Net, feeds: u64) {
    assert_eq!((net.parent(SUBJECT), net.parent(CHILD)), (Some(PARENT), Some(SUBJECT)));
    assert_eq!(net.nodes[&SUBJECT].peer.stats().feeds, feeds);
    let is_lost = |status: &Status| matches!(status, Status::LinkLost { .. });
    assert!(!net.nodes[&SUBJECT].statuses.iter().any(is_lost));
}

fn sharing(net: &mut Net, config: PeerConfig) {
    let more = net.add_channel("more");
    join_other(net, PARENT, relay(4));
    net.subscribe_to(PARENT, &more);
    join_subject(net, config);
    net.subscribe_to(SUBJECT, &more);
    publish(net, bodies(3, 100));
    assert_eq!((net.links_of(SUBJECT).len(), net.connections()), (2, 1));
    net.break_links(SUBJECT);
    publish(net, bodies(3, 100));
    net.run_for(Duration::from_secs(90));
    assert_eq!((net.links_of(SUBJECT).len(), net.connections()), (2, 1));
}

fn blink(net: &mut Net, config: PeerConfig) {
    stand_between(net, config);
    net.disconnect(SUBJECT);
    publish(net, bodies(3, 100));
    net.connect(SUBJECT);
    publish(net, bodies(3, 100));
    assert_kept(net, 0);
    // The server has not noticed that the session ended when the next one comes.
    net.nodes.get_mut(&SUBJECT).unwrap().session = None;
    net.peer(SUBJECT, Input::SessionClosed);
    net.connect(SUBJECT);
    publish(net, bodies(3, 100));
    assert_kept(net, 0);
    // The parent is away, and answers on the link.
    net.disconnect(PARENT);
    net.run_for(ms(500));
    net.connect(PARENT);
    publish(net, bodies(3, 100));
    assert_kept(net, 0);
    net.kill(PARENT);
    net.run_for(ms(500));
    publish(net, bodies(3, 100));
    assert_eq!(net.parent(SUBJECT), None);
    // The child goes while there is no session.
    net.disconnect(SUBJECT);
    net.crash(CHILD);
    net.run_for(ms(500));
    net.connect(SUBJECT);
    publish(net, bodies(3, 100));
}

fn survival(net: &mut Net, config: PeerConfig) {
    stand_between(net, config);
    for (source_is_stream, after) in [(true, 6), (false, 3)] {
        net.restart(roots(1), Box::new(SigningKey::from_seed(&[5; 32])), source_is_stream);
        publish(net, bodies(3, 100));
        assert_kept(net, 0);
        assert_eq!(net.hub.channel_stats(&channel()).unwrap().adopted, 2);
        assert_eq!(net.nodes[&CHILD].peer.position(&channel()).unwrap().offset, after - 1);
    }
}

fn overflow(net: &mut Net, config: PeerConfig) {
    join_subject(net, config);
    net.run_until("placed", |net| net.is_settled(SUBJECT));
    net.join_with(CHILD, Peer::new(relay(0), Box::new(Ed25519)), Since::Earliest);
    net.run_until("linked", |net| net.parent(CHILD) == Some(SUBJECT));
    let link = net.link(CHILD).expect("the child has a parent");
    // The driver cannot send: what was said stays where it is.
    let ping = LinkMessage::Ping(Ping { time_us: 1 }).encode();
    for _ in 0..20 {
        net.peer(SUBJECT, Input::LinkData(link, ping.clone()));
    }
    net.run_for(ms(100));
    let ping = ToPeer::Ping(Ping { time_us: 1 }).encode();
    for _ in 0..20 {
        net.peer(SUBJECT, Input::SessionData(ping.clone()));
    }
    net.run_for(ms(100));
    net.connect(SUBJECT);
    publish(net, bodies(3, 100));
}

fn manners(net: &mut Net, config: PeerConfig) {
    join_subject(net, config);
    net.run_until("placed", |net| net.is_settled(SUBJECT));
    publish(net, bodies(3, 100));
    let key = SigningKey::from_seed(&[5; 32]);
    let frame = |name: &ChannelName, after: i64| {
        let events = [Event { offset: after + 1, message: Message::default() }];
        let frame = Sealer::default().seal(name, Position::new(7, after), after + 1, 1, &events, &key);
        frame.expect("a good frame").bytes().clone()
    };
    let joined =
        |epoch, offset| encoded(LinkMessage::Joined(Joined { position: Position::new(epoch, offset) }));
    let at = encoded(LinkMessage::At(At { position: Position::new(7, 0) }));
    let ping = encoded(LinkMessage::Ping(Ping { time_us: 1 }));
    let unknown = Bytes::from_static(b"\x81\xa4type\xa5greet");

    // A child says hello in its own way, which is ignored, and acknowledges what it was never sent.
    let as_parent = |net: &mut Net, said: &[&Bytes]| as_neighbour(net, End::Parent, said);
    assert_eq!(as_parent(net, &[&ping, &unknown]), None);
    assert_eq!(as_parent(net, &[&ping, &unknown, &at]), Some(Code::UNEXPECTED));
    assert_eq!(as_parent(net, &[&frame(&channel(), 2)]), Some(Code::UNEXPECTED));
    assert_eq!(as_parent(net, &[&Bytes::new()]), Some(Code::MALFORMED));

    // A parent that sends something else, or what a parent does not; frames that overtake its answer, and one another.
    let as_child = |net: &mut Net, said: &[&Bytes]| as_neighbour(net, End::Child, said);
    let other: ChannelName = "other".parse().unwrap();
    assert_eq!(as_child(net, &[&joined(7, 5), &frame(&other, 2)]), Some(Code::UNEXPECTED));
    assert_eq!(as_child(net, &[&joined(7, 5), &at]), Some(Code::UNEXPECTED));
    let overtaken = [&unknown, &frame(&channel(), 2), &joined(7, 5), &frame(&channel(), 4)];
    assert_eq!(as_child(net, &overtaken), None);
    // One that is behind is our parent when it has come to where we were.
    assert_eq!(as_child(net, &[&joined(7, 0), &frame(&channel(), 1)]), Some(Code::REPLACED));
    assert_eq!(net.nodes[&SUBJECT].peer.parent(&channel()), Some(PeerId(77)));

    // A numbering that sorts before ours is for those only who have all of the last one.
    for from in [0, 2] {
        let (from, to) = (Position::new(7, from), Position::new(6, -1));
        let gap = Gap { channel: channel(), from, to, reason: GapReason::Epoch };
        net.peer(SUBJECT, Input::SessionData(ToPeer::Gap(gap).encode()));
    }
    assert_eq!(net.gaps(SUBJECT).len(), 1);

    let frame = frame(&channel(), 2);
    let chunk = tiercast_codec::chunks(&frame).next().expect("a chunk");
    net.peer(SUBJECT, Input::SessionData(chunk));
    assert_eq!(net.nodes[&SUBJECT].closed_with, Some(Code::UNEXPECTED));
}

/// Which end of a link the subject is.
#[derive(Clone, Copy)]
enum End {
    Parent,
    Child,
}

fn encoded(message: LinkMessage) -> Bytes {
    message.encode()
}

/// A stranger, introduced by the hub, says something on a link with the subject; the code with which that ended the
/// link, if it did.
fn as_neighbour(net: &mut Net, subject: End, said: &[&Bytes]) -> Option<Code> {
    let heard = net.nodes[&SUBJECT].statuses.len();
    // A link that did not end leaves no trace there.
    let link = LinkId(1_000 + 10 * heard as u64 + said.len() as u64);
    let (channel, token, stranger) = (channel(), Token::new([3; 16]), PeerId(77));
    let introduction = match subject {
        End::Parent => {
            ToPeer::Expect(Expect { channel, link, child: stranger, token, offers: false, via: None })
        }
        End::Child => ToPeer::Assign(Assign {
            channel,
            link,
            parent: stranger,
            token,
            offers: false,
            standby: false,
            via: None,
        }),
    };
    net.peer(SUBJECT, Input::SessionData(introduction.encode()));
    net.peer(SUBJECT, Input::LinkOpened(link));
    for bytes in said {
        net.peer(SUBJECT, Input::LinkData(link, (*bytes).clone()));
    }
    net.run_for(ms(50));
    net.nodes[&SUBJECT].statuses[heard..].iter().find_map(|status| match status {
        Status::LinkLost { code, .. } => Some(*code),
        _ => None,
    })
}

fn going_back(net: &mut Net, config: PeerConfig) {
    join_subject(net, config);
    net.run_until("placed", |net| net.is_settled(SUBJECT));
    net.join_with(CHILD, Peer::new(relay(0), Box::new(Ed25519)), Since::Earliest);
    net.run_until("linked", |net| net.parent(CHILD) == Some(SUBJECT));
    publish(net, bodies(5, 100));
    let go_back = |net: &mut Net| {
        let gap = Gap {
            channel: channel(),
            from: Position::new(7, 7),
            to: Position::new(7, 2),
            reason: GapReason::Epoch,
        };
        net.peer(SUBJECT, Input::SessionData(ToPeer::Gap(gap).encode()));
        net.run_for(ms(100));
    };
    // Not before the application has read what there is.
    net.set_reads(SUBJECT, false);
    publish(net, bodies(3, 100));
    go_back(net);
    assert_eq!(net.nodes[&SUBJECT].peer.stats().stalls, 1);
    net.set_reads(SUBJECT, true);
    net.run_until("linked again", |net| net.parent(CHILD) == Some(SUBJECT));
    go_back(net);
    publish(net, bodies(3, 100));
    assert_eq!(net.gaps(SUBJECT).len(), 1);
    assert_eq!(net.offsets(SUBJECT), [0, 1, 2, 3, 4, 5, 6, 7, 3, 4, 5, 6, 7, 8, 9, 10]);
    assert_eq!(net.offsets(CHILD), (0..11).collect::<Vec<_>>());
}

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("traces").join(format!("{name}.json"))
}

fn record(scenario: &Scenario) -> Value {
    let key = SigningKey::from_seed(&[5; 32]);
    let mut net = Net::with_signer(1, roots(1), CALM, Box::new(key));
    net.recorder = Some(Recorder::new(SUBJECT));
    (scenario.play)(&mut net, scenario.config.clone());
    let steps = net.recorder.map(|recorder| recorder.steps).unwrap_or_default();
    json!({ "description": scenario.description, "config": config_json(&scenario.config), "steps": steps })
}

/// Plays the inputs of a trace to a fresh peer and writes down what it does.
fn replay(trace: &Value) -> Vec<Value> {
    let mut peer = Peer::new(config_from(&trace["config"]), Box::new(Ed25519));
    let mut recorder = Recorder::new(SUBJECT);
    let mut reads = true;
    for step in trace["steps"].as_array().expect("steps") {
        if let Some(now_reads) = step["reads"].as_bool() {
            reads = now_reads;
            recorder.reads(reads);
        } else if step["input"].is_object() {
            let (now, input) = (Time(step["now"].as_u64().expect("now")), input_from(&step["input"]));
            recorder.input(now, &input);
            peer.handle(now, input).expect("a legal input");
        } else {
            let target: Target = target_from(&step["transmit"]);
            let bytes = peer.poll_transmit(target);
            recorder.transmit(target, bytes.as_ref());
        }
        while let Some(delivery) = reads.then(|| peer.poll_delivery(&channel())).flatten() {
            recorder.delivery(&delivery);
        }
        while let Some(output) = peer.poll_output() {
            recorder.output(&output);
        }
    }
    recorder.steps
}

/// Compact enough to review: one step a line.
fn to_text(trace: &Value) -> String {
    let lines: Vec<_> = trace["steps"].as_array().unwrap().iter().map(|step| format!("    {step}")).collect();
    let (description, config) = (&trace["description"], &trace["config"]);
    format!(
        "{{\n  \"description\": {description},\n  \"config\": {config},\n  \"steps\": [\n{}\n  ]\n}}\n",
        lines.join(",\n")
    )
}

#[test]
fn a_peer_does_what_the_traces_say() {
    for scenario in scenarios() {
        let path = path(scenario.name);
        if std::env::var_os("UPDATE_TRACES").is_some() {
            std::fs::write(&path, to_text(&record(&scenario))).unwrap();
        }
        let text =
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let trace: Value = serde_json::from_str(&text).unwrap();
        let expected = trace["steps"].as_array().unwrap();
        assert!(expected.len() > 20, "{} hardly does anything", scenario.name);
        for (number, (expected, got)) in expected.iter().zip(replay(&trace)).enumerate() {
            assert_eq!(*expected, got, "{} step {number}", scenario.name);
        }
    }
}

#[test]
fn every_trace_belongs_to_a_scenario_and_the_scenarios_still_give_them() {
    let names: Vec<_> = scenarios().iter().map(|scenario| format!("{}.json", scenario.name)).collect();
    for entry in std::fs::read_dir(path("").parent().unwrap()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(names.contains(&name), "{name} is nobody's");
    }
    for scenario in scenarios() {
        let recorded: Value =
            serde_json::from_str(&std::fs::read_to_string(path(scenario.name)).unwrap()).unwrap();
        let now = record(&scenario);
        assert_eq!(recorded["config"], now["config"], "{}", scenario.name);
        let steps = |trace: &Value| trace["steps"].as_array().unwrap().clone();
        let same = steps(&recorded).iter().zip(steps(&now)).take_while(|(old, new)| *old == new).count();
        let (old, new) = (steps(&recorded).len(), steps(&now).len());
        assert!(
            same == old && same == new,
            "{} is stale from step {same} on: UPDATE_TRACES=1 records it anew",
            scenario.name
        );
    }
}
