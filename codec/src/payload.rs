//! What is inside a frame: a msgpack array of events, compressed with zlib where that helps.
//!
//! An event is an array of eight: offset minus the frame's `after`, routing key, exchange, content type,
//! message id, timestamp, headers, body. What the publisher did not give is nil.

use std::{collections::BTreeMap, fmt};

use bytes::Bytes;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use serde::{Deserialize, Deserializer, Serialize, de};

use crate::{
    DecodeError, Event, FrameHeader, HeaderValue, Message, Offset, event::Text, limits::HEADER_DEPTH_MAX,
};

/// Most bytes that one byte of deflated data can stand for: 258 bytes in two bits.
const DEFLATE_RATIO_MAX: usize = 1_032;

#[derive(Serialize)]
struct EventRef<'a>(
    u64,
    &'a str,
    &'a str,
    Option<&'a str>,
    Option<&'a str>,
    Option<u64>,
    &'a BTreeMap<String, HeaderValue>,
    &'a serde_bytes::Bytes,
);

#[derive(Deserialize)]
struct EventOwned(
    u64,
    Text,
    Text,
    Option<Text>,
    Option<Text>,
    Option<u64>,
    #[serde(deserialize_with = "headers")] BTreeMap<String, HeaderValue>,
    #[serde(deserialize_with = "body")] Bytes,
);

pub(crate) fn encode_events(after: Offset, events: &[Event]) -> Vec<u8> {
    let refs: Vec<_> = events
        .iter()
        .map(|Event { offset, message }| {
            EventRef(
                (offset - after) as u64,
                &message.routing_key,
                &message.exchange,
                message.content_type.as_deref(),
                message.message_id.as_deref(),
                message.timestamp,
                &message.headers,
                serde_bytes::Bytes::new(&message.body),
            )
        })
        .collect();
    rmp_serde::to_vec(&refs).expect("plain data always encodes")
}

pub(crate) fn decode_events(payload: &[u8], header: &FrameHeader) -> Result<Vec<Event>, DecodeError> {
    let mut rest = payload;
    let mut decoder = rmp_serde::Deserializer::new(&mut rest);
    decoder.set_max_depth(HEADER_DEPTH_MAX + 4);
    let decoded = decoder
        .deserialize_seq(Events { count: header.event_count as usize })
        .map_err(|error| DecodeError::BadEvents(error.to_string()))?;
    if !rest.is_empty() {
        return Err(DecodeError::BadEvents("bytes after the last event".into()));
    }
    let mut previous = 0;
    let span = (header.last - header.after) as u64;
    decoded
        .into_iter()
        .map(|event| {
            if event.0 <= previous || event.0 > span {
                return Err(DecodeError::BadEvents("offsets do not ascend within the frame's range".into()));
            }
            previous = event.0;
            Ok(Event { offset: header.after + event.0 as i64, message: event.into() })
        })
        .collect()
}

/// Reads exactly as many events as the header says, and no memory is reserved for more.
struct Events {
    count: usize,
}

impl<'de> de::Visitor<'de> for Events {
    type Value = Vec<EventOwned>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} events", self.count)
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        if let Some(length) = items.size_hint().filter(|length| *length != self.count) {
            return Err(de::Error::invalid_length(length, &self));
        }
        let mut events = Vec::new();
        while let Some(event) = items.next_element()? {
            events.push(event);
        }
        Ok(events)
    }
}

fn headers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, HeaderValue>, D::Error> {
    match HeaderValue::deserialize(deserializer)? {
        HeaderValue::Map(entries) => Ok(entries),
        _ => Err(de::Error::custom("headers are not a map")),
    }
}

/// A msgpack byte string. `serde_bytes` would take text and lists, too.
fn body<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
    struct Visitor;
    impl de::Visitor<'_> for Visitor {
        type Value = Bytes;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("bytes")
        }

        fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Bytes, E> {
            Ok(Bytes::copy_from_slice(bytes))
        }
    }
    deserializer.deserialize_bytes(Visitor)
}

impl From<EventOwned> for Message {
    fn from(event: EventOwned) -> Self {
        Self {
            routing_key: event.1.0,
            exchange: event.2.0,
            content_type: event.3.map(|text| text.0),
            message_id: event.4.map(|text| text.0),
            timestamp: event.5,
            headers: event.6,
            body: event.7,
        }
    }
}

/// A compressor that is set up once and used for every frame.
pub(crate) struct Deflater {
    state: Compress,
    output: Vec<u8>,
}

impl Default for Deflater {
    fn default() -> Self {
        Self { state: Compress::new(Compression::default(), true), output: Vec::new() }
    }
}

impl fmt::Debug for Deflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Deflater")
    }
}

impl Deflater {
    /// The zlib stream of `input`, or nothing if it would not be smaller.
    pub(crate) fn deflate(&mut self, input: &[u8]) -> Option<&[u8]> {
        self.state.reset();
        self.output.clear();
        self.output.reserve(input.len());
        // The output may not grow past the input: what does not fit does not help.
        let status = self.state.compress_vec(input, &mut self.output, FlushCompress::Finish);
        let done = matches!(status, Ok(Status::StreamEnd)) && self.output.len() < input.len();
        done.then_some(self.output.as_slice())
    }
}

/// Inflates a zlib stream that must give exactly `length` bytes; never writes more.
pub(crate) fn inflate(input: &[u8], length: usize) -> Result<Bytes, DecodeError> {
    let mut output = Vec::with_capacity(inflated_bytes_max(input.len(), length));
    let mut state = Decompress::new(true);
    // `decompress_vec` fills spare capacity only, so what was reserved is also the cap.
    let status = state.decompress_vec(input, &mut output, FlushDecompress::Finish);
    let whole = state.total_in() as usize == input.len() && output.len() == length;
    if matches!(status, Ok(Status::StreamEnd)) && whole {
        Ok(output.into())
    } else {
        Err(DecodeError::BadPayload)
    }
}

/// What a payload that states `length` can give at most: no memory is reserved for a promise beyond that.
fn inflated_bytes_max(input_bytes: usize, length: usize) -> usize {
    length.min(input_bytes.saturating_mul(DEFLATE_RATIO_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::FRAME_INFLATED_BYTES_MAX;

    #[test]
    fn a_tiny_payload_reserves_little_whatever_it_states() {
        assert_eq!(inflated_bytes_max(10, FRAME_INFLATED_BYTES_MAX), 10_320);
        assert_eq!(inflated_bytes_max(0, FRAME_INFLATED_BYTES_MAX), 0);
    }

    #[test]
    fn no_payload_reserves_more_than_it_states() {
        assert_eq!(inflated_bytes_max(FRAME_INFLATED_BYTES_MAX, 100), 100);
        assert_eq!(inflated_bytes_max(usize::MAX, 100), 100);
    }
}
