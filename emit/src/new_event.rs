//! An event that is to be published, as the batch endpoint takes it.

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::{EmitError, EventName};

/// The content type of JSON.
const JSON: &str = "application/json";

/// An event that is to be published.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NewEvent {
    /// Its routing key, such as an [`EventName`]; at most 255 bytes.
    pub routing_key: String,
    /// Of two events under the same id the server publishes one, within its window (`limits.duplicates_s`). Default: one that
    /// is made up.
    pub message_id: Option<String>,
    /// The MIME type of the body.
    pub content_type: Option<String>,
    /// When it happened, in seconds since the Unix epoch.
    pub timestamp: Option<u64>,
    /// Application headers.
    pub headers: Map<String, Value>,
    /// The body, byte for byte.
    pub body: Bytes,
}

impl NewEvent {
    /// An event with a body of JSON.
    pub fn json(name: EventName, data: &impl Serialize) -> Result<Self, EmitError> {
        let body = serde_json::to_vec(data).map_err(|error| EmitError::Data(error.to_string()))?;
        Ok(Self {
            routing_key: name.into(),
            content_type: Some(JSON.to_owned()),
            body: body.into(),
            ..Self::default()
        })
    }

    /// As an item of a batch. It has a message id, so that it can be published again.
    pub(crate) fn into_item(self) -> String {
        let mut item = Map::from_iter([
            ("routing_key".to_owned(), self.routing_key.into()),
            ("message_id".to_owned(), self.message_id.unwrap_or_else(made_up).into()),
        ]);
        let optional = [
            ("content_type", self.content_type.map(Value::from)),
            ("timestamp", self.timestamp.map(Value::from)),
            ("headers", (!self.headers.is_empty()).then_some(Value::Object(self.headers))),
        ];
        for (name, value) in optional {
            item.extend(value.map(|value| (name.to_owned(), value)));
        }
        let (kind, body) = body_of(&self.body, item.get("content_type"));
        item.insert(kind.to_owned(), body);
        Value::Object(item).to_string()
    }
}

/// A text needs a type, or the server takes it for plain text.
fn body_of(body: &Bytes, content_type: Option<&Value>) -> (&'static str, Value) {
    match std::str::from_utf8(body) {
        Ok(text) if content_type.is_some() => ("text", json!(text)),
        _ => ("base64", json!(BASE64_STANDARD.encode(body))),
    }
}

fn made_up() -> String {
    format!("{:032x}", rand::random::<u128>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(event: NewEvent) -> Value {
        serde_json::from_str(&event.into_item()).unwrap()
    }

    #[test]
    fn a_body_is_written_so_that_its_bytes_are_kept() {
        let name = EventName::new("ticket", 1, "updated").unwrap();
        let event = NewEvent::json(name, &json!({"a": "\u{e4}"})).unwrap();
        let written = item(NewEvent { message_id: Some("x".into()), ..event });
        let expected = json!({
            "routing_key": "ticket.1.updated", "message_id": "x", "content_type": "application/json",
            "text": "{\"a\":\"\u{e4}\"}",
        });
        assert_eq!(written, expected);
        for (body, content_type) in [(&b"text"[..], None), (&b"\xff\0"[..], Some("x/y"))] {
            let content_type = content_type.map(str::to_owned);
            let written = item(NewEvent { body: body.into(), content_type, ..NewEvent::default() });
            assert_eq!(written["base64"], json!(BASE64_STANDARD.encode(body)));
        }
    }

    #[test]
    fn every_event_has_an_id_of_its_own() {
        let id = || item(NewEvent::default())["message_id"].clone();
        assert_eq!(id().as_str().unwrap().len(), 32);
        assert_ne!(id(), id());
    }
}
