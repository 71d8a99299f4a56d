//! A look at a stream: the offset of the first message from a place on.

use std::time::Duration;

use futures_util::StreamExt;
use lapin::types::{AMQPValue, FieldTable, LongString};
use tiercast_codec::Offset;
use tokio::time::timeout;

use super::{connection::Broker, consumption::consume, error::AmqpError, message::stream_offset};

/// How long to wait for a message. A peek costs 4 ms (`docs/measurements.md`); where there is nothing, the broker says
/// nothing, so this is the time that an empty stream costs.
const PEEK_WITHIN: Duration = Duration::from_millis(500);

/// A place in a stream at which to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The oldest event that is retained.
    First,
    /// The beginning of the newest chunk.
    Last,
    /// The chunk of this time in Unix seconds, or the next one.
    Time(u64),
    /// This offset, or the next one that is retained.
    Offset(Offset),
}

impl Place {
    /// The consumer's arguments that begin here.
    pub(super) fn arguments(self) -> FieldTable {
        let value = match self {
            Place::First => AMQPValue::LongString(LongString::from("first")),
            Place::Last => AMQPValue::LongString(LongString::from("last")),
            Place::Time(unix_s) => AMQPValue::Timestamp(unix_s),
            Place::Offset(offset) => AMQPValue::LongLongInt(offset),
        };
        let mut arguments = FieldTable::default();
        arguments.insert("x-stream-offset".into(), value);
        arguments
    }
}

/// The offset of the first message from `place` on, or `None` if none comes soon.
pub(super) async fn peek(broker: &Broker, queue: &str, place: Place) -> Result<Option<Offset>, AmqpError> {
    let channel = broker.open_channel().await?;
    let mut consumer = consume(broker, &channel, queue, 1, place.arguments()).await?;
    match timeout(PEEK_WITHIN, consumer.next()).await {
        Err(_) => Ok(None),
        Ok(None) => Err(AmqpError::Deleted),
        Ok(Some(Err(source))) => Err(AmqpError::Broker { what: "looking into the stream", source }),
        Ok(Some(Ok(delivery))) => stream_offset(&delivery).map(Some).ok_or(AmqpError::NoOffset),
    }
}
