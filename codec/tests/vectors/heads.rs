//! `heads.json`: heads, with what they say.

use serde_json::{Value, json};
use tiercast_codec::{BEFORE_FIRST, ChannelName, Ed25519, Head, Item, NUMBER_MAX, Position, Signer};

use crate::{files, json::bytes_from_json, json::hex, key, public_key, raw, raw::CHANNEL};

const FILE: &str = "heads.json";

/// What is in the file or, while it is being written, what will be.
pub fn golden() -> Vec<Value> {
    files::golden(FILE, built(), files::exactly)
}

#[test]
fn heads_decode_to_what_they_say_and_verify() {
    for case in golden() {
        let bytes = bytes_from_json(&case["bytes"]);
        let items = Item::all(bytes.into()).unwrap();
        let [Item::Head(head)] = items.as_slice() else { panic!("{} is a head", case["name"]) };
        let channel: ChannelName = case["channel"].as_str().unwrap().parse().unwrap();
        assert!(head.verify(&channel, &key().public_key(), &Ed25519), "{}", case["name"]);
        assert_eq!(json!(head.channel), case["channel_id"]);
        assert_eq!(channel.id(), head.channel);
        assert_eq!(json!(head.position), json!({ "epoch": case["epoch"], "offset": case["offset"] }));
        assert_eq!(json!(head.time_us), case["time_us"]);
    }
}

#[test]
fn a_head_made_byte_by_byte_is_the_same() {
    let (channel, position) = (CHANNEL.parse().unwrap(), Position::new(1_790_000_000_000, 50));
    let head = Head::sign(&channel, position, 1_790_000_000_000_000, &key());
    assert_eq!(head.bytes(), &raw::good_head());
}

fn built() -> Vec<Value> {
    let max = NUMBER_MAX as i64;
    [
        ("ordinary", CHANNEL, Position::new(1_790_000_000_000, 52), 1_790_000_000_123_456),
        ("nothing_yet", CHANNEL, Position::new(1_790_000_000_000, BEFORE_FIRST), 1_790_000_000_123_456),
        ("all_zero", CHANNEL, Position::new(0, 0), 0),
        ("largest_numbers", CHANNEL, Position::new(NUMBER_MAX, max), NUMBER_MAX),
        ("other_channel", "x", Position::new(1, 1), 1),
    ]
    .into_iter()
    .map(|(name, channel, position, time_us)| {
        let channel: ChannelName = channel.parse().unwrap();
        let head = Head::sign(&channel, position, time_us, &key());
        json!({
            "name": name,
            "channel": channel,
            "public_key": public_key(),
            "bytes": hex(head.bytes()),
            "channel_id": channel.id(),
            "epoch": position.epoch,
            "offset": position.offset,
            "time_us": time_us,
            "valid": true,
        })
    })
    .collect()
}
