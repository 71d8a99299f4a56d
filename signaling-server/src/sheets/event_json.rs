//! An event as JSON, the same on every transport. From it the bytes that were published can be made again.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use tiercast_codec::{ChannelName, Event, HeaderValue, Message, NUMBER_MAX, Position};

use super::plain_json::{self, PlainJson};

/// Integers beyond this are written as text, since many readers of JSON would round them.
const EXACT_MAX: u64 = NUMBER_MAX;

/// An event as a JSON object in one line.
pub(super) fn write(channel: &ChannelName, position: Position, event: &Event) -> Vec<u8> {
    let Event { message, .. } = event;
    let mut out = Vec::with_capacity(message.bytes() * 5 / 4 + 128);
    out.extend_from_slice(b"{\"type\":\"event\"");
    field(&mut out, "channel", channel);
    field(&mut out, "position", &position.to_string());
    field(&mut out, "routing_key", &message.routing_key);
    field(&mut out, "exchange", &message.exchange);
    if let Some(content_type) = &message.content_type {
        field(&mut out, "content_type", content_type);
    }
    if let Some(message_id) = &message.message_id {
        field(&mut out, "message_id", message_id);
    }
    if let Some(timestamp) = message.timestamp {
        field(&mut out, "timestamp", &exact(timestamp));
    }
    if !message.headers.is_empty() {
        let headers = message.headers.iter().map(|(key, value)| (key.clone(), header(value)));
        field(&mut out, "headers", &Value::Object(headers.collect()));
    }
    body(&mut out, message);
    out.push(b'}');
    out
}

/// A body as JSON.
struct Written<'a> {
    encoding: &'static str,
    json: String,
    /// The text that was published, where JSON that is parsed and written again would not be the same.
    raw: Option<&'a str>,
}

/// The body, and how it is written: `json`, `text` or `base64`.
fn body(out: &mut Vec<u8>, message: &Message) {
    let Written { encoding, json, raw } = written(message);
    field(out, "encoding", encoding);
    out.extend_from_slice(b",\"body\":");
    out.extend_from_slice(json.as_bytes());
    if let Some(raw) = raw {
        field(out, "raw", raw);
    }
}

/// The body alone.
pub(super) fn payload(message: &Message) -> String {
    written(message).json
}

fn written(message: &Message) -> Written<'_> {
    let quoted = |text: &str| Value::from(text).to_string();
    let json = if may_be_json(message) { plain_json::parse(&message.body) } else { None };
    match (json, std::str::from_utf8(&message.body)) {
        (Some(PlainJson { text, is_exact }), Ok(raw)) => {
            Written { encoding: "json", json: text, raw: (!is_exact).then_some(raw) }
        }
        (None, Ok(text)) => Written { encoding: "text", json: quoted(text), raw: None },
        (_, Err(_)) => Written { encoding: "base64", json: quoted(&base64(&message.body)), raw: None },
    }
}

/// Whether the body is to be looked at as JSON: it is said to be, or it begins as an object or list and is not said to be
/// anything.
fn may_be_json(message: &Message) -> bool {
    match &message.content_type {
        Some(content_type) => {
            let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
            kind == "application/json" || kind.ends_with("+json")
        }
        None => matches!(message.body.trim_ascii_start().first(), Some(b'{' | b'[')),
    }
}

/// A header's value. What JSON has no word for is an object with one key: `base64`, `int`, `float`; and so is, under `map`,
/// a table that would look like one of these.
fn header(value: &HeaderValue) -> Value {
    match value {
        HeaderValue::Null => Value::Null,
        HeaderValue::Bool(value) => json!(value),
        HeaderValue::Int(value) if value.unsigned_abs() <= EXACT_MAX => json!(value),
        HeaderValue::Int(value) => json!({ "int": value.to_string() }),
        HeaderValue::Float(value) if value.is_finite() => json!(value),
        HeaderValue::Float(value) => json!({ "float": value.to_string() }),
        HeaderValue::Text(text) => json!(text),
        HeaderValue::Bytes(bytes) => json!({ "base64": base64(bytes) }),
        HeaderValue::List(items) => items.iter().map(header).collect(),
        HeaderValue::Map(entries) => {
            let map: Value = entries.iter().map(|(key, value)| (key.clone(), header(value))).collect();
            let is_ambiguous = entries.len() == 1
                && entries.keys().all(|key| matches!(&**key, "base64" | "int" | "float" | "map"));
            if is_ambiguous { json!({ "map": map }) } else { map }
        }
    }
}

fn exact(number: u64) -> Value {
    if number <= EXACT_MAX { json!(number) } else { json!(number.to_string()) }
}

fn field<T: serde::Serialize + ?Sized>(out: &mut Vec<u8>, name: &str, value: &T) {
    out.push(b',');
    out.push(b'"');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    serde_json::to_writer(out, value).expect("plain data always encodes");
}

fn base64(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn written(message: Message) -> Value {
        let channel = "builds".parse().unwrap();
        let event = Event { offset: 41, message };
        let line = write(&channel, Position::new(7, 41), &event);
        assert!(!line.contains(&b'\n'), "one line");
        serde_json::from_slice(&line).unwrap()
    }

    fn with_body(content_type: Option<&str>, body: impl Into<Vec<u8>>) -> Value {
        let content_type = content_type.map(str::to_owned);
        written(Message { content_type, body: body.into().into(), ..Message::default() })
    }

    #[test]
    fn all_that_the_publisher_said_is_there_and_nothing_else() {
        let bare = written(Message::default());
        let expected = json!({
            "type": "event", "channel": "builds", "position": "7-41", "routing_key": "", "exchange": "",
            "encoding": "text", "body": "",
        });
        assert_eq!(bare, expected);
        let full = written(Message {
            routing_key: "a.b".into(),
            exchange: "ci".into(),
            content_type: Some("text/plain".into()),
            message_id: Some("m1".into()),
            timestamp: Some(1_790_000_000),
            headers: BTreeMap::from([("try".to_owned(), HeaderValue::Int(3))]),
            body: "done\n".into(),
        });
        let expected = json!({
            "type": "event", "channel": "builds", "position": "7-41", "routing_key": "a.b", "exchange": "ci",
            "content_type": "text/plain", "message_id": "m1", "timestamp": 1_790_000_000, "headers": {"try": 3},
            "encoding": "text", "body": "done\n",
        });
        assert_eq!(full, expected);
    }

    #[test]
    fn a_body_is_json_if_it_is_said_to_be_or_looks_so() {
        let encoding = |value: Value| value["encoding"].as_str().unwrap().to_owned();
        for (content_type, body, expected) in [
            (Some("application/json"), "3", "json"),
            (Some("application/json; charset=utf-8"), "{\"a\":1}", "json"),
            (Some("application/ld+json"), "[]", "json"),
            (Some("application/json"), "{", "text"),
            (Some("text/plain"), "{}", "text"),
            (None, "{\"a\":1}", "json"),
            (None, "3", "text"),
            (None, "{oops", "text"),
        ] {
            assert_eq!(encoding(with_body(content_type, body)), expected, "{content_type:?} {body}");
        }
        let bytes = with_body(Some("application/json"), [0xff, 0]);
        assert_eq!((&bytes["encoding"], &bytes["body"]), (&json!("base64"), &json!("/wA=")));
    }

    #[test]
    fn json_that_is_not_written_the_plain_way_brings_its_text_along() {
        let plain = with_body(None, "{\"a\":[1,\"ü\"]}");
        assert_eq!((&plain["body"], &plain["raw"]), (&json!({"a": [1, "ü"]}), &Value::Null));
        let pretty = "{\n  \"a\": 1.0\n}\n";
        let spaced = with_body(None, pretty);
        assert_eq!((&spaced["body"], &spaced["raw"]), (&json!({"a": 1.0}), &json!(pretty)));
    }

    #[test]
    fn headers_that_json_has_no_word_for_can_be_told_from_those_it_has() {
        let map = |entries: &[(&str, HeaderValue)]| {
            HeaderValue::Map(entries.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect())
        };
        let headers = BTreeMap::from([
            ("bytes".to_owned(), HeaderValue::Bytes(vec![0xff].into())),
            ("large".to_owned(), HeaderValue::Int(i64::MIN)),
            ("list".to_owned(), HeaderValue::List(vec![HeaderValue::Null, HeaderValue::Bool(true)])),
            ("like".to_owned(), map(&[("int", HeaderValue::Text("3".into()))])),
            ("map".to_owned(), map(&[("a", HeaderValue::Float(0.5)), ("int", HeaderValue::Int(3))])),
            ("nan".to_owned(), HeaderValue::Float(f64::NAN)),
        ]);
        let written = written(Message { headers, timestamp: Some(u64::MAX), ..Message::default() });
        let expected = json!({
            "bytes": {"base64": "/w=="}, "large": {"int": "-9223372036854775808"}, "list": [null, true],
            "like": {"map": {"int": "3"}}, "map": {"a": 0.5, "int": 3}, "nan": {"float": "NaN"},
        });
        assert_eq!(written["headers"], expected);
        assert_eq!(written["timestamp"], json!("18446744073709551615"));
    }
}
