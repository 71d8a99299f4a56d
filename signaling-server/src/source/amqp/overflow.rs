//! Tells that a queue on the broker has lost messages because it was full.
//!
//! A queue with a length limit drops its oldest messages, and says so to nobody. So what it drops goes on, by an
//! exchange of our own, to a second queue of one message: when one comes from there, messages are missing. That is about
//! where: the two queues do not wait for each other, so some of what follows the loss may have been handed over before.

use futures_util::StreamExt;
use lapin::{
    Channel, Consumer, ExchangeKind,
    options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable, LongString},
};

use super::{
    broker::Broker,
    consumption::{accept, consume},
    error::AmqpError,
};

/// Watches one queue. Everything on the broker goes with the connection or, before, when this is dropped.
pub(super) struct Overflow {
    bytes_max: usize,
    consumer: Consumer,
}

/// The name of the second queue and of the exchange before it.
pub(super) fn name(queue: &str) -> String {
    format!("{queue}.overflow")
}

/// The arguments that limit a queue and send on what it drops.
pub(super) fn limit(queue: &str, bytes_max: usize) -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-max-length-bytes".into(), AMQPValue::LongLongInt(bytes_max as i64));
    let exchange = AMQPValue::LongString(LongString::from(name(queue)));
    arguments.insert("x-dead-letter-exchange".into(), exchange);
    arguments
}

impl Overflow {
    /// Makes what takes the messages that `queue` will drop.
    pub(super) async fn watch(broker: &Broker, queue: &str, bytes_max: usize) -> Result<Self, AmqpError> {
        let (channel, name) = (broker.open_channel().await?, name(queue));
        declare(broker, &channel, &name).await?;
        let consumer = consume(broker, &channel, &name, 1, FieldTable::default()).await?;
        Ok(Self { bytes_max, consumer })
    }

    /// Waits until the queue has lost messages; or is broken.
    pub(super) async fn happened(&mut self) -> AmqpError {
        match accept(self.consumer.next().await) {
            Ok(_) => AmqpError::QueueFull { bytes_max: self.bytes_max },
            Err(error) => error,
        }
    }
}

async fn declare(broker: &Broker, channel: &Channel, name: &str) -> Result<(), AmqpError> {
    let options = ExchangeDeclareOptions { auto_delete: true, ..Default::default() };
    let exchange =
        channel.exchange_declare(name.into(), ExchangeKind::Fanout, options, FieldTable::default());
    broker.rpc("declaring the exchange for what overflows", exchange).await?;
    let mut one_message = FieldTable::default();
    one_message.insert("x-max-length".into(), AMQPValue::LongLongInt(1));
    let options = QueueDeclareOptions { exclusive: true, auto_delete: true, ..Default::default() };
    let queue = channel.queue_declare(name.into(), options, one_message);
    broker.rpc("declaring the queue for what overflows", queue).await?;
    let binding = channel.queue_bind(
        name.into(),
        name.into(),
        "".into(),
        QueueBindOptions::default(),
        FieldTable::default(),
    );
    broker.rpc("binding the queue for what overflows", binding).await
}
