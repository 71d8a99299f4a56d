//! `nacks.json`: nacks, with what they say.

use serde_json::{Value, json};
use tiercast_codec::{BEFORE_FIRST, Item, NUMBER_MAX, Nack, Position};

use crate::{
    files,
    json::{bytes_from_json, hex},
};

const FILE: &str = "nacks.json";

#[test]
fn nacks_are_these_bytes_and_decode_to_what_they_say() {
    for case in files::golden(FILE, built(), files::exactly) {
        let bytes = bytes_from_json(&case["bytes"]);
        let items = Item::all(bytes.into()).unwrap();
        let [Item::Nack(nack)] = items.as_slice() else { panic!("{} is a nack", case["name"]) };
        assert_eq!(json!(nack.after), case["after"]);
        assert_eq!(json!(nack.to), case["to"]);
    }
}

fn built() -> Vec<Value> {
    let at = Position::new;
    [
        ("ordinary", at(1_790_000_000_000, 41), at(1_790_000_000_000, 44)),
        ("all_of_a_channel", at(0, BEFORE_FIRST), at(0, 0)),
        ("to_the_beginning_of_an_epoch", at(7, 100), at(8, BEFORE_FIRST)),
        ("largest_numbers", at(NUMBER_MAX, 0), at(NUMBER_MAX, NUMBER_MAX as i64)),
    ]
    .into_iter()
    .map(|(name, after, to)| {
        let bytes = hex(&Nack { after, to }.encode());
        json!({ "name": name, "bytes": bytes, "after": after, "to": to })
    })
    .collect()
}
