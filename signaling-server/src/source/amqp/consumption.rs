//! A consumer on an AMQP channel of its own: deliveries in batches, acknowledged a hundred at a time.

use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use lapin::{
    Channel, Consumer,
    message::Delivery,
    options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions},
    types::{DeliveryTag, FieldTable},
};
use tokio::time::{Instant, sleep_until};

use super::{broker::Broker, buffered::Counted, error::AmqpError, permission::CONSUMING};

/// Most deliveries per acknowledgement (`docs/measurements.md`: single ones cost eight times as much). Fewer if the
/// prefetch is small, so that the broker need not wait.
const ACK_EVERY_MAX: usize = 100;

/// Longest time that a delivery which has been handed over stays unacknowledged. The broker closes a channel
/// after 30 minutes.
const ACK_WITHIN: Duration = Duration::from_secs(1);

/// Most deliveries in a batch; unvalidated.
const BATCH_MAX: usize = 256;

/// Body bytes at which a batch ends; its last delivery may exceed it. Unvalidated.
const BATCH_BYTES_MAX: usize = 1_048_576;

/// A running consumer. Dropping it cancels it and closes its AMQP channel.
pub(super) struct Consumption {
    broker: Broker,
    channel: Channel,
    consumer: Consumer,
    counted: Counted,
    /// Why there is nothing more to come, found while a batch was being filled.
    end: Option<AmqpError>,
    /// The last batch that was taken.
    in_hand: InHand,
    /// Handed over, not yet acknowledged.
    pending: usize,
    ack_every: usize,
    ack_due: Instant,
}

#[derive(Default)]
struct InHand {
    count: usize,
    last_tag: DeliveryTag,
    bytes: usize,
}

impl Consumption {
    pub(super) async fn start(
        broker: &Broker,
        queue: &str,
        arguments: FieldTable,
    ) -> Result<Self, AmqpError> {
        let channel = broker.open_channel().await?;
        let counted = broker.count_buffered(&channel);
        let prefetch = broker.prefetch();
        let consumer = consume(broker, &channel, queue, prefetch, arguments).await?;
        Ok(Self {
            broker: broker.clone(),
            channel,
            consumer,
            counted,
            end: None,
            in_hand: InHand::default(),
            pending: 0,
            ack_every: (usize::from(prefetch) / 2).clamp(1, ACK_EVERY_MAX),
            ack_due: Instant::now(),
        })
    }

    /// Waits for the next delivery and takes it with all that are ready behind it. May be dropped while it waits.
    pub(super) async fn next_batch(&mut self) -> Result<Vec<Delivery>, AmqpError> {
        if let Some(end) = self.end.take() {
            return Err(end);
        }
        let first = loop {
            tokio::select! {
                delivery = self.consumer.next() => break accept(delivery)?,
                () = sleep_until(self.ack_due), if self.pending > 0 => self.acknowledge().await?,
            }
        };
        self.in_hand = InHand::default();
        self.in_hand.add(&first);
        Ok(self.fill(vec![first]))
    }

    /// Like `next_batch`, but does not wait where there is nothing more now. Says whether that is so: then the batch, which
    /// may be empty, reaches to what was the end of the stream after the last acknowledgement.
    ///
    /// Whenever something is acknowledged the broker sends all that there is and the prefetch lets it, and only then
    /// answers the next request.
    pub(super) async fn next_or_end(&mut self) -> Result<(Vec<Delivery>, bool), AmqpError> {
        let ready = self.ready()?;
        if !ready.is_empty() {
            return Ok((ready, false));
        }
        if self.pending > 0 {
            self.acknowledge().await?;
        }
        let prefetch = self.broker.prefetch();
        let request = self.channel.basic_qos(prefetch, BasicQosOptions::default());
        self.broker.rpc("looking for the stream's end", request).await?;
        let rest = self.ready()?;
        let is_all = rest.len() < BATCH_MAX.min(prefetch.into()) && self.in_hand.bytes < BATCH_BYTES_MAX;
        Ok((rest, is_all))
    }

    /// What is ready, if anything is.
    fn ready(&mut self) -> Result<Vec<Delivery>, AmqpError> {
        if let Some(end) = self.end.take() {
            return Err(end);
        }
        self.in_hand = InHand { last_tag: self.in_hand.last_tag, ..InHand::default() };
        Ok(self.fill(Vec::new()))
    }

    /// Adds what is ready to a batch.
    fn fill(&mut self, mut batch: Vec<Delivery>) -> Vec<Delivery> {
        while batch.len() < BATCH_MAX && self.in_hand.bytes < BATCH_BYTES_MAX {
            let Some(ready) = self.consumer.next().now_or_never() else { break };
            match accept(ready) {
                Ok(delivery) => {
                    self.in_hand.add(&delivery);
                    batch.push(delivery);
                }
                Err(end) => {
                    self.end = Some(end);
                    break;
                }
            }
        }
        batch
    }

    /// Says that the last batch has been handed over; acknowledges if it is time.
    pub(super) async fn handed_over(&mut self) -> Result<(), AmqpError> {
        if self.pending == 0 {
            self.ack_due = Instant::now() + ACK_WITHIN;
        }
        self.pending += self.in_hand.count;
        self.counted.handed_over(self.in_hand.bytes as u64);
        if self.pending >= self.ack_every || Instant::now() >= self.ack_due {
            self.acknowledge().await?;
        }
        Ok(())
    }

    async fn acknowledge(&mut self) -> Result<(), AmqpError> {
        self.pending = 0;
        let acknowledgement =
            self.channel.basic_ack(self.in_hand.last_tag, BasicAckOptions { multiple: true });
        self.broker.rpc("acknowledging", acknowledgement).await
    }
}

impl InHand {
    fn add(&mut self, delivery: &Delivery) {
        self.count += 1;
        self.last_tag = delivery.delivery_tag;
        self.bytes += delivery.data.len();
    }
}

/// Starts a consumer on a channel.
pub(super) async fn consume(
    broker: &Broker,
    channel: &Channel,
    queue: &str,
    prefetch: u16,
    arguments: FieldTable,
) -> Result<Consumer, AmqpError> {
    broker.rpc("limiting the prefetch", channel.basic_qos(prefetch, BasicQosOptions::default())).await?;
    let consumer = channel.basic_consume(queue.into(), "".into(), BasicConsumeOptions::default(), arguments);
    broker.rpc(CONSUMING, consumer).await
}

/// A delivery, or why there are no more.
pub(super) fn accept(delivery: Option<lapin::Result<Delivery>>) -> Result<Delivery, AmqpError> {
    match delivery {
        Some(Ok(delivery)) => Ok(delivery),
        Some(Err(source)) => Err(AmqpError::Broker { what: CONSUMING, source }),
        None => Err(AmqpError::Deleted),
    }
}
