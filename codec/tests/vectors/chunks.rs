//! `chunks.json`: how a large frame is cut for data channel messages.

use bytes::Bytes;
use serde_json::{Value, json};
use tiercast_codec::{CHUNK_HEADER_BYTES, Item, chunks, limits::LINK_MESSAGE_BYTES_MAX};

use crate::{
    files,
    json::{bytes_from_json, bytes_to_json},
    raw::{self, RawFrame},
};

#[test]
fn frames_are_cut_into_these_chunks() {
    for case in files::golden("chunks.json", built(), files::exactly) {
        let frame = Bytes::from(bytes_from_json(&case["frame"]));
        let cut: Vec<_> = chunks(&frame).collect();
        let golden: Vec<_> = case["chunks"].as_array().unwrap().iter().map(bytes_from_json).collect();
        assert_eq!(cut, golden, "{}", case["name"]);

        let mut whole = Vec::new();
        for (number, chunk) in golden.iter().enumerate() {
            assert!(chunk.len() <= LINK_MESSAGE_BYTES_MAX);
            let mut items = Item::all(chunk.clone().into()).unwrap();
            let Some(Item::Chunk { is_last, part }) = items.pop() else { panic!("a chunk") };
            assert!(items.is_empty());
            assert_eq!(is_last, number + 1 == golden.len());
            whole.extend(part);
        }
        assert_eq!(whole, frame);
        assert!(matches!(Item::all(whole.into()).unwrap()[..], [Item::Frame(_)]));
    }
}

fn built() -> Vec<Value> {
    let part = LINK_MESSAGE_BYTES_MAX - CHUNK_HEADER_BYTES;
    [
        ("one_byte_too_large_for_a_message", LINK_MESSAGE_BYTES_MAX + 1),
        ("exactly_two_chunks", 2 * part),
        ("one_byte_more_than_two_chunks", 2 * part + 1),
        ("several_chunks", 50_000),
    ]
    .into_iter()
    .map(|(name, frame_bytes)| {
        let frame = Bytes::from(frame_of(frame_bytes));
        let cut: Vec<_> = chunks(&frame).map(|chunk| bytes_to_json(&chunk)).collect();
        json!({ "name": name, "frame": bytes_to_json(&frame), "chunks": cut })
    })
    .collect()
}

/// A frame of exactly that many bytes.
pub fn frame_of(frame_bytes: usize) -> Vec<u8> {
    let body = |bytes: usize| {
        let field = [vec![0xc6], (bytes as u32).to_be_bytes().to_vec(), vec![b'x'; bytes]].concat();
        RawFrame::stored(1, raw::array(&[raw::event_with(7, &field)])).bytes()
    };
    let frame = body(frame_bytes - body(0).len());
    assert_eq!(frame.len(), frame_bytes);
    frame
}
