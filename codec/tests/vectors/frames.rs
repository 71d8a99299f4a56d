//! `frames.json`: frames of every kind, with what they hold.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tiercast_codec::{
    BEFORE_FIRST, ChannelName, Ed25519, Event, Frame, HeaderValue, Item, Message, NUMBER_MAX, Position,
    Sealer, Signer,
};

use crate::{
    files,
    json::{bytes_from_json, bytes_to_json, events_from_json, events_to_json},
    key, public_key,
    raw::{self, CHANNEL, RawFrame},
};

const FILE: &str = "frames.json";
const MAX: i64 = NUMBER_MAX as i64;
const TIME_US: u64 = 1_790_000_000_123_456;
/// What hangs on the compressor of the build.
const COMPRESSED: [&str; 2] = ["/bytes", "/header/payload_bytes"];

/// What is in the file or, while it is being written, what will be.
pub fn golden() -> Vec<Value> {
    files::golden(FILE, built(), |golden, built| {
        let is_deflated = built["header"]["deflated"].as_bool().unwrap();
        if is_deflated { files::except(&COMPRESSED)(golden, built) } else { golden == built }
    })
}

#[test]
fn frames_decode_to_what_they_hold_and_verify() {
    for case in golden() {
        let name = case["name"].as_str().unwrap();
        let (channel, frame) = read(&case);
        assert!(frame.verify(&channel, &key().public_key(), &Ed25519), "{name}");
        assert_eq!(case["public_key"], public_key(), "{name}");
        assert_eq!(header_to_json(&frame), case["header"], "{name}");
        assert_eq!(channel.id(), frame.header().channel, "{name}");
        let events = frame.events().unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(events_to_json(&events), case["events"], "{name}");
        assert_eq!(case["valid"], true, "{name}");
    }
}

#[test]
fn sealing_what_a_vector_says_gives_its_bytes() {
    let mut sealer = Sealer::default();
    let cases = golden().into_iter().filter(|case| case["canonical"] == true);
    for case in cases {
        let (channel, golden) = read(&case);
        let header = golden.header();
        let events = events_from_json(&case["events"]);
        let before = golden.position_before();
        let frame = sealer.seal(&channel, before, header.last, header.time_us, &events, &key()).unwrap();
        if header.deflated {
            assert!(frame.header().deflated, "{}", case["name"]);
            assert_eq!(frame.header().inflated_bytes, header.inflated_bytes, "{}", case["name"]);
        } else {
            assert_eq!(frame.bytes(), golden.bytes(), "{}", case["name"]);
        }
    }
}

#[test]
fn frames_of_one_message_come_apart_again() {
    let frames: Vec<_> = golden().iter().map(|case| read(case).1).collect();
    let message: Vec<u8> = frames.iter().flat_map(|frame| frame.bytes().to_vec()).collect();
    let items = Item::all(message.into()).unwrap();
    assert_eq!(items, frames.into_iter().map(Item::Frame).collect::<Vec<_>>());
}

fn read(case: &Value) -> (ChannelName, Frame) {
    let mut items = Item::all(bytes_from_json(&case["bytes"]).into()).unwrap();
    let Some(Item::Frame(frame)) = items.pop() else { panic!("{} is a frame", case["name"]) };
    assert!(items.is_empty());
    (case["channel"].as_str().unwrap().parse().unwrap(), frame)
}

fn built() -> Vec<Value> {
    sealed().into_iter().chain(handmade()).collect()
}

/// Frames as the server makes them.
fn sealed() -> Vec<Value> {
    let text = "a rather long text that repeats, a rather long text that repeats".repeat(3);
    let at = |offset| Position::new(1_790_000_000_000, offset);
    let holes = [42, 47, 50].map(|offset| event(offset, Message { body: "{}".into(), ..plain() }));
    let many: Vec<_> = (0..20).map(|i| event(1000 + i, build(i))).collect();
    let bytes: Vec<u8> = (0..=255).collect();
    let header_case = |name, headers: Vec<(&str, HeaderValue)>| {
        let headers = headers.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        seal(name, CHANNEL, at(41), 42, &[event(42, Message { headers, ..plain() })])
    };
    let timestamp =
        |offset, timestamp| event(offset, Message { timestamp: Some(timestamp), ..Message::default() });
    vec![
        seal("smallest", CHANNEL, Position::new(1, BEFORE_FIRST), 0, &[event(0, Message::default())]),
        seal("stored", CHANNEL, at(41), 42, &[event(42, plain())]),
        seal("deflated", CHANNEL, at(41), 42, &[event(42, Message { body: text.into(), ..plain() })]),
        seal("several_events", CHANNEL, at(999), 1019, &many),
        seal("holes_in_offsets", CHANNEL, at(40), 52, &holes),
        seal("no_events", CHANNEL, at(52), 60, &[]),
        seal("all_properties", CHANNEL, at(41), 42, &[event(42, build(3))]),
        seal("empty_body", CHANNEL, at(41), 42, &[event(42, Message { body: "".into(), ..build(4) })]),
        seal("binary_body", CHANNEL, at(41), 42, &[event(42, Message { body: bytes.into(), ..plain() })]),
        seal("text_beyond_ascii", CHANNEL, at(41), 42, &[event(42, beyond_ascii())]),
        seal(
            "timestamps",
            CHANNEL,
            at(41),
            45,
            &[timestamp(42, 0), timestamp(43, 1 << 53), timestamp(44, u64::MAX)],
        ),
        seal("epoch_zero", CHANNEL, Position::new(0, 5), 6, &[event(6, plain())]),
        seal("largest_numbers", CHANNEL, Position::new(NUMBER_MAX, MAX - 1), MAX, &[event(MAX, plain())]),
        seal("widest_range", CHANNEL, at(BEFORE_FIRST), MAX, &[event(0, plain()), event(MAX, plain())]),
        seal("shortest_channel_name", "x", at(41), 42, &[event(42, plain())]),
        seal("longest_channel_name", &"Az09._-x".repeat(16), at(41), 42, &[event(42, plain())]),
        header_case("headers_scalar", scalars()),
        header_case("headers_int", ints()),
        header_case("headers_float", floats()),
        header_case("headers_nested", vec![("list", list()), ("map", table())]),
        header_case("headers_deepest", vec![("deep", deepest(16)), ("empty", HeaderValue::List(vec![]))]),
    ]
}

/// Frames that are good although the server would not make them so.
fn handmade() -> Vec<Value> {
    let good = raw::array(&[raw::event(1), raw::event(9)]);
    let filtered = |mut frame: RawFrame| {
        frame.flags |= 2;
        frame
    };
    let deflated = |payload: Vec<u8>| RawFrame::deflated(2, good.len(), payload);
    let wide = [
        [vec![0xdd, 0, 0, 0, 1], vec![0xdc, 0, 8]].concat(),
        [vec![0xcf], 1u64.to_be_bytes().to_vec()].concat(),
        [vec![0xdb, 0, 0, 0, 4], b"wide".to_vec()].concat(),
        vec![0xda, 0, 0],
        [vec![0xd9, 1], b"c".to_vec()].concat(),
        vec![0xc0],
        [vec![0xd3], 7i64.to_be_bytes().to_vec()].concat(),
        [vec![0xdf, 0, 0, 0, 2], raw::text("f"), vec![0xca], 1.5f32.to_be_bytes().to_vec()].concat(),
        [raw::text("i"), vec![0xd2], (-1i32).to_be_bytes().to_vec()].concat(),
        [vec![0xc6, 0, 0, 0, 1], b"b".to_vec()].concat(),
    ];
    let repeated = b"abcabcabcabcabcabcabcabcabcabcabcabc";
    let overlapping = event_with_body(repeated);
    vec![
        handmade_case("filtered", &filtered(RawFrame::stored(2, good.clone()))),
        handmade_case("filtered_deflated", &filtered(deflated(raw::zlib(&good)))),
        handmade_case("zlib_stored_blocks", &deflated(raw::zlib_stored(&good))),
        handmade_case(
            "zlib_several_stored_blocks",
            &RawFrame::deflated(
                1,
                event_with_body(&[b'x'; 250]).len(),
                raw::zlib_stored(&event_with_body(&[b'x'; 250])),
            ),
        ),
        handmade_case(
            "zlib_overlapping_copy",
            &RawFrame::deflated(1, overlapping.len(), raw::zlib(&overlapping)),
        ),
        handmade_case("msgpack_wider_than_needed", &RawFrame::stored(1, wide.concat())),
    ]
}

fn event_with_body(body: &[u8]) -> Vec<u8> {
    let body = [vec![0xc4, body.len() as u8], body.to_vec()].concat();
    raw::array(&[raw::event_with(7, &body)])
}

fn seal(name: &str, channel: &str, before: Position, last: i64, events: &[Event]) -> Value {
    let channel: ChannelName = channel.parse().unwrap();
    let time_us = if last == MAX { NUMBER_MAX } else { TIME_US };
    let frame = Sealer::default().seal(&channel, before, last, time_us, events, &key()).unwrap();
    case(name, &channel, &frame, events, true)
}

fn handmade_case(name: &str, raw: &RawFrame) -> Value {
    let frame = Frame::take(&mut raw.bytes().into()).unwrap();
    let events = frame.events().unwrap_or_else(|error| panic!("{name}: {error}"));
    case(name, &CHANNEL.parse().unwrap(), &frame, &events, false)
}

fn case(name: &str, channel: &ChannelName, frame: &Frame, events: &[Event], canonical: bool) -> Value {
    json!({
        "name": name,
        "channel": channel,
        "public_key": public_key(),
        "bytes": bytes_to_json(frame.bytes()),
        "header": header_to_json(frame),
        "events": events_to_json(events),
        "canonical": canonical,
        "valid": true,
    })
}

fn header_to_json(frame: &Frame) -> Value {
    let header = frame.header();
    json!({
        "deflated": header.deflated,
        "filtered": header.filtered,
        "channel_id": header.channel,
        "epoch": header.epoch,
        "after": header.after,
        "last": header.last,
        "time_us": header.time_us,
        "event_count": header.event_count,
        "inflated_bytes": header.inflated_bytes,
        "payload_bytes": header.payload_bytes,
    })
}

fn event(offset: i64, message: Message) -> Event {
    Event { offset, message }
}

fn plain() -> Message {
    Message {
        routing_key: "build.done".into(),
        exchange: "ci".into(),
        body: "{}".into(),
        ..Message::default()
    }
}

fn build(number: i64) -> Message {
    let headers = [("attempt".to_owned(), HeaderValue::Int(number))];
    Message {
        routing_key: format!("build.linux-{}.done", number % 4),
        exchange: "exchange/ci/v1/builds".into(),
        content_type: Some("application/json".into()),
        message_id: Some(format!("{number:08x}-5d1f-4b6e-9c3a-2f7e8d9c0b1a")),
        timestamp: Some(1_790_000_000 + number as u64),
        headers: headers.into(),
        body: format!(r#"{{"task":"t{number}","state":"completed","worker":"linux-{}"}}"#, number % 4).into(),
    }
}

fn beyond_ascii() -> Message {
    let headers = [("gr\u{fc}n".to_owned(), HeaderValue::Text("\u{1f333}\u{0}\u{feff}".into()))];
    Message {
        routing_key: "b\u{e4}ume.\u{6811}".into(),
        exchange: "\u{feff}mark".into(),
        message_id: Some("\u{10ffff}".into()),
        headers: headers.into(),
        body: "\u{1f333}".into(),
        ..Message::default()
    }
}

fn scalars() -> Vec<(&'static str, HeaderValue)> {
    vec![
        ("", HeaderValue::Text("under an empty key".into())),
        ("__proto__", HeaderValue::Text("a key like any other".into())),
        ("bytes", HeaderValue::Bytes(vec![0xff, 0x00, 0xfe].into())),
        ("bytes_empty", HeaderValue::Bytes(vec![].into())),
        ("false", HeaderValue::Bool(false)),
        ("long", HeaderValue::Text("0123456789".repeat(4))),
        ("null", HeaderValue::Null),
        ("text_empty", HeaderValue::Text(String::new())),
        ("true", HeaderValue::Bool(true)),
    ]
}

fn ints() -> Vec<(&'static str, HeaderValue)> {
    let ints = [
        ("a", 0),
        ("b", 127),
        ("c", 128),
        ("d", 255),
        ("e", 256),
        ("f", 65_536),
        ("g", u32::MAX.into()),
        ("h", 1 << 32),
        ("i", MAX),
        ("j", MAX + 1),
        ("k", MAX + 2),
        ("l", i64::MAX),
        ("m", -1),
        ("n", -32),
        ("o", -33),
        ("p", -128),
        ("q", -129),
        ("r", -32_769),
        ("s", i32::MIN.into()),
        ("t", i64::from(i32::MIN) - 1),
        ("u", -MAX),
        ("v", -MAX - 2),
        ("w", i64::MIN),
    ];
    ints.map(|(key, value)| (key, HeaderValue::Int(value))).into()
}

fn floats() -> Vec<(&'static str, HeaderValue)> {
    let floats = [
        ("half", 0.5),
        ("infinity", f64::INFINITY),
        ("largest", f64::MAX),
        ("like_an_integer", 2.0),
        ("minus_infinity", f64::NEG_INFINITY),
        ("minus_zero", -0.0),
        ("nan", f64::from_bits(0x7ff8_0000_0000_0000)),
        ("smallest", f64::from_bits(1)),
    ];
    floats.map(|(key, value)| (key, HeaderValue::Float(value))).into()
}

fn list() -> HeaderValue {
    HeaderValue::List(vec![
        HeaderValue::Null,
        HeaderValue::Int(-5),
        HeaderValue::List(vec![]),
        HeaderValue::Map(BTreeMap::new()),
        HeaderValue::List(vec![HeaderValue::Text("inner".into()), HeaderValue::Bytes(vec![1].into())]),
    ])
}

fn table() -> HeaderValue {
    let inner = [("x".to_owned(), HeaderValue::Float(1.25))];
    let entries = [
        ("inner".to_owned(), HeaderValue::Map(inner.into())),
        ("list".to_owned(), list()),
        ("type".to_owned(), HeaderValue::Text("int".into())),
    ];
    HeaderValue::Map(entries.into())
}

/// A list in a list and so on, `levels` in all.
pub fn deepest(levels: usize) -> HeaderValue {
    (0..levels).fold(HeaderValue::Null, |inner, level| match level {
        0 => HeaderValue::List(vec![]),
        _ => HeaderValue::List(vec![inner]),
    })
}
