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
pub mod dynamic;
mod encoding;
mod epoch_marker;
mod error;
mod feed;
mod inquiries;
mod lifetime;
mod mark;
mod marks_connection;
mod memory;
mod message;
mod names;
mod numbering;
mod omission;
mod overflow;
mod past;
mod patience;
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

use std::{future::Future, path::Path, pin::Pin, sync::Arc};

use tokio::{sync::watch, task::JoinSet};

pub use config::{AmqpChannelConfig, AmqpConfig, BindingConfig};
pub use names::{AmqpConfigError, Exchange, Mode, RetentionConfig, check_name};
pub use stats::AmqpStats;
pub use url::{BrokerUrl, BrokerUrlError};

use super::{Questions, Shutdown, Source, SourceSink};
use crate::state::StateError;
use connection::{Keeper, Link};
use dynamic::{
    Dynamic, Opened,
    service::{Service, Services},
};
use feed::Feed;
use inquiries::Inquiries;
use memory::Memory;
use past::Past;

/// Feeds the configured channels from a broker, and those that clients ask for.
#[derive(Debug)]
pub struct AmqpSource {
    config: AmqpConfig,
    stats: Arc<AmqpStats>,
    memory: Memory,
    on_demand: Option<OnDemand>,
}

/// What clients ask for.
#[derive(Debug)]
struct OnDemand {
    dynamic: Arc<Dynamic>,
    opened: Opened,
}

impl AmqpSource {
    /// A source; it does nothing before it is run.
    pub fn new(config: AmqpConfig) -> Self {
        Self { config, stats: Arc::default(), memory: Memory::default(), on_demand: None }
    }

    /// Lets it remember in a folder what it had of streams, so that the next start notices what they have lost meanwhile.
    pub fn remembering(self, dir: &Path) -> Result<Self, StateError> {
        Ok(Self { memory: Memory::load(dir)?, ..self })
    }

    /// The source's counters; they go on counting while it runs.
    pub fn stats(&self) -> Arc<AmqpStats> {
        self.stats.clone()
    }

    /// Lets it make channels in a hub for those who ask for them.
    pub(crate) fn with_dynamic(self, dynamic: Arc<Dynamic>, opened: Opened) -> Self {
        Self { on_demand: Some(OnDemand { dynamic, opened }), ..self }
    }

    async fn feed_channels(self, sink: SourceSink, mut questions: Questions, mut shutdown: Shutdown) {
        let (link, links) = watch::channel(Link::Connecting);
        let mut tasks = JoinSet::new();
        let (inquiries, memory) = (Arc::new(Inquiries::default()), Arc::new(self.memory));
        let (queue_bytes, stats) = (self.config.queue_bytes, &self.stats);
        for channel in self.config.channels.clone() {
            let (name, asked) = (channel.name.to_string(), inquiries.open(&channel.name));
            let feed = Feed::new(name.clone(), sink.clone(), asked.claims, stats.clone(), memory.clone());
            let past = Past::new(name, sink.clone(), asked.fetches);
            tasks.spawn(worker::run(channel, queue_bytes, feed, past, links.clone(), None));
        }
        let (mut services, dynamic) =
            (Services::default(), self.on_demand.as_ref().map(|on_demand| on_demand.dynamic.clone()));
        let served = self.on_demand.map(|OnDemand { dynamic, opened }| {
            let (sink, stats, link) = (sink.clone(), stats.clone(), links.clone());
            let (inquiries, memory) = (inquiries.clone(), memory.clone());
            (Service { dynamic, queue_bytes, sink, inquiries, stats, memory, link }, opened)
        });
        let serving = async {
            match served {
                Some((service, opened)) => services.serve(&service, opened).await,
                None => std::future::pending().await,
            }
        };
        let keeper = Keeper::new(&self.config, self.stats.clone(), link);
        let closing = async {
            // An error means that whoever could ask for a shutdown is gone: that is one, too.
            let _ = shutdown.wait_for(|stop| *stop).await;
        };
        let asking = async {
            while let Some(question) = questions.recv().await {
                inquiries.pass_on(question, &sink).await;
            }
            std::future::pending().await
        };
        tokio::select! {
            () = asking => {}
            () = serving => {}
            () = closing => {}
            () = sink.closed() => {}
            () = keeper.keep() => {}
            () = memory.keep() => {}
        }
        // Dropping a session in its middle is safe: what it has not handed over is not acknowledged.
        tasks.shutdown().await;
        if let Some(dynamic) = dynamic {
            services.close(&dynamic).await;
        }
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
