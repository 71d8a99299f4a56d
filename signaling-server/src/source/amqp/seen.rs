//! The last message that came of a stream: another one in its place, and the stream does not go on where it was.

use lapin::message::Delivery;
use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};
use tiercast_codec::{Epoch, Offset};

use super::{error::AmqpError, message};

/// A message that came, so that it can be told from another one in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seen {
    /// What its position was named by.
    pub(super) epoch: Epoch,
    pub(super) offset: Offset,
    /// Of all that it consists of: whoever publishes the same body again and again gives it another time or id.
    pub(super) hash: u64,
}

impl Seen {
    pub(super) fn of(epoch: Epoch, delivery: &Delivery) -> Result<Self, AmqpError> {
        let offset = message::stream_offset(delivery).ok_or(AmqpError::NoOffset)?;
        let mut context = Context::new(&SHA256);
        let properties = format!("{:?}", delivery.properties);
        let parts = [
            delivery.exchange.as_str().as_bytes(),
            delivery.routing_key.as_str().as_bytes(),
            properties.as_bytes(),
            &delivery.data,
        ];
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let digest = context.finish();
        let first = digest.as_ref().first_chunk().expect("a digest of 32 bytes");
        Ok(Self { epoch, offset, hash: u64::from_be_bytes(*first) })
    }

    /// Whether what comes now says nothing against it: it is at another place, or is the same.
    pub(super) fn is_kept_by(&self, now: &Delivery) -> Result<bool, AmqpError> {
        let now = Self::of(self.epoch, now)?;
        Ok(self.offset != now.offset || self.hash == now.hash)
    }
}

#[cfg(test)]
mod tests {
    use lapin::{
        BasicProperties,
        types::{AMQPValue, FieldTable},
    };

    use super::*;

    fn delivery(
        body: &[u8],
        offset: Offset,
        change: fn(BasicProperties, FieldTable) -> (BasicProperties, FieldTable),
    ) -> Delivery {
        let mut delivery = Delivery::mock(1, "events".into(), "a".into(), false, body.to_vec());
        let (properties, mut headers) = change(BasicProperties::default(), FieldTable::default());
        headers.insert("x-stream-offset".into(), AMQPValue::LongLongInt(offset));
        delivery.properties = properties.with_headers(headers);
        delivery
    }

    #[test]
    fn regression_a_message_is_told_from_another_one_in_its_place_by_all_that_it_has() {
        let same: fn(_, _) -> _ = |properties, headers| (properties, headers);
        let one = Seen::of(7, &delivery(b"{}", 1, same)).unwrap();
        let is_kept_by = |now: Delivery| one.is_kept_by(&now).unwrap();
        assert!(is_kept_by(delivery(b"{}", 1, same)));
        assert!(is_kept_by(delivery(b"other", 2, same)), "that says nothing about the first");
        assert!(!is_kept_by(delivery(b"other", 1, same)));
        assert!(!is_kept_by(delivery(b"{}", 1, |properties, headers| (
            properties.with_timestamp(5),
            headers
        ))));
        assert!(!is_kept_by(delivery(b"{}", 1, |properties, headers| (
            properties.with_message_id("5".into()),
            headers
        ))));
        assert!(!is_kept_by(delivery(b"{}", 1, |properties, mut headers| {
            headers.insert("attempt".into(), AMQPValue::LongInt(2));
            (properties, headers)
        })));
    }
}
