//! `signatures.json`: frames and heads with something changed, none of which may pass.

use bytes::Bytes;
use serde_json::{Value, json};
use tiercast_codec::{ChannelName, Ed25519, Item, Signer, SigningKey};

use crate::{
    files, frames, heads,
    json::{bytes_from_json, bytes_to_json, hex, unhex},
    key, public_key,
    raw::{self, CHANNEL},
};

/// Field, byte, bit, and what must come of flipping it.
type Flip = (&'static str, usize, u8, &'static str);

const FRAME_FLIPS: [Flip; 24] = [
    ("kind", 0, 0x10, "unknown_kind"),
    ("version", 1, 0x02, "unknown_version"),
    ("flag_filtered", 2, 0x02, "bad_signature"),
    ("flag_deflated", 2, 0x01, "bad_signature"),
    ("flag_unknown", 2, 0x04, "unknown_flags"),
    ("dictionary", 3, 0x01, "unknown_dictionary"),
    ("channel_id_first", 4, 0x80, "bad_signature"),
    ("channel_id_last", 7, 0x01, "bad_signature"),
    ("epoch_beyond_range", 8, 0x80, "out_of_range"),
    ("epoch_high", 9, 0x01, "bad_signature"),
    ("epoch_low", 15, 0x01, "bad_signature"),
    ("after_negative", 16, 0x80, "out_of_range"),
    ("after_low", 23, 0x01, "bad_signature"),
    ("last_beyond_range", 25, 0x40, "out_of_range"),
    ("last_high", 25, 0x01, "bad_signature"),
    ("time_low", 39, 0x01, "bad_signature"),
    ("event_count_beyond_limit", 40, 0x80, "too_large"),
    ("event_count_low", 43, 0x02, "bad_signature"),
    ("inflated_bytes_beyond_limit", 44, 0x80, "too_large"),
    ("inflated_bytes_low", 47, 0x01, "bad_signature"),
    ("payload_bytes_beyond_limit", 48, 0x80, "too_large"),
    ("payload_bytes_high", 49, 0x20, "truncated"),
    ("payload_first", 52, 0x01, "bad_signature"),
    ("payload_second", 53, 0x80, "bad_signature"),
];

const HEAD_FLIPS: [Flip; 14] = [
    ("kind", 0, 0x10, "unknown_kind"),
    ("version", 1, 0x80, "unknown_version"),
    ("reserved_first", 2, 0x01, "unknown_flags"),
    ("reserved_second", 3, 0x80, "unknown_flags"),
    ("channel_id_first", 4, 0x80, "bad_signature"),
    ("channel_id_last", 7, 0x01, "bad_signature"),
    ("epoch_beyond_range", 9, 0x20, "out_of_range"),
    ("epoch_low", 15, 0x01, "bad_signature"),
    ("offset_negative", 16, 0x80, "out_of_range"),
    ("offset_low", 23, 0x01, "bad_signature"),
    ("time_beyond_range", 24, 0x01, "out_of_range"),
    ("time_low", 31, 0x01, "bad_signature"),
    ("signature_first", 32, 0x01, "bad_signature"),
    ("signature_last", 95, 0x80, "bad_signature"),
];

#[test]
fn nothing_changed_passes() {
    for case in files::golden("signatures.json", built(), files::exactly) {
        let name = case["name"].as_str().unwrap();
        let channel = case["channel"].as_str().unwrap().parse().unwrap();
        let public_key = unhex(case["public_key"].as_str().unwrap()).try_into().unwrap();
        let came_of_it = outcome(bytes_from_json(&case["bytes"]).into(), &channel, &public_key);
        assert_eq!(came_of_it, case["error"], "{name}");
    }
}

#[test]
fn the_originals_pass() {
    let channel = CHANNEL.parse().unwrap();
    for case in [base_frames(), base_heads()].concat() {
        let bytes = bytes_from_json(&case["bytes"]).into();
        assert_eq!(outcome(bytes, &channel, &key().public_key()), "valid", "{}", case["name"]);
    }
}

fn outcome(bytes: Bytes, channel: &ChannelName, public_key: &[u8; 32]) -> &'static str {
    let items = match Item::all(bytes) {
        Ok(items) => items,
        Err(error) => return error.name(),
    };
    let is_good = match items.as_slice() {
        [Item::Frame(frame)] => frame.verify(channel, public_key, &Ed25519),
        [Item::Head(head)] => head.verify(channel, public_key, &Ed25519),
        other => panic!("neither frame nor head: {other:?}"),
    };
    if is_good { "valid" } else { "bad_signature" }
}

/// The compressed one comes from the file, so that its bytes are the same whatever compresses here.
fn base_frames() -> Vec<Value> {
    named(frames::golden(), &["stored", "deflated"])
}

fn base_heads() -> Vec<Value> {
    named(heads::golden(), &["ordinary"])
}

fn named(cases: Vec<Value>, names: &[&str]) -> Vec<Value> {
    let named: Vec<_> =
        cases.into_iter().filter(|case| names.iter().any(|name| case["name"] == *name)).collect();
    assert_eq!(named.len(), names.len());
    named
}

fn built() -> Vec<Value> {
    [flipped_frames(), flipped_heads(), mistaken()].concat()
}

fn flipped_frames() -> Vec<Value> {
    let mut cases = Vec::new();
    for frame in base_frames() {
        let bytes = bytes_from_json(&frame["bytes"]);
        let signature = bytes.len() - 64;
        let ends = [
            ("payload_last", signature - 1, 0x80, "bad_signature"),
            ("signature_first", signature, 0x01, "bad_signature"),
            ("signature_middle", signature + 32, 0x01, "bad_signature"),
            ("signature_last", signature + 63, 0x80, "bad_signature"),
        ];
        for flip in FRAME_FLIPS.into_iter().chain(ends) {
            let name = format!("frame_{}_{}", frame["name"].as_str().unwrap(), flip.0);
            cases.push(flipped(&name, "frame", &bytes, flip));
        }
    }
    cases
}

fn flipped_heads() -> Vec<Value> {
    let heads = base_heads();
    let bytes = bytes_from_json(&heads[0]["bytes"]);
    HEAD_FLIPS.map(|flip| flipped(&format!("head_{}", flip.0), "head", &bytes, flip)).into()
}

fn flipped(name: &str, kind: &str, bytes: &[u8], (_, at, bit, error): Flip) -> Value {
    let mut bytes = bytes.to_vec();
    bytes[at] ^= bit;
    case(name, kind, CHANNEL, &public_key(), &bytes, error)
}

/// Good bytes, taken for what they are not.
fn mistaken() -> Vec<Value> {
    let frame = raw::good_frame();
    let (bytes, head) = (frame.bytes(), raw::good_head());
    let stranger = SigningKey::from_seed(&[8; 32]);
    let strangers_key = hex(&stranger.public_key());
    let same_start = |signed_as: &str| frame.bytes_signed_as(signed_as);
    let zero_signature = |bytes: &[u8]| [&bytes[..bytes.len() - 64], &[0; 64]].concat();
    let swapped = [&bytes[..bytes.len() - 64], &head[head.len() - 64..]].concat();
    let bad = "bad_signature";
    vec![
        case("frame_of_another_channel", "frame", "builds2", &public_key(), &bytes, bad),
        case("frame_by_another_key", "frame", CHANNEL, &strangers_key, &bytes, bad),
        case(
            "frame_signed_in_the_context_of_heads",
            "frame",
            CHANNEL,
            &public_key(),
            &same_start("tiercast/1 head"),
            bad,
        ),
        case("frame_signed_in_no_context", "frame", CHANNEL, &public_key(), &same_start(""), bad),
        case(
            "frame_signed_in_a_later_context",
            "frame",
            CHANNEL,
            &public_key(),
            &same_start("tiercast/2 frame"),
            bad,
        ),
        case("frame_with_the_signature_of_a_head", "frame", CHANNEL, &public_key(), &swapped, bad),
        case(
            "frame_with_a_signature_of_zeros",
            "frame",
            CHANNEL,
            &public_key(),
            &zero_signature(&bytes),
            bad,
        ),
        case("frame_under_a_key_of_zeros", "frame", CHANNEL, &"00".repeat(32), &bytes, bad),
        case("head_of_another_channel", "head", "build", &public_key(), &head, bad),
        case("head_by_another_key", "head", CHANNEL, &strangers_key, &head, bad),
        case("head_with_a_signature_of_zeros", "head", CHANNEL, &public_key(), &zero_signature(&head), bad),
    ]
}

fn case(name: &str, kind: &str, channel: &str, public_key: &str, bytes: &[u8], error: &str) -> Value {
    json!({
        "name": name,
        "kind": kind,
        "channel": channel,
        "public_key": public_key,
        "bytes": bytes_to_json(bytes),
        "error": error,
        "valid": false,
    })
}

#[test]
fn every_single_bit_of_a_frame_and_of_a_head_counts() {
    let channel = CHANNEL.parse().unwrap();
    for original in [raw::good_frame().bytes(), raw::good_head()] {
        for bit in 0..original.len() * 8 {
            let mut bytes = original.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let passes = match Item::all(bytes.into()).as_deref() {
                Ok([Item::Frame(frame)]) => frame.verify(&channel, &key().public_key(), &Ed25519),
                Ok([Item::Head(head)]) => head.verify(&channel, &key().public_key(), &Ed25519),
                // A frame whose kind became that of a chunk or of a control message carries no signature.
                Ok(_) => bit >= 8,
                Err(_) => false,
            };
            assert!(!passes, "bit {bit} does not count");
        }
    }
}
