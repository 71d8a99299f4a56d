//! `messages.json`: every message of every family, with and without what is optional.

use std::{collections::BTreeSet, num::NonZeroU32};

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tiercast_codec::{
    Assign, At, Away, BEFORE_FIRST, Bye, ChannelAt, ChannelName, Code, ErrorMessage, Expect, Fed, Feed,
    FixedBytes, Gap, GapReason, Have, Hello, Hold, IceServer, Item, Join, Joined, LinkId, LinkMessage,
    LinkRole, LivingLink, Lost, NUMBER_MAX, NodeKind, PeerId, Ping, Place, Pong, Position, Relay, Report,
    Resume, SendMessage, SessionId, Signal, SignalMessage, Since, Subscribe, Subscribed, ToHub, ToPeer,
    Unsubscribe, Unsubscribed, Welcome, WireMessage,
};

use crate::{
    files,
    json::{bytes_from_json, bytes_to_json, hex},
    key,
    raw::{float, map, text},
};
use tiercast_codec::Signer;

const FILE: &str = "messages.json";
const TIME_US: u64 = 1_790_000_000_123_456;

#[test]
fn messages_decode_to_what_they_say_and_encode_to_their_bytes() {
    for case in files::golden(FILE, built(), files::exactly) {
        match case["family"].as_str().unwrap() {
            "to_hub" => check::<ToHub>(&case),
            "to_peer" => check::<ToPeer>(&case),
            "link" => check::<LinkMessage>(&case),
            other => panic!("no such family: {other}"),
        }
    }
}

fn check<M: WireMessage + DeserializeOwned + PartialEq + std::fmt::Debug>(case: &Value) {
    let name = &case["name"];
    let bytes = bytes_from_json(&case["bytes"]);
    let message: M = serde_json::from_value(case["message"].clone()).unwrap();
    assert_eq!(M::decode(&bytes).unwrap_or_else(|error| panic!("{name}: {error}")), message, "{name}");
    assert_eq!(serde_json::to_value(&message).unwrap(), case["message"], "{name}");
    if case["canonical"] == true {
        assert_eq!(hex(&message.encode()), hex(&bytes), "{name}");
    } else {
        assert_ne!(hex(&message.encode()), hex(&bytes), "{name}");
    }
    assert_eq!(Item::all(bytes.clone().into()).unwrap(), [Item::Control(bytes.into())], "{name}");
}

#[test]
fn every_type_of_message_has_a_vector() {
    let golden = files::golden(FILE, built(), files::exactly);
    let families = [("to_hub", ToHub::TYPES), ("to_peer", ToPeer::TYPES), ("link", LinkMessage::TYPES)];
    for (family, types) in families {
        let cases = golden.iter().filter(|case| case["family"] == family);
        let seen: BTreeSet<_> = cases.map(|case| case["message"]["type"].as_str().unwrap()).collect();
        assert_eq!(seen, types.iter().copied().collect(), "{family}");
    }
}

pub fn built() -> Vec<Value> {
    [to_hub(), to_peer(), link(), unusual()].concat()
}

fn case<M: WireMessage>(family: &str, name: &str, message: &M) -> Value {
    json!({
        "family": family,
        "name": name,
        "bytes": bytes_to_json(&message.encode()),
        "message": message,
        "canonical": true,
    })
}

fn channel() -> ChannelName {
    "builds".parse().unwrap()
}

fn position() -> Position {
    Position::new(1_790_000_000_000, 41)
}

/// What a peer that keeps 8 MiB asks for.
fn window() -> NonZeroU32 {
    NonZeroU32::new(256 << 10).unwrap()
}

fn token() -> FixedBytes<16> {
    FixedBytes(std::array::from_fn(|i| 0xf0 | i as u8))
}

fn candidate() -> Signal {
    Signal::Candidate {
        candidate: "candidate:1 1 udp 2130706431 192.0.2.1 54321 typ host".into(),
        mid: "0".into(),
    }
}

fn to_hub() -> Vec<Value> {
    let subscribe = |since, window_bytes, relay| {
        let (channel, links) = (channel(), Vec::new());
        ToHub::Subscribe(Subscribe { id: 2, channel, since, window_bytes, relay, links })
    };
    let again = |links| {
        let (channel, since, window_bytes) = (channel(), Since::Position(position()), window());
        let relay = Some(Relay { node: NodeKind::Native, children_max: 4 });
        ToHub::Subscribe(Subscribe { id: 2, channel, since, window_bytes, relay, links })
    };
    let living =
        |link, peer, role| LivingLink { link: LinkId(link), peer: PeerId(peer), role, token: token() };
    let hello =
        |id, client: &str, resume| ToHub::Hello(Hello { id, protocol: 1, client: client.into(), resume });
    let resume = Resume { peer: PeerId(1_790_000_000_000_034), token: token() };
    let since = Since::Position(position());
    let earliest = Since::Position(Position::new(0, BEFORE_FIRST));
    let browser = Relay { node: NodeKind::Browser, children_max: 4 };
    let native = Relay { node: NodeKind::Native, children_max: u16::MAX };
    let leaf = Relay { node: NodeKind::Browser, children_max: 0 };
    let signal = |signal| ToHub::Signal(SignalMessage { link: LinkId(7), signal });
    let feed = |link, code| {
        let (channel, position, window_bytes) = (channel(), position(), window());
        ToHub::Feed(Feed { channel, position, window_bytes, link, code })
    };
    [
        ("hello", hello(1, "tiercast-peer/0.1.0", None)),
        ("hello_without_client_name", hello(NUMBER_MAX, "", None)),
        ("hello_again", hello(1, "tiercast-peer/0.1.0", Some(resume))),
        ("subscribe_now", subscribe(Since::Now, window(), None)),
        ("subscribe_earliest_as_browser", subscribe(Since::Earliest, window(), Some(browser))),
        ("subscribe_since_position_as_native", subscribe(since, NonZeroU32::MAX, Some(native))),
        ("subscribe_since_before_first_as_leaf", subscribe(earliest, NonZeroU32::MIN, Some(leaf))),
        ("subscribe_with_a_parent", again(vec![living(7, 5, LinkRole::Parent)])),
        (
            "subscribe_with_two_children",
            again(vec![living(8, 6, LinkRole::Child), living(NUMBER_MAX, NUMBER_MAX, LinkRole::Child)]),
        ),
        (
            "subscribe_with_two_parents_and_one_that_holds_us",
            again(vec![
                living(7, 5, LinkRole::Parent),
                living(8, 6, LinkRole::Standby),
                living(9, 10, LinkRole::Held),
            ]),
        ),
        ("unsubscribe", ToHub::Unsubscribe(Unsubscribe { id: 3, channel: channel() })),
        ("relay", ToHub::Relay(browser)),
        ("relay_no_more", ToHub::Relay(leaf)),
        ("feed_without_link", feed(None, Code::LAGGING)),
        ("feed_with_link", feed(Some(LinkId(7)), Code::BAD_SIGNATURE)),
        ("fed", ToHub::Fed(Fed { channel: channel(), link: LinkId(7) })),
        ("at", ToHub::At(ChannelAt { channel: channel(), position: position() })),
        ("pull", ToHub::Pull(ChannelAt { channel: channel(), position: position() })),
        ("signal_offer", signal(Signal::Offer { sdp: "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\n".into() })),
        ("signal_answer", signal(Signal::Answer { sdp: "v=0\r\n".into() })),
        ("signal_candidate", signal(candidate())),
        ("report", ToHub::Report(Report { link: LinkId(u32::MAX.into()), code: Code::SILENT })),
        ("report_code_of_a_newer_build", ToHub::Report(Report { link: LinkId(7), code: Code(3999) })),
        ("ping", ToHub::Ping(Ping { time_us: 0 })),
        ("pong", ToHub::Pong(Pong { time_us: TIME_US })),
    ]
    .map(|(name, message)| case("to_hub", name, &message))
    .into()
}

fn to_peer() -> Vec<Value> {
    let stun =
        IceServer { urls: vec!["stun:stun.example.org:3478".into()], username: None, credential: None };
    let turn = IceServer {
        urls: vec!["turn:turn.example.org".into(), "turns:turn.example.org".into()],
        username: Some("user".into()),
        credential: Some("secret".into()),
    };
    let welcome = |keys, ice_servers| {
        ToPeer::Welcome(Welcome {
            id: 1,
            session: SessionId(12),
            peer: PeerId(34),
            resume: token(),
            server_time_us: TIME_US,
            keys,
            heartbeat_ms: 10_000,
            head_ms: 1_000,
            ice_servers,
        })
    };
    let subscribed = |position, head, recovered| {
        let (channel, channel_id) = (channel(), channel().id());
        ToPeer::Subscribed(Subscribed { id: 2, channel, channel_id, position, head, recovered })
    };
    let assign = |offers, standby, via| {
        ToPeer::Assign(Assign {
            channel: channel(),
            link: LinkId(7),
            parent: PeerId(5),
            token: token(),
            offers,
            standby,
            via,
        })
    };
    let expect = |offers, via| {
        ToPeer::Expect(Expect {
            channel: channel(),
            link: LinkId(7),
            child: PeerId(34),
            token: token(),
            offers,
            via,
        })
    };
    let signal = |signal| ToPeer::Signal(SignalMessage { link: LinkId(7), signal });
    let gap = |from: Position, to, reason| ToPeer::Gap(Gap { channel: channel(), from, to, reason });
    let error = |id, code, retry_after_ms| {
        ToPeer::Error(ErrorMessage {
            id,
            code,
            reason: "what is wrong and what to do".into(),
            retry_after_ms,
        })
    };
    let one_key = vec![FixedBytes(key().public_key())];
    let two_keys = vec![FixedBytes(key().public_key()), FixedBytes([0; 32])];
    let new_epoch = Position::new(1_790_000_000_001, BEFORE_FIRST);
    let place = |tier| ToPeer::Place(Place { channel: channel(), tier });
    [
        ("welcome", welcome(one_key, vec![])),
        ("welcome_with_two_keys_and_ice_servers", welcome(two_keys, vec![stun, turn])),
        ("subscribed", subscribed(position(), 52, true)),
        ("subscribed_empty_channel", subscribed(Position::new(1, BEFORE_FIRST), BEFORE_FIRST, false)),
        ("unsubscribed", ToPeer::Unsubscribed(Unsubscribed { id: 3, channel: channel() })),
        ("assign_offering", assign(true, false, None)),
        ("assign_answering", assign(false, false, None)),
        ("assign_standby", assign(true, true, None)),
        ("assign_via_another_link", assign(true, false, Some(LinkId(3)))),
        ("expect_offering", expect(true, None)),
        ("expect_answering", expect(false, None)),
        ("expect_via_another_link", expect(false, Some(LinkId(3)))),
        ("place_fed_by_the_server_only", place(0)),
        ("place_first_tier", place(1)),
        ("place_deep", place(300)),
        ("signal_offer", signal(Signal::Offer { sdp: "v=0\r\n".into() })),
        ("signal_answer", signal(Signal::Answer { sdp: "v=0\r\n".into() })),
        ("signal_candidate", signal(candidate())),
        ("lost", ToPeer::Lost(Lost { link: LinkId(7), code: Code::LOST })),
        ("away", ToPeer::Away(Away { link: LinkId(7) })),
        ("gap_retention", gap(position(), Position::new(1_790_000_000_000, 999), GapReason::Retention)),
        ("gap_epoch", gap(position(), new_epoch, GapReason::Epoch)),
        ("gap_source", gap(position(), Position::new(1_790_000_000_000, 42), GapReason::Source)),
        ("error_to_a_request", error(Some(2), Code::UNKNOWN_CHANNEL, None)),
        ("error_to_come_back_from", error(None, Code::SHUTDOWN, Some(1500))),
        ("error_with_everything", error(Some(2), Code::NOT_READY, Some(0))),
        ("ping", ToPeer::Ping(Ping { time_us: TIME_US })),
        ("pong", ToPeer::Pong(Pong { time_us: NUMBER_MAX })),
    ]
    .map(|(name, message)| case("to_peer", name, &message))
    .into()
}

fn link() -> Vec<Value> {
    let nothing_yet = Position::new(1_790_000_000_000, BEFORE_FIRST);
    let largest = Position::new(NUMBER_MAX, NUMBER_MAX as i64);
    let join = |position, window_bytes, hold| {
        LinkMessage::Join(Join { token: token(), channel: channel().id(), position, window_bytes, hold })
    };
    [
        ("join", join(position(), window(), false)),
        ("join_with_nothing_yet", join(nothing_yet, NonZeroU32::MAX, false)),
        ("join_a_standby", join(position(), window(), true)),
        ("joined", LinkMessage::Joined(Joined { position: position() })),
        ("at", LinkMessage::At(At { position: position() })),
        ("at_largest_position", LinkMessage::At(At { position: largest })),
        ("have", LinkMessage::Have(Have { position: position() })),
        ("send", LinkMessage::Send(SendMessage { position: position() })),
        ("hold", LinkMessage::Hold(Hold {})),
        ("bye", LinkMessage::Bye(Bye { code: Code::DEPARTED })),
        ("ping", LinkMessage::Ping(Ping { time_us: TIME_US })),
        ("pong", LinkMessage::Pong(Pong { time_us: TIME_US })),
    ]
    .map(|(name, message)| case("link", name, &message))
    .into()
}

/// Messages that nobody of this build sends but everybody takes.
fn unusual() -> Vec<Value> {
    let (time, nil) = (|| vec![0x05], || vec![0xc0]);
    let float_32 = vec![0xca, 0x3f, 0x80, 0x00, 0x00];
    let nested = map(&[("deeper", vec![0x93, 0x01, 0xc4, 0x01, 0xff, 0x80])]);
    let position = map(&[("hint", text("?")), ("offset", vec![0xff]), ("epoch", vec![0x01])]);
    let wide = |value: u64| [vec![0xcf], value.to_be_bytes().to_vec()].concat();
    let wide_position =
        map(&[("epoch", wide(1)), ("offset", [vec![0xd3], 41u64.to_be_bytes().to_vec()].concat())]);
    let subscribe = |more: &[(&str, Vec<u8>)]| {
        let known = [("type", text("subscribe")), ("id", vec![2]), ("channel", text("builds"))];
        map(&[&known, more, &[("window_bytes", wide(1 << 20))]].concat())
    };
    let feed = [("type", text("feed")), ("link", nil()), ("code", vec![0xcd, 0x0b, 0xb9])];
    let feed = [&feed[..], &[("channel", text("builds")), ("position", wide_position)]].concat();
    let feed = [&feed[..], &[("window_bytes", wide(1))]].concat();
    let error = [("type", text("error")), ("id", nil()), ("code", vec![0]), ("reason", text(""))];
    let error = [&error[..], &[("retry_after_ms", nil())]].concat();
    let map16 =
        [vec![0xde, 0, 2], map(&[("type", text("ping")), ("time_us", time())])[1..].to_vec()].concat();
    let at = map(&[("type", text("at")), ("position", position)]);
    vec![
        taken::<ToHub>(
            "to_hub",
            "unknown_fields",
            &map(&[("new", nested), ("type", text("ping")), ("time_us", time()), ("newer", nil())]),
        ),
        taken::<ToHub>(
            "to_hub",
            "unknown_field_of_an_extension_type",
            &map(&[("type", text("ping")), ("time_us", time()), ("new", vec![0xd4, 0x01, 0x09])]),
        ),
        taken::<ToHub>(
            "to_hub",
            "unknown_fields_that_are_floats",
            &map(&[("new", float(1.0)), ("type", text("ping")), ("time_us", time()), ("newer", float_32)]),
        ),
        taken::<ToHub>("to_hub", "type_comes_last", &map(&[("time_us", time()), ("type", text("ping"))])),
        taken::<ToHub>("to_hub", "map16", &map16),
        taken::<ToHub>("to_hub", "subscribe_without_optional_fields", &subscribe(&[])),
        taken::<ToHub>("to_hub", "subscribe_with_nil_relay", &subscribe(&[("relay", nil())])),
        taken::<ToHub>("to_hub", "subscribe_with_nil_links", &subscribe(&[("links", nil())])),
        taken::<ToHub>("to_hub", "feed_with_nil_link_and_wide_integers", &map(&feed)),
        taken::<ToPeer>("to_peer", "error_with_nil_for_optional_fields", &map(&error)),
        taken::<LinkMessage>("link", "unknown_field_inside_a_position", &at),
    ]
}

fn taken<M: WireMessage>(family: &str, name: &str, bytes: &[u8]) -> Value {
    let message = M::decode(bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
    json!({
        "family": family,
        "name": name,
        "bytes": bytes_to_json(bytes),
        "message": message,
        "canonical": false,
    })
}
