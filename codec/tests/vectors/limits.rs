//! `limits.json`: items exactly at a limit, which must be taken.

use serde_json::{Value, json};
use tiercast_codec::{
    DecodeError, Ed25519, Frame, Item, LinkMessage, Signer, ToHub, ToPeer, WireMessage,
    limits::{CONTROL_BYTES_MAX, FRAME_EVENTS_MAX, FRAME_INFLATED_BYTES_MAX, FRAME_PAYLOAD_BYTES_MAX},
};

use crate::{
    files,
    json::{bytes_from_json, bytes_to_json},
    key, public_key, ranges,
    raw::{self, CHANNEL, RawFrame, map, text},
};

#[test]
fn what_is_exactly_at_a_limit_is_taken() {
    for case in files::golden("limits.json", built(), same) {
        let name = case["name"].as_str().unwrap();
        let bytes = bytes_from_json(&case["bytes"]);
        let taken: Result<(), DecodeError> = match case["kind"].as_str().unwrap() {
            "frame_events" => {
                check_frame(&case, &bytes);
                Ok(())
            }
            "item" => Item::all(bytes.into()).map(drop),
            "to_hub" => ToHub::decode(&bytes).map(drop),
            "to_peer" => ToPeer::decode(&bytes).map(drop),
            "link" => LinkMessage::decode(&bytes).map(drop),
            other => panic!("no such kind: {other}"),
        };
        taken.unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

fn same(golden: &Value, built: &Value) -> bool {
    let name = built["name"].as_str().unwrap();
    if name.starts_with("compressed_") { files::except(&["/bytes"])(golden, built) } else { golden == built }
}

fn check_frame(case: &Value, bytes: &[u8]) {
    let frame = Frame::take(&mut bytes.to_vec().into()).unwrap();
    let channel = case["channel"].as_str().unwrap().parse().unwrap();
    assert!(frame.verify(&channel, &key().public_key(), &Ed25519), "{}", case["name"]);
    let events = frame.events().unwrap_or_else(|error| panic!("{}: {error}", case["name"]));
    let body_bytes: usize = events.iter().map(|event| event.message.body.len()).sum();
    assert_eq!(json!(events.len()), case["event_count"]);
    assert_eq!(json!(body_bytes), case["body_bytes"]);
}

fn built() -> Vec<Value> {
    let most_events: Vec<u8> = (1..=FRAME_EVENTS_MAX as u16).flat_map(small_event).collect();
    let most_events = [vec![0xdc, 0x10, 0x00], most_events].concat();
    let mut most = RawFrame::stored(FRAME_EVENTS_MAX as u32, most_events);
    most.last = most.after + FRAME_EVENTS_MAX as i64;

    let (largest, body_bytes) = event_of(FRAME_PAYLOAD_BYTES_MAX);
    let stored = RawFrame::stored(1, largest.clone());
    let inflated = RawFrame::deflated(1, FRAME_INFLATED_BYTES_MAX, raw::zlib(&largest));
    let deep = ping_with([vec![0x91; 5], vec![0x90]].concat());
    let limits = vec![
        frame("most_events", &most, FRAME_EVENTS_MAX, 0),
        frame("largest_payload", &stored, 1, body_bytes),
        frame("compressed_largest_inflated_payload", &inflated, 1, body_bytes),
        case("item", "control_message_largest", &largest_ping()),
        case("to_hub", "to_hub_message_largest", &largest_ping()),
        case("to_peer", "to_peer_message_largest", &largest_ping()),
        case("link", "link_message_largest", &largest_ping()),
        case("to_hub", "unknown_field_nested_7_deep", &deep),
    ];
    [limits, ranges::edges()].concat()
}

pub fn case(kind: &str, name: &str, bytes: &[u8]) -> Value {
    json!({ "name": name, "kind": kind, "bytes": bytes_to_json(bytes) })
}

fn frame(name: &str, frame: &RawFrame, event_count: usize, body_bytes: usize) -> Value {
    json!({
        "name": name,
        "kind": "frame_events",
        "channel": CHANNEL,
        "public_key": public_key(),
        "bytes": bytes_to_json(&frame.bytes()),
        "event_count": event_count,
        "body_bytes": body_bytes,
    })
}

/// An event without anything in it.
fn small_event(offset: u16) -> Vec<u8> {
    let [high, low] = offset.to_be_bytes();
    vec![0x98, 0xcd, high, low, 0xa0, 0xa0, 0xc0, 0xc0, 0xc0, 0x80, 0xc4, 0x00]
}

/// An array of one event that takes exactly so many bytes, and the length of its body.
fn event_of(payload_bytes: usize) -> (Vec<u8>, usize) {
    let payload = |body_bytes: usize| {
        let body = [vec![0xc6], (body_bytes as u32).to_be_bytes().to_vec(), vec![b'x'; body_bytes]].concat();
        raw::array(&[raw::event_with(7, &body)])
    };
    let body_bytes = payload_bytes - payload(0).len();
    let payload = payload(body_bytes);
    assert_eq!(payload.len(), payload_bytes);
    (payload, body_bytes)
}

/// A ping with a field that nobody knows.
fn ping_with(unknown: Vec<u8>) -> Vec<u8> {
    map(&[("type", text("ping")), ("time_us", vec![1]), ("new", unknown)])
}

fn largest_ping() -> Vec<u8> {
    let start = ping_with(vec![0xc6]);
    let rest = CONTROL_BYTES_MAX - start.len() - 4;
    let message = [start, (rest as u32).to_be_bytes().to_vec(), vec![0; rest]].concat();
    assert_eq!(message.len(), CONTROL_BYTES_MAX);
    message
}
