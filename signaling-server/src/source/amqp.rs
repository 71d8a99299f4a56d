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
mod past;
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

use tiercast_codec::Position;
use tiercast_mesh::{SourceUpdate, hub::Fetch};
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
use past::Past;

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
        let (mut asked, memory) = (BTreeMap::new(), Arc::new(self.memory));
        for channel in self.config.channels.clone() {
            let (asks, questions) = Asks::new();
            asked.insert(channel.name.clone(), asks);
            let (name, stats) = (channel.name.to_string(), self.stats.clone());
            let feed = Feed::new(name.clone(), sink.clone(), questions.claims, stats, memory.clone());
            let past = Past::new(name, sink.clone(), questions.fetches);
            tasks.spawn(worker::run(channel, self.config.queue_bytes, feed, past, links.clone()));
        }
        let keeper = Keeper::new(&self.config, self.stats.clone(), link);
        let closing = async {
            // An error means that whoever could ask for a shutdown is gone: that is one, too.
            let _ = shutdown.wait_for(|stop| *stop).await;
        };
        let asking = async {
            while let Some(question) = questions.recv().await {
                if let Some(asks) = asked.get(question.channel()) {
                    asks.pass_on(question, &sink).await;
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

/// The most pages of one channel's past that can be asked for at a time; the hub asks for fewer.
const FETCHES_MAX: usize = 64;

/// Brings the hub's questions to a channel.
struct Asks {
    /// One at a time waits for its answer.
    claims: mpsc::Sender<Position>,
    fetches: mpsc::Sender<Fetch>,
}

/// Their other end.
struct Asked {
    claims: mpsc::Receiver<Position>,
    fetches: mpsc::Receiver<Fetch>,
}

impl Asks {
    fn new() -> (Self, Asked) {
        let ((claim, claims), (fetch, fetches)) = (mpsc::channel(1), mpsc::channel(FETCHES_MAX));
        (Self { claims: claim, fetches: fetch }, Asked { claims, fetches })
    }

    async fn pass_on(&self, question: Question, sink: &SourceSink) {
        match question {
            Question::End { claimed, .. } => {
                // Refused only where the hub asks again before it was answered.
                let _ = self.claims.try_send(claimed);
            }
            Question::Page(fetch) => {
                if let Err(refused) = self.fetches.try_send(fetch) {
                    let Fetch { channel, after, .. } = refused.into_inner();
                    // Refused only where the hub has ended.
                    let _ = sink.send((channel.to_string(), SourceUpdate::NotFetched { after })).await;
                }
            }
        }
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
