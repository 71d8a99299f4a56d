//! A session on a classic queue that lives as long as the session; the hub numbers what comes.

use std::convert::Infallible;

use lapin::{
    options::{ExchangeDeleteOptions, QueueDeclareOptions, QueueDeleteOptions},
    types::FieldTable,
};
use tiercast_codec::{BEFORE_FIRST, Epoch, Offset, Position};

use super::{
    broker::Broker,
    config::AmqpChannelConfig,
    consumption::Consumption,
    error::AmqpError,
    feed::Feed,
    message,
    omission::Omission,
    overflow::{self, Overflow},
    topology::bind,
};
use crate::epoch::new_epoch_after;

/// What is remembered from one session to the next.
#[derive(Debug, Default)]
pub(super) struct QueueState {
    epoch: Option<Epoch>,
}

/// Runs one session. Returns only by an error. Each session is a new epoch: what was published before it is lost.
pub(super) async fn run(
    broker: &Broker,
    config: &AmqpChannelConfig,
    bytes_max: usize,
    feed: &mut Feed,
    state: &mut QueueState,
) -> Result<Infallible, AmqpError> {
    // A name of our own: one given by the server is outside the prefix that permissions name.
    let queue = format!("{}.{:016x}", config.queue_name(), rand::random::<u64>());
    let (mut overflow, mut consumption) = match start(broker, config, &queue, bytes_max).await {
        Ok(started) => started,
        Err(error) => {
            delete(broker, &queue).await;
            return Err(error);
        }
    };
    let epoch = new_epoch_after(state.epoch);
    state.epoch = Some(epoch);
    // The hub gives each message the next offset; counted along, to name the place of what is left out.
    let mut reached: Offset = BEFORE_FIRST;
    feed.opened(Position::new(epoch, reached)).await?;
    loop {
        let batch = tokio::select! {
            // First: what comes behind a loss is not to be taken for what comes next.
            biased;
            error = overflow.happened() => return Err(feed.overflowed(error)),
            batch = consumption.next_batch() => batch?,
            _ = feed.question() => {
                feed.answer(Position::new(epoch, reached)).await?;
                continue;
            }
        };
        let mut messages = Vec::with_capacity(batch.len());
        for delivery in batch {
            reached += 1;
            let Some(omission) = Omission::read(&delivery) else {
                messages.push(message::from_queue(delivery));
                continue;
            };
            feed.messages(std::mem::take(&mut messages)).await?;
            feed.left_out(Position::new(epoch, reached), omission).await?;
        }
        feed.messages(messages).await?;
        consumption.handed_over().await?;
    }
}

async fn start(
    broker: &Broker,
    config: &AmqpChannelConfig,
    queue: &str,
    bytes_max: usize,
) -> Result<(Overflow, Consumption), AmqpError> {
    let overflow = Overflow::watch(broker, queue, bytes_max).await?;
    let channel = broker.open_channel().await?;
    let options = QueueDeclareOptions { exclusive: true, auto_delete: true, ..Default::default() };
    let declaration = channel.queue_declare(queue.into(), options, overflow::limit(queue, bytes_max));
    broker.rpc("declaring the queue", declaration).await?;
    bind(broker, &channel, queue, &config.bindings).await?;
    Ok((overflow, Consumption::start(broker, queue, FieldTable::default()).await?))
}

/// Removes what has never had a consumer and would stay: the queues as long as the connection, the exchange longer.
async fn delete(broker: &Broker, queue: &str) {
    if !broker.is_alive() {
        return;
    }
    let Ok(channel) = broker.open_channel().await else { return };
    let overflow = overflow::name(queue);
    // What is refused here was refused before, and said.
    for queue in [queue, &overflow] {
        let deletion = channel.queue_delete(queue.into(), QueueDeleteOptions::default());
        let _ = broker.rpc("deleting the queue", deletion).await;
    }
    let deletion = channel.exchange_delete(overflow.into(), ExchangeDeleteOptions::default());
    let _ = broker.rpc("deleting the exchange", deletion).await;
}
