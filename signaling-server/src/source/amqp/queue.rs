//! A session on a classic queue that lives as long as the session; the hub numbers what comes.

use std::convert::Infallible;

use lapin::{
    options::{QueueDeclareOptions, QueueDeleteOptions},
    types::FieldTable,
};
use tiercast_codec::{BEFORE_FIRST, Epoch, Offset, Position};

use super::{
    config::AmqpChannelConfig, connection::Broker, consumption::Consumption, error::AmqpError, feed::Feed,
    message, omission::Omission, topology::bind,
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
    feed: &mut Feed,
    state: &mut QueueState,
) -> Result<Infallible, AmqpError> {
    // A name of our own: one given by the server is outside the prefix that permissions name.
    let queue = format!("{}.{:016x}", config.queue_name(), rand::random::<u64>());
    let mut consumption = match start(broker, config, &queue).await {
        Ok(consumption) => consumption,
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

async fn start(broker: &Broker, config: &AmqpChannelConfig, queue: &str) -> Result<Consumption, AmqpError> {
    let channel = broker.open_channel().await?;
    let options = QueueDeclareOptions { exclusive: true, auto_delete: true, ..Default::default() };
    broker
        .rpc("declaring the queue", channel.queue_declare(queue.into(), options, FieldTable::default()))
        .await?;
    bind(broker, &channel, queue, &config.bindings).await?;
    Consumption::start(broker, queue, FieldTable::default()).await
}

/// Removes a queue that has never had a consumer and would stay as long as the connection.
async fn delete(broker: &Broker, queue: &str) {
    if !broker.is_alive() {
        return;
    }
    if let Ok(channel) = broker.open_channel().await {
        // At worst it goes with the connection.
        let _ = broker
            .rpc("deleting the queue", channel.queue_delete(queue.into(), QueueDeleteOptions::default()))
            .await;
    }
}
