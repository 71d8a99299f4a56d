//! A look at a stream: where its oldest message is, and where its history begins.

use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use lapin::{Consumer, options::BasicQosOptions};
use tiercast_codec::Offset;
use tokio::time::timeout;

use super::{
    broker::Broker,
    consumption::{accept, consume},
    error::AmqpError,
    mark::Mark,
    message::stream_offset,
    place::Place,
};

/// A stream that says nothing for so long is asked by a mark whether there is nothing. A look costs 4 ms
/// (`docs/measurements.md`).
pub(super) const SILENCE: Duration = Duration::from_millis(500);

/// The oldest message of a stream that is not empty.
pub(super) async fn oldest(broker: &Broker, queue: &str) -> Result<Offset, AmqpError> {
    let channel = broker.open_channel().await?;
    let mut consumer = consume(broker, &channel, queue, 1, Place::First.arguments()).await?;
    match timeout(broker.rpc_timeout(), offset_of_next(&mut consumer)).await {
        Ok(offset) => offset,
        Err(_) => Err(broker.silent("looking for the oldest message")),
    }
}

/// The first message since `since`, in Unix seconds, or the first one of the newest chunk if that is older. Where the
/// stream is empty, a mark of ours.
pub(super) async fn history(broker: &Broker, queue: &str, since: Option<u64>) -> Result<Offset, AmqpError> {
    let channel = broker.open_channel().await?;
    let mut past = match since {
        Some(unix_s) => Some(consume(broker, &channel, queue, 1, Place::Time(unix_s).arguments()).await?),
        None => None,
    };
    let mut newest = consume(broker, &channel, queue, 1, Place::Last.arguments()).await?;
    let mut last = timeout(SILENCE, offset_of_next(&mut newest)).await;
    if last.is_err() {
        // Empty, or slow.
        Mark::Here.put(broker, queue, &Mark::id()).await?;
        last = timeout(broker.rpc_timeout(), offset_of_next(&mut newest)).await;
    }
    let last = last.map_err(|_| broker.silent("looking for the newest message"))??;
    // The broker serves all consumers of a channel together: what the first one gets was sent with what the second
    // one has got, and so before the answer to the next request.
    broker.rpc("looking for the history", channel.basic_qos(1, BasicQosOptions::default())).await?;
    match past.as_mut().and_then(|past| offset_of_next(past).now_or_never()) {
        Some(first) => Ok(first?.min(last)),
        None => Ok(last),
    }
}

async fn offset_of_next(consumer: &mut Consumer) -> Result<Offset, AmqpError> {
    let delivery = accept(consumer.next().await)?;
    stream_offset(&delivery).ok_or(AmqpError::NoOffset)
}
