//! An event: one published message, with everything its publisher said about it.

use std::{collections::BTreeMap, fmt};

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, de};

use crate::{
    Offset,
    limits::{EVENT_BYTES_MAX, HEADER_DEPTH_MAX},
};

/// One published message and its offset in the channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Position in the channel; strictly increasing, not always by one.
    pub offset: Offset,
    /// What the publisher sent.
    pub message: Message,
}

/// A message as published. The body is kept byte for byte.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// AMQP routing key, words separated by dots; at most 255 bytes in AMQP.
    pub routing_key: String,
    /// AMQP exchange it was published to; empty for the embedded source.
    pub exchange: String,
    /// MIME type of the body, if the publisher gave one.
    pub content_type: Option<String>,
    /// The publisher's own id for the message, if given.
    pub message_id: Option<String>,
    /// The publisher's timestamp in seconds since the Unix epoch, if given.
    pub timestamp: Option<u64>,
    /// Application headers, in key order.
    pub headers: BTreeMap<String, HeaderValue>,
    /// The body.
    pub body: Bytes,
}

impl Message {
    /// The body as text, if it is UTF-8.
    pub fn text(&self) -> Result<&str, std::str::Utf8Error> {
        std::str::from_utf8(&self.body)
    }

    /// The body as JSON, in a type of the application's.
    pub fn json<'a, T: Deserialize<'a>>(&'a self) -> serde_json::Result<T> {
        serde_json::from_slice(&self.body)
    }

    /// Whether a frame can hold the message: its size, and how deep its headers are nested.
    pub fn fits_frame(&self) -> bool {
        self.bytes() <= EVENT_BYTES_MAX && self.header_depth() <= HEADER_DEPTH_MAX
    }

    /// About how many bytes the message takes in a frame before compression; never less than it does.
    pub fn bytes(&self) -> usize {
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let headers: usize = self.headers.iter().map(|(key, value)| 5 + key.len() + value.bytes()).sum();
        // Nine markers of at most nine bytes each stand around the parts.
        let markers = 9 * 9;
        let parts = self.routing_key.len() + self.exchange.len() + self.body.len();
        markers + parts + text(&self.content_type) + text(&self.message_id) + headers
    }

    /// How deep lists and maps are nested in the headers; 0 if all values are scalars.
    ///
    /// Nobody can read a frame with a message beyond [`HEADER_DEPTH_MAX`](crate::limits::HEADER_DEPTH_MAX):
    /// check before sealing, as with [`EVENT_BYTES_MAX`](crate::limits::EVENT_BYTES_MAX).
    pub fn header_depth(&self) -> usize {
        deepest(self.headers.values())
    }
}

fn deepest<'a>(values: impl Iterator<Item = &'a HeaderValue>) -> usize {
    values.map(HeaderValue::depth).max().unwrap_or(0)
}

impl HeaderValue {
    fn depth(&self) -> usize {
        match self {
            Self::List(items) => 1 + deepest(items.iter()),
            Self::Map(entries) => 1 + deepest(entries.values()),
            _ => 0,
        }
    }

    fn bytes(&self) -> usize {
        9 + match self {
            Self::Null | Self::Bool(_) | Self::Int(_) | Self::Float(_) => 0,
            Self::Text(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
            Self::List(items) => items.iter().map(Self::bytes).sum(),
            Self::Map(entries) => entries.iter().map(|(key, value)| 5 + key.len() + value.bytes()).sum(),
        }
    }
}

/// The value of an application header: what AMQP tables can hold, reduced to msgpack's types.
///
/// RabbitMQ streams keep scalars only; lists and maps arrive in `queue` mode.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum HeaderValue {
    /// No value.
    Null,
    /// A truth value.
    Bool(bool),
    /// Any AMQP integer or timestamp.
    Int(i64),
    /// Any AMQP floating point number.
    Float(f64),
    /// A string that is valid UTF-8.
    Text(String),
    /// A string that is not, or a byte array.
    Bytes(serde_bytes::ByteBuf),
    /// An AMQP array.
    List(Vec<HeaderValue>),
    /// An AMQP table.
    Map(BTreeMap<String, HeaderValue>),
}

impl<'de> Deserialize<'de> for HeaderValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(HeaderVisitor)
    }
}

struct HeaderVisitor;

impl<'de> de::Visitor<'de> for HeaderVisitor {
    type Value = HeaderValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a header value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<HeaderValue, E> {
        Ok(HeaderValue::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<HeaderValue, E> {
        Ok(HeaderValue::Bool(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<HeaderValue, E> {
        Ok(HeaderValue::Int(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<HeaderValue, E> {
        value.try_into().map(HeaderValue::Int).map_err(|_| E::custom("integer above 2^63 - 1"))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<HeaderValue, E> {
        Ok(HeaderValue::Float(value))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<HeaderValue, E> {
        Ok(HeaderValue::Text(value.to_owned()))
    }

    fn visit_bytes<E: de::Error>(self, value: &[u8]) -> Result<HeaderValue, E> {
        Ok(HeaderValue::Bytes(serde_bytes::ByteBuf::from(value)))
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut items: A) -> Result<HeaderValue, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(HeaderValue::List(list))
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut entries: A) -> Result<HeaderValue, A::Error> {
        let mut map = BTreeMap::new();
        while let Some((Text(key), value)) = entries.next_entry()? {
            map.insert(key, value);
        }
        Ok(HeaderValue::Map(map))
    }
}

/// A msgpack string. Serde's own `String` would take a byte string, too.
pub(crate) struct Text(pub(crate) String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor)
    }
}

struct TextVisitor;

impl de::Visitor<'_> for TextVisitor {
    type Value = Text;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Text, E> {
        Ok(Text(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_read_as_text_or_as_json() {
        let message = |body: &'static [u8]| Message { body: Bytes::from_static(body), ..Message::default() };
        assert_eq!(message("grün".as_bytes()).text(), Ok("grün"));
        assert!(message(b"\xff").text().is_err());
        let ticket = message(b"{\"by\": \"me\"}");
        assert_eq!(
            ticket.json::<BTreeMap<String, String>>().unwrap(),
            BTreeMap::from([("by".into(), "me".into())])
        );
        assert!(message(b"{").json::<BTreeMap<String, String>>().is_err());
    }
}
