//! The range of every integer in control and link messages: the edges are taken (`limits.json`), what is beyond them or
//! a float is not (`malformed.json`).

use serde_json::Value;
use tiercast_codec::NUMBER_MAX;

use crate::{
    limits::case as taken,
    malformed::case as refused,
    messages,
    raw::{float, map, text, wide},
};

/// A message: its family, its type, its integers with their least and largest values, and its other fields.
struct Shape {
    family: &'static str,
    kind: &'static str,
    integers: &'static [(&'static str, i8, u64)],
    others: &'static [&'static str],
}

const MAX_16: u64 = u16::MAX as u64;
const MAX_32: u64 = u32::MAX as u64;
const HOUR_MS: u64 = 3_600_000;
const ID: (&str, i8, u64) = ("id", 0, NUMBER_MAX);
const LINK: (&str, i8, u64) = ("link", 0, NUMBER_MAX);
const VIA: (&str, i8, u64) = ("via", 0, NUMBER_MAX);
const CODE: (&str, i8, u64) = ("code", 0, MAX_16);
const TIME: (&str, i8, u64) = ("time_us", 0, NUMBER_MAX);
const WINDOW: (&str, i8, u64) = ("window_bytes", 1, MAX_32);

const SHAPES: [Shape; 26] = [
    shape("to_hub", "hello", &[ID, ("protocol", 0, MAX_32)], &["client"]),
    shape("to_hub", "subscribe", &[ID, WINDOW], &["channel"]),
    shape("to_hub", "unsubscribe", &[ID], &["channel"]),
    shape("to_hub", "relay", &[("children_max", 0, MAX_16)], &["node"]),
    shape("to_hub", "feed", &[WINDOW, LINK, CODE], &["channel", "position"]),
    shape("to_hub", "fed", &[LINK], &["channel"]),
    shape("to_hub", "signal", &[LINK], &["signal"]),
    shape("to_hub", "report", &[LINK, CODE], &[]),
    shape("to_hub", "ping", &[TIME], &[]),
    shape("to_hub", "pong", &[TIME], &[]),
    shape(
        "to_peer",
        "welcome",
        &[
            ID,
            ("session", 0, NUMBER_MAX),
            ("peer", 0, NUMBER_MAX),
            ("server_time_us", 0, NUMBER_MAX),
            ("heartbeat_ms", 1, HOUR_MS),
            ("head_ms", 1, HOUR_MS),
        ],
        &["resume", "keys", "ice_servers"],
    ),
    shape(
        "to_peer",
        "subscribed",
        &[ID, ("channel_id", 0, MAX_32), ("head", -1, NUMBER_MAX)],
        &["channel", "position", "recovered"],
    ),
    shape("to_peer", "unsubscribed", &[ID], &["channel"]),
    shape(
        "to_peer",
        "assign",
        &[LINK, ("parent", 0, NUMBER_MAX), VIA],
        &["channel", "token", "offers", "standby"],
    ),
    shape("to_peer", "expect", &[LINK, ("child", 0, NUMBER_MAX), VIA], &["channel", "token", "offers"]),
    shape("to_peer", "place", &[("tier", 0, MAX_32)], &["channel"]),
    shape("to_peer", "signal", &[LINK], &["signal"]),
    shape("to_peer", "lost", &[LINK, CODE], &[]),
    shape("to_peer", "away", &[LINK], &[]),
    shape("to_peer", "error", &[ID, CODE, ("retry_after_ms", 0, HOUR_MS)], &["reason"]),
    shape("to_peer", "ping", &[TIME], &[]),
    shape("to_peer", "pong", &[TIME], &[]),
    shape("link", "join", &[("channel", 0, MAX_32), WINDOW], &["token", "position", "hold"]),
    shape("link", "bye", &[CODE], &[]),
    shape("link", "ping", &[TIME], &[]),
    shape("link", "pong", &[TIME], &[]),
];

const fn shape(
    family: &'static str,
    kind: &'static str,
    integers: &'static [(&'static str, i8, u64)],
    others: &'static [&'static str],
) -> Shape {
    Shape { family, kind, integers, others }
}

/// Messages with one integer at an edge of its range.
pub fn edges() -> Vec<Value> {
    each(|shape, name, min, max| {
        let edge = |what, value| taken(shape.family, &shape.name(name, what), &shape.with(name, value));
        vec![edge("least", small(min)), edge("largest", wide(max))]
    })
}

/// Messages with one integer just beyond its range, as far as 64 bits go, or written as a float.
pub fn outside() -> Vec<Value> {
    each(|shape, name, min, max| {
        let beyond = |what, value| {
            refused(shape.family, &shape.name(name, what), &shape.with(name, value), "bad_message")
        };
        vec![
            beyond("below", small(min - 1)),
            beyond("above", wide(max + 1)),
            beyond("64_bits", wide(u64::MAX)),
            beyond("float", float(1.0)),
        ]
    })
}

fn each(cases: impl Fn(&Shape, &str, i8, u64) -> Vec<Value>) -> Vec<Value> {
    let of = |shape: &Shape| -> Vec<Value> {
        shape.integers.iter().flat_map(|(name, min, max)| cases(shape, name, *min, *max)).collect()
    };
    SHAPES.iter().flat_map(of).collect()
}

/// A msgpack integer of one byte, -32 to 127.
fn small(number: i8) -> Vec<u8> {
    vec![number as u8]
}

impl Shape {
    fn name(&self, field: &str, what: &str) -> String {
        format!("range_{}_{}_{field}_{what}", self.family, self.kind)
    }

    /// The message in which the integer `changed` is `value`.
    fn with(&self, changed: &str, value: Vec<u8>) -> Vec<u8> {
        let integer = |(name, ..): &(&'static str, i8, u64)| {
            (*name, if *name == changed { value.clone() } else { small(1) })
        };
        let others = self.others.iter().map(|name| (*name, good(name)));
        let fields = self.integers.iter().map(integer).chain(others);
        map(&std::iter::once(("type", text(self.kind))).chain(fields).collect::<Vec<_>>())
    }
}

/// A value for a field that is no integer.
fn good(name: &str) -> Vec<u8> {
    match name {
        "channel" => text("builds"),
        "position" => map(&[("epoch", small(1)), ("offset", small(5))]),
        "signal" => map(&[("kind", text("offer")), ("sdp", text("v=0"))]),
        "node" => text("browser"),
        "token" | "resume" => [vec![0xc4, 16], vec![0xf0; 16]].concat(),
        "keys" | "ice_servers" => vec![0x90],
        "recovered" | "offers" | "standby" | "hold" => vec![0xc3],
        _ => text("x"),
    }
}

#[test]
fn every_integer_of_every_message_has_a_range() {
    let is_known = |family: &Value, kind: &Value, name: &str| {
        let mut shapes = SHAPES.iter().filter(|shape| *family == shape.family && *kind == shape.kind);
        shapes.any(|shape| shape.integers.iter().any(|(integer, ..)| *integer == name))
    };
    for case in messages::built() {
        let message = &case["message"];
        for (name, value) in message.as_object().unwrap() {
            let is_integer = value.is_u64() || value.is_i64();
            assert!(!is_integer || is_known(&case["family"], &message["type"], name), "{name} of {message}");
        }
    }
}
