//! Pages of a stream's past for the hub: each is read by a consumer of its own, which ends with it.
//!
//! That the stream is still the same is for the session to notice, whose consumer ends with the stream, and looked up from
//! time to time besides. Not for each page: every look costs the connection one of its AMQP channels for good (`broker.rs`).

mod reading;

use std::time::Duration;

use futures_util::{StreamExt, stream::FuturesUnordered};
use tiercast_codec::Position;
use tiercast_mesh::{Page, SourceUpdate, hub::Fetch};
use tokio::{
    sync::mpsc,
    time::{Instant, interval_at, timeout},
};
use tracing::{debug, warn};

use self::reading::Reading;
use super::{
    broker::Broker,
    config::AmqpChannelConfig,
    consumption::Consumption,
    dynamic::binder::{Binder, known_from},
    error::AmqpError,
    lifetime::{Lifetime, is_still},
    peek::oldest,
    place::Place,
};
use crate::source::SourceSink;

/// How often it is looked up what the stream still retains. A look costs 4 ms (`docs/measurements.md`).
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// A page is handed over if no more than this has passed since the stream was known to be the same. Unvalidated.
const SAME_FOR: Duration = Duration::from_secs(10);

/// Answers what the hub wants to know of one channel's past.
pub(super) struct Past {
    channel: String,
    sink: SourceSink,
    fetches: mpsc::Receiver<Fetch>,
}

impl Past {
    pub(super) fn new(channel: String, sink: SourceSink, fetches: mpsc::Receiver<Fetch>) -> Self {
        Self { channel, sink, fetches }
    }

    /// Reads pages, as many at a time as the hub asks for. Returns only by an error; may be dropped at any time: what was
    /// asked for is then not answered.
    pub(super) async fn serve(
        &mut self,
        broker: &Broker,
        config: &AmqpChannelConfig,
        lifetime: Lifetime,
        binder: Option<&Binder>,
    ) -> AmqpError {
        let mut pages = FuturesUnordered::new();
        let mut look = interval_at(Instant::now() + LOOK_EVERY, LOOK_EVERY);
        let mut same_at = Instant::now();
        loop {
            let update = tokio::select! {
                Some(fetch) = self.fetches.recv() => {
                    pages.push(answer(broker, config, lifetime, fetch));
                    continue;
                }
                Some(answer) = pages.next() => {
                    if same_at.elapsed() > SAME_FOR {
                        same_at = Instant::now();
                        match is_still(broker, config, lifetime).await {
                            Ok(true) => {}
                            Ok(false) => return AmqpError::Deleted,
                            Err(error) => return error,
                        }
                    }
                    answer
                }
                _ = look.tick() => match oldest(broker, &config.queue_name()).await {
                    Ok(oldest) => {
                        let retained = Position::new(lifetime.epoch, oldest - 1);
                        SourceUpdate::Retains(known_from(binder, retained))
                    }
                    // Most often there is nothing in the stream.
                    Err(error) => {
                        debug!(channel = self.channel, %error, "what is retained is not known");
                        continue;
                    }
                },
            };
            if self.sink.send((self.channel.clone(), update)).await.is_err() {
                return AmqpError::SinkClosed;
            }
        }
    }
}

async fn answer(
    broker: &Broker,
    config: &AmqpChannelConfig,
    lifetime: Lifetime,
    fetch: Fetch,
) -> SourceUpdate {
    let (channel, after) = (fetch.channel.clone(), fetch.after);
    match read(broker, config, lifetime, fetch).await {
        Ok(page) => SourceUpdate::Fetched(page),
        Err(error) => {
            warn!(%channel, %after, %error, "a page of the past could not be read; tried again");
            SourceUpdate::NotFetched { after }
        }
    }
}

async fn read(
    broker: &Broker,
    config: &AmqpChannelConfig,
    lifetime: Lifetime,
    fetch: Fetch,
) -> Result<Page, AmqpError> {
    if fetch.after.epoch != lifetime.epoch {
        return Err(AmqpError::Renumbered);
    }
    let (queue, from) = (config.queue_name(), fetch.after.offset + 1);
    let mut consumption = Consumption::start(broker, &queue, Place::Offset(from).arguments()).await?;
    let mut reading = Reading::new(fetch);
    while !reading.is_full() {
        let batch = timeout(broker.rpc_timeout(), consumption.next_batch()).await;
        let batch = batch.map_err(|_| broker.silent("reading the stream's past"))??;
        batch.into_iter().try_for_each(|delivery| reading.take(delivery, &queue))?;
        consumption.handed_over().await?;
    }
    drop(consumption);
    if reading.has_holes() {
        reading.tell_what_is_cut(oldest(broker, &queue).await?);
    }
    Ok(reading.into_page())
}
