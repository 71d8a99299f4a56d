//! A delivery from the broker as a message of ours.

use std::collections::BTreeMap;

use bytes::Bytes;
use lapin::{
    message::Delivery,
    types::{AMQPValue, FieldTable},
};
use tiercast_codec::{HeaderValue, Message, Offset};

/// The header in which a stream's broker says the offset.
pub(super) const OFFSET_HEADER: &str = "x-stream-offset";

/// The offset that a stream gave to a delivery.
pub(super) fn stream_offset(delivery: &Delivery) -> Option<Offset> {
    match delivery.properties.headers().as_ref()?.inner().get(OFFSET_HEADER)? {
        AMQPValue::LongLongInt(offset) if *offset >= 0 => Some(*offset),
        _ => None,
    }
}

/// A message as it came from a stream: without the header that the broker added.
pub(super) fn from_stream(delivery: Delivery) -> Message {
    let mut message = from_queue(delivery);
    message.headers.remove(OFFSET_HEADER);
    message
}

/// A message as it came from a classic queue: every header is the publisher's.
pub(super) fn from_queue(delivery: Delivery) -> Message {
    let properties = &delivery.properties;
    Message {
        content_type: properties.content_type().as_ref().map(ToString::to_string),
        message_id: properties.message_id().as_ref().map(ToString::to_string),
        timestamp: *properties.timestamp(),
        headers: properties.headers().as_ref().map(table).unwrap_or_default(),
        routing_key: delivery.routing_key.into(),
        exchange: delivery.exchange.into(),
        body: Bytes::from(delivery.data),
    }
}

fn table(table: &FieldTable) -> BTreeMap<String, HeaderValue> {
    table.into_iter().map(|(key, header)| (key.to_string(), value(header))).collect()
}

fn value(header: &AMQPValue) -> HeaderValue {
    match header {
        AMQPValue::Void => HeaderValue::Null,
        AMQPValue::Boolean(value) => HeaderValue::Bool(*value),
        AMQPValue::ShortShortInt(value) => HeaderValue::Int((*value).into()),
        AMQPValue::ShortShortUInt(value) => HeaderValue::Int((*value).into()),
        AMQPValue::ShortInt(value) => HeaderValue::Int((*value).into()),
        AMQPValue::ShortUInt(value) => HeaderValue::Int((*value).into()),
        AMQPValue::LongInt(value) => HeaderValue::Int((*value).into()),
        AMQPValue::LongUInt(value) => HeaderValue::Int((*value).into()),
        AMQPValue::LongLongInt(value) => HeaderValue::Int(*value),
        AMQPValue::Timestamp(value) => HeaderValue::Int(i64::try_from(*value).unwrap_or(i64::MAX)),
        AMQPValue::Float(value) => HeaderValue::Float((*value).into()),
        AMQPValue::Double(value) => HeaderValue::Float(*value),
        AMQPValue::DecimalValue(value) => {
            HeaderValue::Float(f64::from(value.value) / 10f64.powi(value.scale.into()))
        }
        AMQPValue::ShortString(value) => HeaderValue::Text(value.to_string()),
        AMQPValue::LongString(value) => text_or_bytes(value.as_bytes()),
        AMQPValue::ByteArray(value) => HeaderValue::Bytes(value.as_slice().to_vec().into()),
        AMQPValue::FieldArray(values) => HeaderValue::List(values.as_slice().iter().map(value).collect()),
        AMQPValue::FieldTable(values) => HeaderValue::Map(table(values)),
    }
}

fn text_or_bytes(bytes: &[u8]) -> HeaderValue {
    match std::str::from_utf8(bytes) {
        Ok(text) => HeaderValue::Text(text.to_owned()),
        Err(_) => HeaderValue::Bytes(bytes.to_vec().into()),
    }
}

#[cfg(test)]
mod tests {
    use lapin::{
        BasicProperties,
        types::{DecimalValue, FieldArray},
    };

    use super::*;

    fn delivery(headers: FieldTable) -> Delivery {
        let mut delivery = Delivery::mock(1, "events".into(), "a.b".into(), false, b"body".to_vec());
        delivery.properties = BasicProperties::default()
            .with_content_type("text/plain".into())
            .with_message_id("id-1".into())
            .with_timestamp(1_700_000_000)
            .with_headers(headers);
        delivery
    }

    fn with_offset(offset: AMQPValue) -> Delivery {
        let mut headers = FieldTable::default();
        headers.insert(OFFSET_HEADER.into(), offset);
        delivery(headers)
    }

    #[test]
    fn everything_the_publisher_said_is_kept() {
        let message = from_queue(delivery(FieldTable::default()));
        assert_eq!((message.exchange.as_str(), message.routing_key.as_str()), ("events", "a.b"));
        assert_eq!(message.content_type.as_deref(), Some("text/plain"));
        assert_eq!((message.message_id.as_deref(), message.timestamp), (Some("id-1"), Some(1_700_000_000)));
        assert_eq!(&message.body[..], b"body");
    }

    #[test]
    fn a_message_without_properties_has_none() {
        let message = from_queue(Delivery::mock(1, "".into(), "".into(), false, Vec::new()));
        assert_eq!(message, Message::default());
    }

    #[test]
    fn the_offset_is_read_and_taken_out_in_a_stream_only() {
        assert_eq!(stream_offset(&with_offset(AMQPValue::LongLongInt(42))), Some(42));
        assert!(from_stream(with_offset(AMQPValue::LongLongInt(42))).headers.is_empty());
        let kept = from_queue(with_offset(AMQPValue::LongLongInt(42)));
        assert_eq!(kept.headers.get(OFFSET_HEADER), Some(&HeaderValue::Int(42)));
    }

    #[test]
    fn what_is_no_offset_is_not_taken_for_one() {
        assert_eq!(stream_offset(&with_offset(AMQPValue::LongLongInt(-1))), None);
        assert_eq!(stream_offset(&with_offset(AMQPValue::LongString("42".into()))), None);
        assert_eq!(stream_offset(&delivery(FieldTable::default())), None);
    }

    #[test]
    fn every_header_type_has_a_value_of_ours() {
        let decimal = AMQPValue::DecimalValue(DecimalValue { scale: 2, value: 225 });
        let list = AMQPValue::FieldArray(FieldArray::from(vec![AMQPValue::Boolean(true), AMQPValue::Void]));
        let mut inner = FieldTable::default();
        inner.insert("k".into(), AMQPValue::ShortShortInt(-3));
        let cases = [
            (AMQPValue::LongUInt(u32::MAX), HeaderValue::Int(u32::MAX.into())),
            (AMQPValue::ShortInt(-7), HeaderValue::Int(-7)),
            (AMQPValue::Timestamp(u64::MAX), HeaderValue::Int(i64::MAX)),
            (AMQPValue::Float(0.5), HeaderValue::Float(0.5)),
            (decimal, HeaderValue::Float(2.25)),
            (AMQPValue::LongString("text".into()), HeaderValue::Text("text".into())),
            (AMQPValue::LongString(vec![0xff].into()), HeaderValue::Bytes(vec![0xff].into())),
            (AMQPValue::ByteArray(vec![1, 2].into()), HeaderValue::Bytes(vec![1, 2].into())),
            (list, HeaderValue::List(vec![HeaderValue::Bool(true), HeaderValue::Null])),
            (
                AMQPValue::FieldTable(inner),
                HeaderValue::Map(BTreeMap::from([("k".to_owned(), HeaderValue::Int(-3))])),
            ),
        ];
        for (theirs, ours) in cases {
            assert_eq!(value(&theirs), ours);
        }
    }
}
