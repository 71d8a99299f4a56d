//! An exchange of a test's own and the channel that it feeds.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::Result;
use tiercast_codec::Event;
use tiercast_signaling_server::source::amqp::{AmqpChannelConfig, AmqpConfig, BindingConfig, BrokerUrl};

use crate::{
    broker::{Broker, Outgoing},
    gate::Gate,
};

/// Names that no other test uses, on a broker that may outlive this process.
pub fn unique(what: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    format!("{what}-{:x}-{}", now % (1 << 32), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// An exchange on the shared broker and a channel for all that is published to it.
#[derive(Debug)]
pub struct Scene {
    /// The broker.
    pub broker: Arc<Broker>,
    /// The exchange, of type topic.
    pub exchange: String,
    /// The broker's URL.
    pub url: BrokerUrl,
    /// The channel.
    pub channel: AmqpChannelConfig,
}

impl Scene {
    /// An exchange whose name begins with `what`, and a stream channel of the same name.
    pub async fn set(what: &str) -> Result<Self> {
        let broker = Broker::shared().await?;
        let exchange = unique(what);
        broker.declare_topic_exchange(&exchange).await?;
        let channel = AmqpChannelConfig::new(exchange.parse()?, vec![BindingConfig::new(&exchange, ["#"])?]);
        Ok(Self { url: broker.url().parse()?, broker, exchange, channel })
    }

    /// A source for the channel alone.
    pub fn config(&self) -> AmqpConfig {
        AmqpConfig::new(self.url.clone(), vec![self.channel.clone()])
    }

    /// The same, by way of a gate.
    pub fn config_through(&self, gate: &Gate) -> Result<AmqpConfig> {
        let mut config = self.config();
        config.url = gate.url(&self.broker)?.parse()?;
        Ok(config)
    }

    /// The name of its stream on the broker.
    pub fn stream(&self) -> String {
        format!("tiercast.{}", self.channel.name)
    }
}

/// Messages whose ids are their numbers.
pub fn numbered(range: std::ops::Range<usize>) -> Vec<Outgoing> {
    range.map(|number| Outgoing::new("a.b", &number.to_string(), format!("body {number}"))).collect()
}

/// The message ids of events.
pub fn ids(events: &[Event]) -> Vec<String> {
    events.iter().map(|event| event.message.message_id.clone().unwrap_or_default()).collect()
}
