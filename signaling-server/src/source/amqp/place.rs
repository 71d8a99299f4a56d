//! Places in a stream, as its broker is told of them.

use lapin::types::{AMQPValue, FieldTable, LongString};
use tiercast_codec::Offset;

/// A place in a stream at which to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The oldest message that is retained.
    First,
    /// The beginning of the newest chunk.
    Last,
    /// Behind what there is.
    Next,
    /// The chunk of this time in Unix seconds, or the next one.
    Time(u64),
    /// This offset, or the next one that is retained.
    Offset(Offset),
}

impl Place {
    /// The consumer's arguments that begin here.
    pub(super) fn arguments(self) -> FieldTable {
        let text = |text| AMQPValue::LongString(LongString::from(text));
        let value = match self {
            Place::First => text("first"),
            Place::Last => text("last"),
            Place::Next => text("next"),
            Place::Time(unix_s) => AMQPValue::Timestamp(unix_s),
            Place::Offset(offset) => AMQPValue::LongLongInt(offset),
        };
        let mut arguments = FieldTable::default();
        arguments.insert("x-stream-offset".into(), value);
        arguments
    }
}
