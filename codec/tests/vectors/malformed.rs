//! `malformed.json`: bytes that must be refused, and the error each must give.

use serde_json::{Value, json};
use tiercast_codec::{
    DecodeError, Ed25519, Item, LinkMessage, NUMBER_MAX, Nack, Position, Signer, ToHub, ToPeer, WireMessage,
    limits::{CONTROL_BYTES_MAX, FRAME_EVENTS_MAX, FRAME_INFLATED_BYTES_MAX, FRAME_PAYLOAD_BYTES_MAX},
};

use crate::{
    files,
    json::{bytes_from_json, bytes_to_json},
    key, malformed_messages, public_key,
    raw::{self, CHANNEL, RawFrame, array, event, event_with, fields, good_frame, good_head, map, text},
};

#[test]
fn malformed_bytes_give_their_error() {
    let mut wrong = Vec::new();
    for case in files::golden("malformed.json", built(), same) {
        let error = decode(&case).map_err(|error| (error.name(), error));
        let is_right = match &error {
            Err((name, DecodeError::UnknownMessage { id, .. })) => {
                case["error"] == *name && case["id"] == json!(id)
            }
            Err((name, _)) => case["error"] == *name,
            Ok(()) => false,
        };
        if !is_right {
            wrong.push(format!("{}: expected {}, got {error:?}", case["name"], case["error"]));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What the compressor of another build makes of the same input may differ.
fn same(golden: &Value, built: &Value) -> bool {
    let name = built["name"].as_str().unwrap();
    if name.starts_with("compressed_") { files::except(&["/bytes"])(golden, built) } else { golden == built }
}

fn decode(case: &Value) -> Result<(), DecodeError> {
    let bytes = bytes_from_json(&case["bytes"]);
    match case["kind"].as_str().unwrap() {
        "item" => Item::all(bytes.into()).map(drop),
        "frame_events" => {
            let items = Item::all(bytes.into()).unwrap();
            let [Item::Frame(frame)] = items.as_slice() else { panic!("{} is a frame", case["name"]) };
            let channel = case["channel"].as_str().unwrap().parse().unwrap();
            assert!(frame.verify(&channel, &key().public_key(), &Ed25519), "{}", case["name"]);
            frame.events().map(drop)
        }
        "to_hub" => ToHub::decode(&bytes).map(drop),
        "to_peer" => ToPeer::decode(&bytes).map(drop),
        "link" => LinkMessage::decode(&bytes).map(drop),
        other => panic!("no such kind: {other}"),
    }
}

fn built() -> Vec<Value> {
    let items = items().into_iter().map(|(name, bytes, error)| case("item", name, &bytes, error));
    let payloads = payloads().into_iter().map(|(name, frame)| frame_case(name, &frame, "bad_payload"));
    let events = events().into_iter().map(|(name, frame)| frame_case(name, &frame, "bad_events"));
    items.chain(payloads).chain(events).chain(malformed_messages::built()).collect()
}

pub fn case(kind: &str, name: &str, bytes: &[u8], error: &str) -> Value {
    json!({ "name": name, "kind": kind, "bytes": bytes_to_json(bytes), "error": error })
}

fn frame_case(name: &str, frame: &RawFrame, error: &str) -> Value {
    let mut case = case("frame_events", name, &frame.bytes(), error);
    case["channel"] = CHANNEL.into();
    case["public_key"] = public_key().into();
    case
}

fn items() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let frame = good_frame().bytes();
    let with = |change: fn(&mut RawFrame)| {
        let mut frame = good_frame();
        change(&mut frame);
        frame.bytes()
    };
    let cut = |bytes: &[u8], length: usize| bytes[..length].to_vec();
    let ping = map(&[("type", text("ping")), ("time_us", vec![1])]);
    let chunk = vec![0x03, 0x01, 0x01, 0x00, 0xaa];
    let head = good_head();
    let nack = Nack { after: Position::new(7, 1), to: Position::new(7, 3) }.encode().to_vec();
    let nack_with = |at: usize, byte: u8| {
        let mut nack = nack.clone();
        nack[at] = byte;
        nack
    };
    let all = |parts: &[&[u8]]| parts.concat();
    let large = |bytes: usize| [vec![0xdf], vec![0; bytes - 1]].concat();
    vec![
        ("nothing", vec![], "empty"),
        ("kind_0", vec![0x00], "unknown_kind"),
        ("kind_5", vec![0x05, 0x01, 0x00, 0x00], "unknown_kind"),
        ("kind_text", b"{\"type\":\"ping\"}".to_vec(), "unknown_kind"),
        ("kind_msgpack_array", vec![0x90], "unknown_kind"),
        ("kind_msgpack_nil", vec![0xc0], "unknown_kind"),
        ("kind_last", vec![0xff], "unknown_kind"),
        ("nack_cut_before_last_byte", cut(&nack, nack.len() - 1), "truncated"),
        ("nack_of_another_version", nack_with(1, 2), "unknown_version"),
        ("nack_with_reserved_bits", nack_with(3, 1), "unknown_flags"),
        ("nack_with_an_epoch_beyond_the_largest_number", nack_with(4, 1), "out_of_range"),
        ("nack_with_an_offset_before_nothing", nack_with(28, 0xff), "out_of_range"),
        ("nack_and_a_nack", all(&[&nack, &nack]), "trailing_bytes"),
        ("frame_cut_after_kind", cut(&frame, 1), "truncated"),
        ("frame_cut_in_header", cut(&frame, 51), "truncated"),
        ("frame_cut_after_header", cut(&frame, 52), "truncated"),
        ("frame_cut_before_signature", cut(&frame, frame.len() - 64), "truncated"),
        ("frame_cut_before_last_byte", cut(&frame, frame.len() - 1), "truncated"),
        ("frame_payload_longer_than_message", with(|frame| frame.payload_bytes += 1), "truncated"),
        (
            "frame_largest_payload_that_is_not_there",
            with(|frame| frame.payload_bytes = FRAME_PAYLOAD_BYTES_MAX as u32),
            "truncated",
        ),
        ("frame_version_0", with(|frame| frame.version = 0), "unknown_version"),
        ("frame_version_2", with(|frame| frame.version = 2), "unknown_version"),
        ("frame_flag_4", with(|frame| frame.flags = 4), "unknown_flags"),
        ("frame_flag_128", with(|frame| frame.flags = 0x80), "unknown_flags"),
        ("frame_dictionary_1", with(|frame| frame.dictionary = 1), "unknown_dictionary"),
        ("frame_epoch_beyond_range", with(|frame| frame.epoch = NUMBER_MAX + 1), "out_of_range"),
        ("frame_epoch_largest_64_bits", with(|frame| frame.epoch = u64::MAX), "out_of_range"),
        ("frame_after_minus_2", with(|frame| frame.after = -2), "out_of_range"),
        ("frame_after_lowest_64_bits", with(|frame| frame.after = i64::MIN), "out_of_range"),
        ("frame_last_beyond_range", with(|frame| frame.last = NUMBER_MAX as i64 + 1), "out_of_range"),
        ("frame_last_equals_after", with(|frame| frame.last = frame.after), "out_of_range"),
        ("frame_last_below_after", with(|frame| frame.last = frame.after - 1), "out_of_range"),
        ("frame_range_before_first_only", with(|frame| (frame.after, frame.last) = (-1, -1)), "out_of_range"),
        ("frame_time_beyond_range", with(|frame| frame.time_us = NUMBER_MAX + 1), "out_of_range"),
        (
            "frame_event_count_beyond_limit",
            with(|frame| frame.event_count = FRAME_EVENTS_MAX as u32 + 1),
            "too_large",
        ),
        (
            "frame_inflated_bytes_beyond_limit",
            with(|frame| (frame.flags, frame.inflated_bytes) = (1, FRAME_INFLATED_BYTES_MAX as u32 + 1)),
            "too_large",
        ),
        (
            "frame_payload_bytes_beyond_limit",
            with(|frame| frame.payload_bytes = FRAME_PAYLOAD_BYTES_MAX as u32 + 1),
            "too_large",
        ),
        ("frame_payload_bytes_largest", with(|frame| frame.payload_bytes = u32::MAX), "too_large"),
        ("head_cut_after_kind", cut(&head, 1), "truncated"),
        ("head_cut_before_last_byte", cut(&head, 95), "truncated"),
        ("head_version_2", raw::head(2, [0, 0], 1, 1, 1), "unknown_version"),
        ("head_reserved_first", raw::head(1, [1, 0], 1, 1, 1), "unknown_flags"),
        ("head_reserved_second", raw::head(1, [0, 1], 1, 1, 1), "unknown_flags"),
        ("head_epoch_beyond_range", raw::head(1, [0, 0], NUMBER_MAX + 1, 1, 1), "out_of_range"),
        ("head_offset_minus_2", raw::head(1, [0, 0], 1, -2, 1), "out_of_range"),
        ("head_offset_beyond_range", raw::head(1, [0, 0], 1, NUMBER_MAX as i64 + 1, 1), "out_of_range"),
        ("head_time_beyond_range", raw::head(1, [0, 0], 1, 1, NUMBER_MAX + 1), "out_of_range"),
        ("chunk_cut_in_header", vec![0x03, 0x01], "truncated"),
        ("chunk_without_a_part", vec![0x03, 0x01, 0x01, 0x00], "truncated"),
        ("chunk_version_2", vec![0x03, 0x02, 0x01, 0x00, 0xaa], "unknown_version"),
        ("chunk_flag_2", vec![0x03, 0x01, 0x02, 0x00, 0xaa], "unknown_flags"),
        ("chunk_flag_129", vec![0x03, 0x01, 0x81, 0x00, 0xaa], "unknown_flags"),
        ("chunk_reserved", vec![0x03, 0x01, 0x01, 0x01, 0xaa], "unknown_flags"),
        ("frame_then_unknown_kind", all(&[&frame, &[0xff]]), "unknown_kind"),
        ("frame_then_half_a_frame", all(&[&frame, &frame[..100]]), "truncated"),
        ("frame_then_half_a_head", all(&[&frame, &head[..50]]), "truncated"),
        ("frame_then_malformed_head", all(&[&frame, &raw::head(2, [0, 0], 1, 1, 1)]), "unknown_version"),
        ("frame_then_control_message", all(&[&frame, &ping]), "trailing_bytes"),
        ("head_then_control_message", all(&[&head, &ping]), "trailing_bytes"),
        ("frame_then_chunk", all(&[&frame, &chunk]), "trailing_bytes"),
        ("control_message_one_byte_too_large", large(CONTROL_BYTES_MAX + 1), "too_large"),
    ]
}

/// Frames whose payload is not what the header says.
fn payloads() -> Vec<(&'static str, RawFrame)> {
    let good = array(&[event(1)]);
    let stored = raw::zlib_stored(&good);
    let deflated = |payload: Vec<u8>| RawFrame::deflated(1, good.len(), payload);
    let claiming = |inflated_bytes: usize, payload: Vec<u8>| RawFrame::deflated(1, inflated_bytes, payload);
    let changed = |at: usize, byte: u8| {
        let mut stream = stored.clone();
        stream[at] = byte;
        deflated(stream)
    };
    let uncompressed_claim = |inflated_bytes: usize| RawFrame {
        inflated_bytes: inflated_bytes as u32,
        ..RawFrame::stored(1, good.clone())
    };
    let last = stored.len() - 1;
    let mut gzip = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
    gzip.extend(&stored[2..]);
    let zeros = vec![0; FRAME_INFLATED_BYTES_MAX];
    let too_many_zeros = vec![0; FRAME_INFLATED_BYTES_MAX + 1];
    // A fixed-code block that copies from before the start of the output.
    let copies_from_nowhere = vec![0x78, 0x01, 0x03, 0x02, 0x00, 0x00, 0x00, 0x00, 0x01];
    vec![
        ("stored_shorter_than_stated", uncompressed_claim(good.len() + 1)),
        ("stored_longer_than_stated", uncompressed_claim(good.len() - 1)),
        ("stored_stated_empty", uncompressed_claim(0)),
        ("zlib_nothing", deflated(vec![])),
        ("zlib_header_only", deflated(stored[..2].to_vec())),
        ("zlib_not_compressed_at_all", deflated(good.clone())),
        ("zlib_cut_in_block", deflated(stored[..20].to_vec())),
        ("zlib_cut_before_checksum", deflated(stored[..last - 3].to_vec())),
        ("zlib_cut_before_last_byte", deflated(stored[..last].to_vec())),
        ("zlib_wrong_checksum", changed(last, stored[last] ^ 1)),
        ("zlib_wrong_block_length", changed(4, stored[4] ^ 1)),
        ("zlib_reserved_block_type", changed(2, 0x07)),
        ("zlib_wrong_header_check", changed(1, 0x02)),
        ("zlib_asks_for_a_dictionary", deflated([&[0x78, 0x20, 0, 0, 0, 1], &stored[2..]].concat())),
        ("zlib_last_block_missing", changed(2, 0x00)),
        ("zlib_copies_from_before_the_start", claiming(3, copies_from_nowhere)),
        ("zlib_bytes_after_the_end", deflated([stored.clone(), vec![0]].concat())),
        ("zlib_twice", deflated([stored.clone(), stored.clone()].concat())),
        ("zlib_gives_one_byte_more_than_stated", claiming(good.len() - 1, stored.clone())),
        ("zlib_gives_one_byte_less_than_stated", claiming(good.len() + 1, stored.clone())),
        ("zlib_stated_empty", claiming(0, stored.clone())),
        ("zlib_largest_claim_for_a_tiny_payload", claiming(FRAME_INFLATED_BYTES_MAX, stored.clone())),
        ("gzip_instead_of_zlib", deflated(gzip)),
        ("deflate_without_zlib", deflated(stored[2..last - 3].to_vec())),
        ("compressed_bomb_stated_small", claiming(1000, raw::zlib(&zeros))),
        ("compressed_bomb_beyond_the_limit", claiming(FRAME_INFLATED_BYTES_MAX, raw::zlib(&too_many_zeros))),
    ]
}

/// Frames whose payload is not the events that the header announces.
fn events() -> Vec<(&'static str, RawFrame)> {
    let one = |payload: Vec<u8>| RawFrame::stored(1, payload);
    let count = RawFrame::stored;
    let with = |field: usize, encoded: &[u8]| one(array(&[event_with(field, encoded)]));
    let offsets = |offsets: &[u8]| {
        let events: Vec<_> = offsets.iter().map(|offset| event(*offset)).collect();
        count(events.len() as u32, array(&events))
    };
    let whole = array(&[event(1)]);
    let seven = array(&[array(&fields(1)[..7])]);
    let nine = array(&[array(&[&fields(1)[..], &[vec![0xc0]]].concat())]);
    let as_map = [vec![0x91, 0x88], (0..8).flat_map(|_| [0xa1, b'k', 0xc0]).collect()].concat();
    let nested = |levels: usize| [map(&[("k", vec![0x91; levels - 1])]), vec![0x90]].concat();
    let nested_maps = [map(&[("k", [0x81, 0xa0].repeat(16))]), vec![0x80]].concat();
    let above_i64 = [vec![0xcf], (1u64 << 63).to_be_bytes().to_vec()].concat();
    let (half, two) = (raw::float(0.5), raw::float(2.0));
    vec![
        ("events_nothing", one(vec![])),
        ("events_nil", one(vec![0xc0])),
        ("events_map", one(vec![0x80])),
        ("events_text", one(text("events"))),
        ("events_cut", one(whole[..whole.len() - 1].to_vec())),
        ("events_bytes_after", one([whole.clone(), vec![0xc0]].concat())),
        ("events_twice", one([whole.clone(), whole.clone()].concat())),
        ("events_more_than_stated", count(1, array(&[event(1), event(2)]))),
        ("events_fewer_than_stated", count(3, array(&[event(1), event(2)]))),
        ("events_none_stated_one_there", count(0, whole.clone())),
        ("events_one_stated_none_there", one(vec![0x90])),
        ("events_4096_stated_one_there", count(4096, whole.clone())),
        ("events_4096_claimed_none_there", count(4096, vec![0xdc, 0x10, 0x00])),
        ("events_4_billion_claimed", count(1, vec![0xdd, 0xff, 0xff, 0xff, 0xff])),
        ("offset_zero", offsets(&[0])),
        ("offset_beyond_last", offsets(&[10])),
        ("offset_of_the_second_beyond_last", offsets(&[9, 10])),
        ("offsets_equal", offsets(&[3, 3])),
        ("offsets_descending", offsets(&[3, 2])),
        ("offset_negative", with(0, &[0xff])),
        ("offset_nil", with(0, &[0xc0])),
        ("offset_text", with(0, &text("1"))),
        ("offset_fraction", with(0, &half)),
        ("offset_float", with(0, &two)),
        ("offset_64_bits", with(0, &[0xcf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff])),
        ("event_of_seven_fields", one(seven)),
        ("event_of_nine_fields", one(nine)),
        ("event_map", one(as_map)),
        ("event_nil", one(vec![0x91, 0xc0])),
        ("routing_key_nil", with(1, &[0xc0])),
        ("routing_key_integer", with(1, &[0x01])),
        ("routing_key_bytes", with(1, &[0xc4, 0x01, b'k'])),
        ("routing_key_not_utf8", with(1, &[0xa1, 0xff])),
        ("routing_key_surrogate", with(1, &[0xa3, 0xed, 0xa0, 0x80])),
        ("routing_key_longer_than_payload", with(1, &[0xdb, 0xff, 0xff, 0xff, 0xff])),
        ("exchange_nil", with(2, &[0xc0])),
        ("content_type_integer", with(3, &[0x01])),
        ("content_type_bytes", with(3, &[0xc4, 0x01, b'k'])),
        ("message_id_list", with(4, &[0x90])),
        ("timestamp_negative", with(5, &[0xff])),
        ("timestamp_fraction", with(5, &half)),
        ("timestamp_float", with(5, &two)),
        ("timestamp_text", with(5, &text("1790000000"))),
        ("headers_nil", with(6, &[0xc0])),
        ("headers_list", with(6, &[0x90])),
        ("headers_key_integer", with(6, &[0x81, 0x01, 0x01])),
        ("headers_key_bytes", with(6, &[0x81, 0xc4, 0x01, b'k', 0x01])),
        ("headers_key_bytes_inside_a_map", with(6, &map(&[("k", vec![0x81, 0xc4, 0x01, b'k', 0x01])]))),
        ("headers_key_not_utf8", with(6, &[0x81, 0xa1, 0xff, 0x01])),
        ("headers_key_nil", with(6, &[0x81, 0xc0, 0x01])),
        ("headers_value_missing", with(6, &[0x81, 0xa1, b'k'])),
        ("headers_integer_above_63_bits", with(6, &map(&[("k", above_i64)]))),
        ("headers_extension_type", with(6, &map(&[("k", vec![0xd4, 0x01, 0x00])]))),
        ("headers_timestamp_type", with(6, &map(&[("k", vec![0xd6, 0xff, 0, 0, 0, 0])]))),
        ("headers_reserved_marker", with(6, &map(&[("k", vec![0xc1])]))),
        ("headers_lists_nested_17_deep", with(6, &nested(17))),
        ("headers_maps_nested_17_deep", with(6, &nested_maps)),
        ("headers_nested_without_end", with(6, &map(&[("k", vec![0x91; 10_000])]))),
        ("body_nil", with(7, &[0xc0])),
        ("body_text", with(7, &text("{}"))),
        ("body_list", with(7, &[0x92, 0x7b, 0x7d])),
        ("body_longer_than_payload", with(7, &[0xc6, 0xff, 0xff, 0xff, 0xff])),
    ]
}
