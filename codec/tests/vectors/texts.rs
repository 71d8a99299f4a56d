//! `positions.json`, `channels.json`, `names.json` and `codes.json`: what stands in texts and tables.

use serde_json::{Value, json};
use tiercast_codec::{
    BEFORE_FIRST, ChannelName, Code, EventName, EventNameError, NUMBER_MAX, Position, Since,
};

use crate::files;

#[test]
fn positions_read_and_write_as_text() {
    for case in files::golden("positions.json", positions(), files::exactly) {
        let text = case["text"].as_str().unwrap();
        let since = text.parse::<Since>();
        let position = text.parse::<Position>();
        match case["kind"].as_str().unwrap() {
            "position" => {
                let position = position.unwrap();
                assert_eq!(json!(position), case["position"], "{text}");
                assert_eq!(position.to_string(), text);
                assert_eq!(since.unwrap(), Since::Position(position));
            }
            "since" => {
                assert_eq!(since.unwrap().to_string(), text);
                assert!(position.is_err(), "{text}");
            }
            "invalid" => assert!(position.is_err() && since.is_err(), "{text}"),
            other => panic!("no such kind: {other}"),
        }
    }
}

#[test]
fn positions_order_by_epoch_first() {
    assert!(Position::new(1, 9) < Position::new(2, BEFORE_FIRST));
    assert!(Position::new(2, BEFORE_FIRST) < Position::new(2, 0));
}

#[test]
fn channels_have_these_numbers() {
    for case in files::golden("channels.json", channels(), files::exactly) {
        let text = case["text"].as_str().unwrap();
        let name = text.parse::<ChannelName>();
        assert_eq!(name.is_ok(), case["valid"] == true, "{text}");
        assert_eq!(name.ok().map(|name| json!(name.id())).unwrap_or_default(), case["channel_id"], "{text}");
    }
}

#[test]
fn names_of_events_say_what_happened_to_what() {
    for case in files::golden("names.json", names(), files::exactly) {
        let part = |name: &str| case[name].as_str().unwrap();
        let (routing_key, error) = match EventName::new(part("thing"), part("id"), part("what")) {
            Ok(name) => (json!(name.as_str()), Value::Null),
            Err(EventNameError::Empty { .. }) => (Value::Null, json!("empty")),
            Err(EventNameError::Character { .. }) => (Value::Null, json!("character")),
            Err(EventNameError::TooLong { .. }) => (Value::Null, json!("too_long")),
            Err(other) => panic!("no vector says {other}"),
        };
        assert_eq!((&case["routing_key"], &case["error"]), (&routing_key, &error), "{case}");
    }
}

#[test]
fn what_is_wrong_with_a_name_is_said_of_the_part() {
    let said = EventName::new("ticket", "v1.2", "updated").unwrap_err().to_string();
    assert!(said.contains("the id `v1.2`") && said.contains("has `.`"), "{said}");
    let said = EventName::new("ticket", 1234, "").unwrap_err().to_string();
    assert!(said.contains("the what of an event's name is empty"), "{said}");
    let said = EventName::new("ticket", "1".repeat(300), "updated").unwrap_err().to_string();
    assert!(said.contains("315 bytes is more than 255"), "{said}");
}

#[test]
fn codes_are_these() {
    let golden = files::golden("codes.json", codes(), files::exactly);
    assert_eq!(golden.len(), Code::ALL.len());
    for case in golden {
        let code = Code(case["code"].as_u64().unwrap().try_into().unwrap());
        assert_eq!(code.name(), case["name"]);
        assert_eq!(code.may_reconnect(), case["may_reconnect"] == true);
        assert!((3000..4000).contains(&code.0), "{code}");
    }
}

fn positions() -> Vec<Value> {
    let max = NUMBER_MAX as i64;
    let valid = [
        ("ordinary", "7331243921334-41", 7_331_243_921_334, 41),
        ("before_first", "7331243921334--1", 7_331_243_921_334, BEFORE_FIRST),
        ("zeros", "0-0", 0, 0),
        ("epoch_zero_before_first", "0--1", 0, BEFORE_FIRST),
        ("largest", "9007199254740991-9007199254740991", NUMBER_MAX, max),
    ]
    .map(|(name, text, epoch, offset)| {
        let position = json!({ "epoch": epoch, "offset": offset });
        json!({ "name": name, "text": text, "kind": "position", "position": position })
    });
    let since = ["now", "earliest"].map(|text| json!({ "name": text, "text": text, "kind": "since" }));
    let invalid = [
        ("empty", ""),
        ("dash", "-"),
        ("no_dash", "41"),
        ("no_epoch", "-41"),
        ("no_offset", "41-"),
        ("three_parts", "1-2-3"),
        ("epoch_negative", "-1-5"),
        ("offset_before_before_first", "1--2"),
        ("offset_minus_zero", "1--0"),
        ("epoch_plus", "+1-5"),
        ("offset_plus", "1-+5"),
        ("epoch_leading_zero", "01-5"),
        ("offset_leading_zero", "1-05"),
        ("offset_minus_one_leading_zero", "1--01"),
        ("epoch_beyond_range", "9007199254740992-1"),
        ("offset_beyond_range", "1-9007199254740992"),
        ("epoch_beyond_64_bits", "18446744073709551616-1"),
        ("offset_beyond_64_bits", "1-18446744073709551616"),
        ("space_before", " 1-5"),
        ("space_after", "1-5 "),
        ("line_end_after", "1-5\n"),
        ("space_inside", "1 -5"),
        ("hexadecimal", "0x1-5"),
        ("exponent", "1e3-5"),
        ("fraction", "1.0-5"),
        ("underscore", "1_0-5"),
        ("digits_of_another_script", "\u{661}-5"),
        ("long_dash", "1\u{2013}5"),
        ("now_capital", "Now"),
        ("earliest_space", "earliest "),
        ("latest", "latest"),
    ]
    .map(|(name, text)| json!({ "name": name, "text": text, "kind": "invalid" }));
    valid.into_iter().chain(since).chain(invalid).collect()
}

fn channels() -> Vec<Value> {
    let longest = "Az09._-x".repeat(16);
    let too_long = format!("{longest}y");
    let valid = [
        ("ordinary", "builds"),
        ("shortest", "x"),
        ("longest", &longest),
        ("every_punctuation", "a.b_c-d"),
        ("dots_only", ".."),
        ("digits", "0"),
    ]
    .map(|(name, text)| {
        let id = text.parse::<ChannelName>().unwrap().id();
        json!({ "name": name, "text": text, "valid": true, "channel_id": id })
    });
    let invalid = [
        ("empty", ""),
        ("too_long", &too_long),
        ("space", "a b"),
        ("slash", "a/b"),
        ("star", "*"),
        ("hash", "#"),
        ("percent", "a%20b"),
        ("line_end", "a\n"),
        ("nul", "\0"),
        ("letter_beyond_ascii", "b\u{e4}ume"),
    ]
    .map(|(name, text)| json!({ "name": name, "text": text, "valid": false, "channel_id": null }));
    valid.into_iter().chain(invalid).collect()
}

fn names() -> Vec<Value> {
    // Each of these letters has two bytes, so that the longest name has 255.
    let longest = "\u{e4}".repeat(120);
    let too_long = format!("{longest}x");
    let valid = [
        ("ordinary", "ticket", "1234", "updated", "ticket.1234.updated"),
        ("shortest", "a", "b", "c", "a.b.c"),
        ("negative_id", "ticket", "-1", "updated", "ticket.-1.updated"),
        ("other_punctuation", "bug task", "a/b:c_d-e", "new!", "bug task.a/b:c_d-e.new!"),
        ("letters_beyond_ascii", "b\u{e4}ume", "\u{1f333}", "neu", "b\u{e4}ume.\u{1f333}.neu"),
        ("longest", "ticket", &longest, "updated", &format!("ticket.{longest}.updated")),
    ]
    .map(|(name, thing, id, what, key)| {
        json!({ "name": name, "thing": thing, "id": id, "what": what, "routing_key": key, "error": null })
    });
    let invalid = [
        ("thing_empty", "", "1234", "updated", "empty"),
        ("id_empty", "ticket", "", "updated", "empty"),
        ("what_empty", "ticket", "1234", "", "empty"),
        ("thing_with_dot", "bug.task", "1234", "updated", "character"),
        ("id_with_dot", "ticket", "1.5", "updated", "character"),
        ("what_with_dot", "ticket", "1234", "status.changed", "character"),
        ("id_a_dot", "ticket", ".", "updated", "character"),
        ("id_a_star", "ticket", "*", "updated", "character"),
        ("star_inside", "ticket", "1*4", "updated", "character"),
        ("what_a_hash", "ticket", "1234", "#", "character"),
        ("hash_before", "#ticket", "1234", "updated", "character"),
        ("too_long", "ticket", &too_long, "updated", "too_long"),
    ]
    .map(|(name, thing, id, what, error)| {
        json!({ "name": name, "thing": thing, "id": id, "what": what, "routing_key": null, "error": error })
    });
    valid.into_iter().chain(invalid).collect()
}

fn codes() -> Vec<Value> {
    let code =
        |code: &Code| json!({ "name": code.name(), "code": code, "may_reconnect": code.may_reconnect() });
    Code::ALL.iter().map(code).collect()
}
