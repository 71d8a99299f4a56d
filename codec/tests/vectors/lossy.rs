//! `lossy.json`: messages of a link, with whether they may be lost.

use serde_json::{Value, json};
use tiercast_codec::{
    BEFORE_FIRST, LinkMessage, Nack, Position, WireMessage, limits::LOSSY_MESSAGE_BYTES_MAX, may_be_lost,
};

use crate::{
    chunks::frame_of,
    files,
    json::{bytes_from_json, bytes_to_json},
    raw::{self, RawFrame},
};

#[test]
fn what_may_be_lost_is_told_by_the_first_bytes_and_the_length() {
    for case in files::golden("lossy.json", built(), files::exactly) {
        assert_eq!(
            json!(may_be_lost(&bytes_from_json(&case["bytes"]))),
            case["may_be_lost"],
            "{}",
            case["name"]
        );
    }
}

fn built() -> Vec<Value> {
    let half = LOSSY_MESSAGE_BYTES_MAX / 2;
    let nack = Nack { after: Position::new(7, BEFORE_FIRST), to: Position::new(7, 0) };
    let head_before_all = raw::head(1, [0, 0], 7, BEFORE_FIRST, 0);
    [
        ("frame", true, frame_after(41)),
        ("frame_after_the_first_event", true, frame_after(0)),
        ("first_frame_of_a_numbering", false, frame_after(BEFORE_FIRST)),
        ("frame_as_large_as_may_be", true, frame_of(LOSSY_MESSAGE_BYTES_MAX)),
        ("frame_that_is_too_large", false, frame_of(LOSSY_MESSAGE_BYTES_MAX + 1)),
        ("frames_as_large_as_may_be", true, [frame_of(half), frame_of(half)].concat()),
        ("frames_that_are_too_large", false, [frame_of(half), frame_of(half + 1)].concat()),
        ("first_frame_of_a_numbering_and_another", false, [frame_after(BEFORE_FIRST), frame_after(50)].concat()),
        ("frame_that_is_cut_off", true, vec![0x01, 1]),
        ("head", true, raw::good_head()),
        ("head_before_the_first_event", true, head_before_all),
        ("nack", true, nack.encode().into()),
        ("last_chunk", false, vec![0x03, 1, 1, 0, 9]),
        ("link_message", false, LinkMessage::Hold(tiercast_codec::Hold {}).encode().into()),
        ("nothing", false, Vec::new()),
    ]
    .into_iter()
    .map(|(name, may_be_lost, bytes)| {
        json!({ "name": name, "bytes": bytes_to_json(&bytes), "may_be_lost": may_be_lost })
    })
    .collect()
}

fn frame_after(after: i64) -> Vec<u8> {
    RawFrame { after, ..raw::good_frame() }.bytes()
}
