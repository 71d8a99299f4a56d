//! The epoch of a stream, hidden in an argument that the broker compares but never reaches.
//!
//! A stream is declared with `x-max-length-bytes = 2^62 + epoch`. Where the declaration succeeds, the stream has
//! been created and the epoch is ours. Where the stream exists, its argument differs from ours (a new epoch is tried
//! each time), and the broker refuses with 406 and a text that says which value it has. So any number of servers
//! agree on the epoch without talking to each other, and a stream that is created again gets another one.

use lapin::{
    options::QueueDeclareOptions,
    types::{AMQPValue, FieldTable, LongString},
};
use tiercast_codec::{Epoch, NUMBER_MAX};

use super::{
    broker::Broker,
    error::{AmqpError, PRECONDITION_FAILED, reply_code},
    names::RetentionConfig,
};
use crate::epoch::new_epoch_after;

/// What is added to the epoch: four exabytes, so that the argument never limits the stream.
const MARKER_BASE: u64 = 1 << 62;

const MARKER_ARGUMENT: &str = "x-max-length-bytes";

/// A stream's epoch, and whether it was us who made the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Declared {
    /// It did not exist.
    Created(Epoch),
    /// It existed. With nothing changed on the broker.
    Existing(Epoch),
}

/// Declares the stream and reads its epoch. A stream that is created gets one greater than `previous`.
pub(super) async fn declare(
    broker: &Broker,
    queue: &str,
    retention: &RetentionConfig,
    previous: Option<Epoch>,
) -> Result<Declared, AmqpError> {
    // The refusal ends the AMQP channel, so each declaration has one of its own.
    let channel = broker.open_channel().await?;
    let epoch = new_epoch_after(previous);
    let declaration =
        channel.queue_declare(queue.into(), QueueDeclareOptions::durable(), arguments(epoch, retention));
    match broker.rpc("declaring the stream", declaration).await {
        Ok(_) => Ok(Declared::Created(epoch)),
        Err(AmqpError::Broker { source, .. }) if reply_code(&source) == Some(PRECONDITION_FAILED) => {
            let text = source.to_string();
            match stored_epoch(&text) {
                Some(epoch) => Ok(Declared::Existing(epoch)),
                None => Err(AmqpError::Foreign { queue: queue.to_owned(), text }),
            }
        }
        Err(error) => Err(error),
    }
}

fn arguments(epoch: Epoch, retention: &RetentionConfig) -> FieldTable {
    let text = |text: &str| AMQPValue::LongString(LongString::from(text));
    let number = |number: u64| AMQPValue::LongLongInt(number as i64);
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), text("stream"));
    arguments.insert(MARKER_ARGUMENT.into(), number(MARKER_BASE + epoch));
    arguments.insert("x-max-age".into(), text(&format!("{}s", retention.max_age_s)));
    arguments.insert("x-stream-max-segment-size-bytes".into(), number(retention.segment_bytes));
    arguments
}

/// Reads the value that an argument has out of the broker's refusal of another one. RabbitMQ 3.10 ends it in `inequivalent arg '...' ...
/// received '...' but current is '...'`, later versions in `... but current is the value '...' of type 'long'`. The
/// names in its middle come before; a channel's cannot hold a quote.
pub(super) fn current_value<'a>(text: &'a str, argument: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once("inequivalent arg '")?;
    if !rest.starts_with(argument) {
        return None;
    }
    let (_, current) = rest.rsplit_once(" but current is ")?;
    let (_, value) = current.split_once('\'')?;
    Some(value.split_once('\'')?.0)
}

fn stored_epoch(text: &str) -> Option<Epoch> {
    let value = current_value(text, MARKER_ARGUMENT)?;
    let epoch = value.parse::<u64>().ok()?.checked_sub(MARKER_BASE)?;
    (epoch <= NUMBER_MAX).then_some(epoch)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: &str = "protocol error: PRECONDITION_FAILED - inequivalent arg '";

    fn refusal(argument: &str, current: &str) -> String {
        format!(
            "{START}{argument}' for queue 'tiercast.a' in vhost '/': received the value '9' of type 'long' but {current}"
        )
    }

    #[test]
    fn the_epoch_is_read_from_the_refusal() {
        let current = format!("current is the value '{}' of type 'long'", MARKER_BASE + 77);
        assert_eq!(stored_epoch(&refusal("x-max-length-bytes", &current)), Some(77));
    }

    #[test]
    fn the_epoch_is_read_from_the_refusal_of_rabbitmq_3_10() {
        let text = "inequivalent arg 'x-max-length-bytes' for queue 'tiercast.a' in vhost '/': received '4611686018427387999'";
        let text = format!("{text} but current is '{}'", MARKER_BASE + 77);
        assert_eq!(stored_epoch(&text), Some(77));
    }

    #[test]
    fn a_refusal_for_another_reason_holds_no_epoch() {
        let current = format!("current is the value '{}' of type 'long'", MARKER_BASE + 77);
        assert_eq!(stored_epoch(&refusal("x-queue-type", &current)), None);
        assert_eq!(stored_epoch(&refusal("x-max-length-bytes", "current is none")), None);
        assert_eq!(
            stored_epoch(&refusal("x-max-length-bytes", "current is the value '5000' of type 'long'")),
            None
        );
        let beyond = format!("current is the value '{}' of type 'long'", MARKER_BASE + NUMBER_MAX + 1);
        assert_eq!(stored_epoch(&refusal("x-max-length-bytes", &beyond)), None);
    }

    #[test]
    fn a_refusal_that_was_cut_in_the_number_holds_no_epoch() {
        let current = "current is the value '46116860184273879...";
        assert_eq!(stored_epoch(&refusal("x-max-length-bytes", current)), None);
    }
}
