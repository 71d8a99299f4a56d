//! How vectors say bytes, events and header values in JSON; see `codec/vectors/README.md`.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tiercast_codec::{Event, HeaderValue, Message};

/// Runs of one byte from this length on are written as a repetition.
const RUN_BYTES_MIN: usize = 256;

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn unhex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2) && text.is_ascii(), "hex: {text}");
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

pub fn bytes_to_json(bytes: &[u8]) -> Value {
    let mut parts = Vec::new();
    let mut plain = Vec::new();
    for run in bytes.chunk_by(|a, b| a == b) {
        if run.len() < RUN_BYTES_MIN {
            plain.extend_from_slice(run);
            continue;
        }
        if !plain.is_empty() {
            parts.push(Value::from(hex(&std::mem::take(&mut plain))));
        }
        parts.push(json!({ "repeat": hex(&run[..1]), "times": run.len() }));
    }
    if parts.is_empty() {
        return hex(&plain).into();
    }
    if !plain.is_empty() {
        parts.push(hex(&plain).into());
    }
    parts.into()
}

pub fn bytes_from_json(json: &Value) -> Vec<u8> {
    match json {
        Value::String(text) => unhex(text),
        Value::Array(parts) => parts.iter().flat_map(bytes_from_json).collect(),
        Value::Object(_) => bytes_from_json(&json["repeat"]).repeat(json["times"].as_u64().unwrap() as usize),
        other => panic!("not bytes: {other}"),
    }
}

pub fn event_to_json(Event { offset, message }: &Event) -> Value {
    json!({
        "offset": offset,
        "routing_key": message.routing_key,
        "exchange": message.exchange,
        "content_type": message.content_type,
        "message_id": message.message_id,
        "timestamp": message.timestamp.map(|timestamp| timestamp.to_string()),
        "headers": map_to_json(&message.headers),
        "body": bytes_to_json(&message.body),
    })
}

pub fn events_to_json(events: &[Event]) -> Value {
    events.iter().map(event_to_json).collect()
}

pub fn events_from_json(json: &Value) -> Vec<Event> {
    json.as_array().unwrap().iter().map(event_from_json).collect()
}

fn event_from_json(json: &Value) -> Event {
    let text = |field: &str| json[field].as_str().map(str::to_owned);
    Event {
        offset: json["offset"].as_i64().unwrap(),
        message: Message {
            routing_key: text("routing_key").unwrap(),
            exchange: text("exchange").unwrap(),
            content_type: text("content_type"),
            message_id: text("message_id"),
            timestamp: text("timestamp").map(|digits| digits.parse().unwrap()),
            headers: map_from_json(&json["headers"]),
            body: bytes_from_json(&json["body"]).into(),
        },
    }
}

fn map_to_json(map: &BTreeMap<String, HeaderValue>) -> Value {
    Value::Object(map.iter().map(|(key, value)| (key.clone(), value_to_json(value))).collect())
}

fn map_from_json(json: &Value) -> BTreeMap<String, HeaderValue> {
    json.as_object().unwrap().iter().map(|(key, value)| (key.clone(), value_from_json(value))).collect()
}

fn value_to_json(value: &HeaderValue) -> Value {
    let (kind, value) = match value {
        HeaderValue::Null => ("null", Value::Null),
        HeaderValue::Bool(value) => ("bool", (*value).into()),
        HeaderValue::Int(value) => ("int", value.to_string().into()),
        HeaderValue::Float(value) => ("float", hex(&value.to_be_bytes()).into()),
        HeaderValue::Text(value) => ("text", value.as_str().into()),
        HeaderValue::Bytes(value) => ("bytes", bytes_to_json(value)),
        HeaderValue::List(items) => ("list", items.iter().map(value_to_json).collect()),
        HeaderValue::Map(entries) => ("map", map_to_json(entries)),
    };
    json!({ "type": kind, "value": value })
}

fn value_from_json(json: &Value) -> HeaderValue {
    let value = &json["value"];
    match json["type"].as_str().unwrap() {
        "null" => HeaderValue::Null,
        "bool" => HeaderValue::Bool(value.as_bool().unwrap()),
        "int" => HeaderValue::Int(value.as_str().unwrap().parse().unwrap()),
        "float" => HeaderValue::Float(f64::from_be_bytes(unhex(value.as_str().unwrap()).try_into().unwrap())),
        "text" => HeaderValue::Text(value.as_str().unwrap().to_owned()),
        "bytes" => HeaderValue::Bytes(bytes_from_json(value).into()),
        "list" => HeaderValue::List(value.as_array().unwrap().iter().map(value_from_json).collect()),
        "map" => HeaderValue::Map(map_from_json(value)),
        other => panic!("no such header type: {other}"),
    }
}
