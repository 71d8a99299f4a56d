//! What `docs/protocol.md` states in tables and examples is what the code and the vectors say.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tiercast_codec::{Code, LinkMessage, NUMBER_MAX, ToHub, ToPeer, WireMessage, limits};

use crate::{
    files,
    json::{bytes_from_json, hex},
    raw::text,
};

fn document() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/protocol.md");
    std::fs::read_to_string(path).unwrap()
}

/// What stands between a heading and the next one.
fn section(heading: &str) -> String {
    let document = document();
    let (_, rest) = document.split_once(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no {heading}"));
    rest.split("\n#").next().unwrap().to_owned()
}

/// The cells of the tables of a section, without their heads.
fn rows(section: &str) -> Vec<Vec<String>> {
    let is_rule = |line: &str| line.chars().all(|c| "|-: ".contains(c));
    let lines: Vec<_> = section.lines().filter(|line| line.starts_with('|')).collect();
    let heads: BTreeSet<_> = lines.windows(2).filter(|two| is_rule(two[1])).map(|two| two[0]).collect();
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
    lines.iter().filter(|line| !is_rule(line) && !heads.contains(*line)).map(|line| cells(line)).collect()
}

/// The first words in backquotes of each row.
fn names(section: &str) -> Vec<String> {
    let first = |row: &Vec<String>| row[0].trim_matches('`').to_owned();
    rows(section).iter().map(first).collect()
}

/// The bytes of a commented block of hexadecimal: comments stand behind two blanks.
fn block(name: &str) -> String {
    let document = document();
    let (_, rest) = document.split_once(&format!("\n```{name}\n")).unwrap();
    let block = rest.split("```").next().unwrap();
    block.lines().flat_map(|line| line.split("  ").next().unwrap().split(' ')).collect()
}

fn vector(file: &str, name: &str) -> Value {
    files::committed(file).into_iter().find(|case| case["name"] == name).unwrap()
}

#[test]
fn the_worked_examples_are_vectors() {
    let frame = vector("frames.json", "stored");
    assert_eq!(block("frame"), frame["bytes"].as_str().unwrap());
    assert!(document().contains(&format!("`{}`", frame["public_key"].as_str().unwrap())));
    assert_eq!(block("message"), vector("messages.json", "feed_with_link")["bytes"].as_str().unwrap());
}

#[test]
fn the_table_of_codes_is_that_of_the_code() {
    let documented: Vec<_> = rows(&section("## Codes")).iter().map(|row| row[..2].to_vec()).collect();
    let known: Vec<_> =
        Code::ALL.iter().map(|code| vec![code.0.to_string(), format!("`{}`", code.name())]).collect();
    assert_eq!(documented, known);
}

#[test]
fn every_error_of_the_vectors_is_documented_and_no_other() {
    let documented: BTreeSet<_> = names(&section("## Errors")).into_iter().collect();
    let error = |case: &Value| case["error"].as_str().unwrap().to_owned();
    let given =
        ["malformed.json", "signatures.json"].map(|file| files::committed(file).iter().map(error).collect());
    let given: BTreeSet<_> = given.into_iter().flat_map(|errors: Vec<_>| errors).collect();
    assert_eq!(documented, given);
}

#[test]
fn the_table_of_limits_is_that_of_the_code() {
    let documented: Vec<String> =
        rows(&section("## Limits")).iter().map(|row| row[1].replace(',', "")).collect();
    let known = [
        format!("{} bytes", limits::CHANNEL_NAME_BYTES_MAX),
        limits::FRAME_EVENTS_MAX.to_string(),
        format!("{} bytes", limits::FRAME_PAYLOAD_BYTES_MAX),
        format!("{} bytes", limits::FRAME_INFLATED_BYTES_MAX),
        format!("{} bytes", limits::EVENT_BYTES_MAX),
        limits::HEADER_DEPTH_MAX.to_string(),
        limits::LIVING_LINKS_MAX.to_string(),
        format!("{} bytes", limits::CONTROL_BYTES_MAX),
        format!("{} bytes", limits::LINK_MESSAGE_BYTES_MAX),
        format!("{} bytes", limits::LOSSY_MESSAGE_BYTES_MAX),
        NUMBER_MAX.to_string(),
    ];
    assert_eq!(documented, known);
}

#[test]
fn every_message_is_documented_with_all_its_fields_in_the_order_of_the_wire() {
    let documented = documented_messages();
    let types = [ToHub::TYPES, ToPeer::TYPES, LinkMessage::TYPES].concat().into_iter().map(str::to_owned);
    assert_eq!(documented.keys().cloned().collect::<BTreeSet<_>>(), types.collect());

    let mut unseen = documented.clone();
    for case in files::committed("messages.json") {
        let message = case["message"].as_object().unwrap();
        let kind = message["type"].as_str().unwrap();
        let fields = &documented[kind];
        for field in message.keys().filter(|field| *field != "type") {
            assert!(fields.contains(field), "`{field}` of `{kind}` is not documented");
        }
        unseen.get_mut(kind).unwrap().retain(|field| !message.contains_key(field));
        if case["canonical"] == true {
            let order = ["type".to_owned()].into_iter().chain(fields.iter().cloned());
            assert_order(&case, order.filter(|field| message.contains_key(field)));
        }
    }
    unseen.retain(|_, fields| !fields.is_empty());
    assert!(unseen.is_empty(), "documented and in no vector: {unseen:?}");
}

fn documented_messages() -> BTreeMap<String, Vec<String>> {
    let document = document();
    let headings = document.lines().filter_map(|line| line.strip_prefix("#### "));
    headings
        .flat_map(|heading| {
            let fields = names(&section(&format!("#### {heading}")));
            heading.split(", ").map(move |kind| (kind.trim_matches('`').to_owned(), fields.clone()))
        })
        .collect()
}

/// The keys stand in the bytes in this order.
fn assert_order(case: &Value, keys: impl Iterator<Item = String>) {
    let bytes = hex(&bytes_from_json(&case["bytes"]));
    let mut rest = bytes.as_str();
    for key in keys {
        let at = rest.find(&hex(&text(&key)));
        let at = at.unwrap_or_else(|| panic!("{}: `{key}` is not where it should be", case["name"]));
        rest = &rest[at..];
    }
}
