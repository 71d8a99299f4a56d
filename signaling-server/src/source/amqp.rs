//! The AMQP source: feeds channels from RabbitMQ streams or classic queues.
//!
//! Events of all channels come on one connection. One task holds it and tells the others by a watch whether it is up;
//! each channel has a task that lives as long as the source and runs one session after another on whatever connection
//! there is.

mod broker;
mod buffered;
mod config;
mod connection;
mod connector;
mod consumption;
mod encoding;
mod epoch_marker;
mod error;
mod feed;
mod lifetime;
mod mark;
mod marks_connection;
mod memory;
mod message;
mod numbering;
mod omission;
mod overflow;
mod peek;
mod permission;
mod place;
mod queue;
mod screen;
mod seen;
mod stats;
mod stream;
mod topology;
mod transport;
mod unreachable;
mod url;
mod worker;

use std::{collections::BTreeMap, future::Future, path::Path, pin::Pin, sync::Arc};

use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};

pub use config::{
    AmqpChannelConfig, AmqpConfig, AmqpConfigError, BindingConfig, Exchange, Mode, RetentionConfig,
    check_name,
};
pub use stats::AmqpStats;
pub use url::{BrokerUrl, BrokerUrlError};

use super::{Question, Questions, Shutdown, Source, SourceSink};
use crate::state::StateError;
use connection::{Keeper, Link};
use feed::Feed;
use memory::Memory;

/// Feeds the configured channels from a broker.
#[derive(Debug)]
pub struct AmqpSource {
    config: AmqpConfig,
    stats: Arc<AmqpStats>,
    memory: Memory,
}

impl AmqpSource {
    /// A source; it does nothing before it is run.
    pub fn new(config: AmqpConfig) -> Self {
        Self { config, stats: Arc::default(), memory: Memory::default() }
    }

    /// Lets it remember in a folder what it had of streams, so that the next start notices what they have lost meanwhile.
    pub fn remembering(self, dir: &Path) -> Result<Self, StateError> {
        Ok(Self { memory: Memory::load(dir)?, ..self })
    }

    /// The source's counters; they go on counting while it runs.
    pub fn stats(&self) -> Arc<AmqpStats> {
        self.stats.clone()
    }

    async fn feed_channels(self, sink: SourceSink, mut questions: Questions, mut shutdown: Shutdown) {
        let (link, links) = watch::channel(Link::Connecting);
        let mut tasks = JoinSet::new();
        let (mut claims, memory) = (BTreeMap::new(), Arc::new(self.memory));
        for channel in self.config.channels.clone() {
            // One question at a time waits for its answer.
            let (claim, claimed) = mpsc::channel(1);
            claims.insert(channel.name.clone(), claim);
            let feed = Feed::new(
                channel.name.to_string(),
                sink.clone(),
                claimed,
                self.stats.clone(),
                memory.clone(),
            );
            tasks.spawn(worker::run(channel, self.config.queue_bytes, feed, links.clone()));
        }
        let keeper = Keeper::new(&self.config, self.stats.clone(), link);
        let closing = async {
            // An error means that whoever could ask for a shutdown is gone: that is one, too.
            let _ = shutdown.wait_for(|stop| *stop).await;
        };
        let asking = async {
            while let Some(Question { channel, claimed }) = questions.recv().await {
                if let Some(claim) = claims.get(&channel) {
                    // Refused only where the hub asks again before it was answered.
                    let _ = claim.try_send(claimed);
                }
            }
            std::future::pending().await
        };
        tokio::select! {
            () = asking => {}
            () = closing => {}
            () = sink.closed() => {}
            () = keeper.keep() => {}
            () = memory.keep() => {}
        }
        // Dropping a session in its middle is safe: what it has not handed over is not acknowledged.
        tasks.shutdown().await;
        memory.save().await;
        keeper.close().await;
    }
}

impl Source for AmqpSource {
    fn run(
        self: Box<Self>,
        sink: SourceSink,
        questions: Questions,
        shutdown: Shutdown,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(self.feed_channels(sink, questions, shutdown))
    }
}
