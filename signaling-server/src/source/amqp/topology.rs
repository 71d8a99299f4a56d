//! Binds a channel's queue to its exchanges.

use lapin::{Channel, options::QueueBindOptions, types::FieldTable};

use tiercast_codec::Pattern;

use super::{
    broker::Broker,
    config::BindingConfig,
    error::{AmqpError, reply_code},
};

pub(super) const NOT_FOUND: u16 = 404;

/// Binds the queue by every pattern. A binding that exists already stays as it is.
pub(super) async fn bind(
    broker: &Broker,
    channel: &Channel,
    queue: &str,
    bindings: &[BindingConfig],
) -> Result<(), AmqpError> {
    for BindingConfig { exchange, patterns } in bindings {
        for pattern in patterns {
            bind_one(broker, channel, queue, exchange.as_str(), pattern, FieldTable::default()).await?;
        }
    }
    Ok(())
}

/// Binds the queue by one pattern.
pub(super) async fn bind_one(
    broker: &Broker,
    channel: &Channel,
    queue: &str,
    exchange: &str,
    pattern: &Pattern,
    arguments: FieldTable,
) -> Result<(), AmqpError> {
    let (key, options) = (pattern.to_string(), QueueBindOptions::default());
    let binding = channel.queue_bind(queue.into(), exchange.into(), key.into(), options, arguments);
    broker.rpc("binding", binding).await.map_err(|error| name_missing(error, exchange))
}

/// Lets marks get into the stream (`mark.rs`), through the exchange that is called like it.
pub(super) async fn bind_marks(
    broker: &Broker,
    channel: &Channel,
    queue: &str,
    arguments: FieldTable,
) -> Result<(), AmqpError> {
    let options = QueueBindOptions::default();
    let binding = channel.queue_bind(queue.into(), queue.into(), "".into(), options, arguments);
    broker.rpc("binding", binding).await
}

/// Tells the exchange that is missing from the queue that has just been deleted.
pub(super) fn name_missing(error: AmqpError, exchange: &str) -> AmqpError {
    match error {
        AmqpError::Broker { source, .. }
            if reply_code(&source) == Some(NOT_FOUND) && source.to_string().contains("no exchange") =>
        {
            AmqpError::NoExchange(exchange.to_owned())
        }
        other => other,
    }
}
