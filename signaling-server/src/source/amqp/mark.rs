//! Marks: empty messages of ours in a stream. A mark that comes back proves what silence does not: where the stream
//! ends, even if the broker is slow or this node of it is behind the others.
//!
//! Marks are no events. They get into a stream where it says nothing, where it may have lost its end, where somebody is
//! behind its end or claims to be beyond it.

use futures_util::StreamExt;
use lapin::{
    BasicProperties,
    message::Delivery,
    options::{BasicAckOptions, BasicPublishOptions},
};
use tiercast_codec::{Epoch, Offset};
use tokio::time::timeout;

use super::{
    broker::Broker,
    consumption::{accept, consume},
    error::AmqpError,
    message::stream_offset,
    place::Place,
};
use crate::epoch::epoch_is_before;

/// Most deliveries between the place where the look begins and the mark that may be unacknowledged; fewer where a consumer
/// of events may have fewer. Unvalidated.
const PREFETCH_MAX: u16 = 100;

/// A numbering that begins so much later than now is nobody's: clocks do not differ by so much.
const AHEAD_MS_MAX: u64 = 7 * 24 * 3_600 * 1_000;

/// What a mark says, by its routing key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// Nothing: it is there.
    Here,
    /// What comes is of this numbering.
    Numbering(Epoch),
}

impl Mark {
    fn routing_key(self) -> String {
        match self {
            Mark::Here => "here".to_owned(),
            Mark::Numbering(epoch) => epoch.to_string(),
        }
    }

    /// What a delivery from the stream says if it is a mark.
    pub(super) fn read(delivery: &Delivery, queue: &str) -> Option<Self> {
        let is_mark = delivery.exchange.as_str() == queue;
        let is_possible = |epoch: &Epoch| epoch_is_before(*epoch, AHEAD_MS_MAX);
        let numbering = delivery.routing_key.as_str().parse().ok().filter(is_possible);
        is_mark.then(|| numbering.map_or(Mark::Here, Mark::Numbering))
    }

    /// What a new mark can be told by from others.
    pub(super) fn id() -> String {
        format!("{:016x}", rand::random::<u64>())
    }

    /// Puts a mark into the stream and does not wait for it.
    pub(super) async fn put(self, broker: &Broker, queue: &str, id: &str) -> Result<(), AmqpError> {
        let channel = broker.open_channel_for_a_mark().await?;
        let publishing = channel.basic_publish(
            // The exchange is called like the stream.
            queue.into(),
            self.routing_key().into(),
            BasicPublishOptions::default(),
            &[],
            BasicProperties::default().with_message_id(id.into()),
        );
        broker.rpc("marking the stream's end", publishing).await?;
        broker.count_mark();
        Ok(())
    }

    /// Puts a mark into the stream and waits for it: its offset is where the stream has ended.
    pub(super) async fn place(self, broker: &Broker, queue: &str) -> Result<Offset, AmqpError> {
        let channel = broker.open_channel().await?;
        let prefetch = broker.prefetch().min(PREFETCH_MAX);
        let counted = broker.count_buffered(&channel);
        let mut consumer = consume(broker, &channel, queue, prefetch, Place::Next.arguments()).await?;
        let id = Self::id();
        self.put(broker, queue, &id).await?;
        let coming = async {
            loop {
                let delivery = accept(consumer.next().await)?;
                counted.handed_over(delivery.data.len() as u64);
                if Mark::read(&delivery, queue).is_some() && self::id(&delivery).as_ref() == Some(&id) {
                    return stream_offset(&delivery).ok_or(AmqpError::NoOffset);
                }
                let acknowledgement = delivery.acker.ack(BasicAckOptions::default());
                broker.rpc("acknowledging", acknowledgement).await?;
            }
        };
        match timeout(broker.rpc_timeout(), coming).await {
            Ok(offset) => offset,
            Err(_) => Err(broker.silent("looking for the stream's end")),
        }
    }
}

/// What tells a mark from others.
pub(super) fn id(mark: &Delivery) -> Option<String> {
    mark.properties.message_id().as_ref().map(|id| id.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_came_through_the_exchange_of_the_streams_name_is_a_mark() {
        let delivery = |exchange: &str, key: String| {
            Delivery::mock(1, exchange.into(), key.as_str().into(), false, Vec::new())
        };
        for mark in [Mark::Here, Mark::Numbering(77)] {
            let key = mark.routing_key();
            assert_eq!(Mark::read(&delivery("tiercast.a", key.clone()), "tiercast.a"), Some(mark));
            assert_eq!(Mark::read(&delivery("events", key), "tiercast.a"), None);
        }
        // Whoever may publish there can say anything; no numbering could follow this one.
        let endless = delivery("tiercast.a", tiercast_codec::NUMBER_MAX.to_string());
        assert_eq!(Mark::read(&endless, "tiercast.a"), Some(Mark::Here));
    }
}
