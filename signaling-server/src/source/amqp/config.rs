//! What the AMQP source is told: where the broker is and what to take from it. Parsed already: how it is written in a
//! file, and within which bounds, is the configuration's matter (`crate::config`).

use tiercast_codec::{ChannelName, Pattern};

use super::{
    dynamic::rules::DynamicConfig,
    names::{AmqpConfigError, Exchange, Mode, QUEUE_PREFIX, RetentionConfig},
    url::{BrokerUrl, BrokerUrlError},
};

/// Where the events come from.
#[derive(Debug, Clone, PartialEq)]
pub struct AmqpConfig {
    /// The broker.
    pub url: BrokerUrl,
    /// Other nodes of the broker's cluster, with the same user and virtual host. Whenever a connection fails or breaks, or a
    /// node keeps it and does not serve a channel, the next one is tried; after the last one `url` again. Default none.
    pub other_urls: Vec<BrokerUrl>,
    /// Longest time for a connection to be made and accepted, in milliseconds. Default 5,000 (unvalidated). Each
    /// attempt that times out holds a thread until the broker wakes.
    pub connect_timeout_ms: u64,
    /// Longest time for the broker to answer one request, in milliseconds. Default 5,000 (unvalidated). Without
    /// quorum, or with the broker frozen, requests are never answered.
    pub rpc_timeout_ms: u64,
    /// AMQP heartbeat in seconds. A frozen broker is noticed after about twice as long. Default 5
    /// (`docs/measurements.md`).
    pub heartbeat_s: u16,
    /// Largest body of an event in bytes. A larger one is left out, with an explicit gap in its place, a warning and
    /// a count. Default 1,048,576 (unvalidated).
    pub max_event_bytes: usize,
    /// Bytes of messages that a channel may take from the broker before the hub has them, at least one message. The
    /// broker is allowed as many messages at a time as fit into this if each is as large as an event may be. Default
    /// 67,108,864 (unvalidated).
    pub buffer_bytes: usize,
    /// Bytes of bodies that may wait in a channel's queue on the broker, in `queue` mode. With more, the queue is given
    /// up: an explicit gap and a new epoch. Default 67,108,864 (unvalidated).
    pub queue_bytes: usize,
    /// The channels; no two of one name.
    pub channels: Vec<AmqpChannelConfig>,
    /// What clients may ask for beside the channels.
    pub dynamic: DynamicConfig,
}

/// One channel and the messages that belong to it.
#[derive(Debug, Clone, PartialEq)]
pub struct AmqpChannelConfig {
    /// The channel's name, for which [`check_name`](super::check_name) found a place. The queue on the broker is `tiercast.<name>`.
    pub name: ChannelName,
    /// Who numbers the events. Default `stream`.
    pub mode: Mode,
    /// Which messages belong to the channel. What is taken out here stays bound to the stream until it is unbound on
    /// the broker.
    pub bindings: Vec<BindingConfig>,
    /// How far back to fetch events at the start, in seconds; less if the stream holds less, and always the newest
    /// chunk. `stream` mode only. Default 600 (unvalidated).
    pub history_s: u64,
    /// How long the broker keeps events. `stream` mode only.
    pub retention: RetentionConfig,
}

/// Messages of one exchange.
#[derive(Debug, Clone, PartialEq)]
pub struct BindingConfig {
    /// The exchange. It must exist; until it does, the channel retries.
    pub exchange: Exchange,
    /// What their routing keys look like. A message that matches several is delivered once.
    pub patterns: Vec<Pattern>,
}

impl AmqpConfig {
    /// A configuration with the defaults for everything that has one.
    pub fn new(url: BrokerUrl, channels: Vec<AmqpChannelConfig>) -> Self {
        Self {
            url,
            other_urls: Vec::new(),
            connect_timeout_ms: 5_000,
            rpc_timeout_ms: 5_000,
            heartbeat_s: 5,
            max_event_bytes: 1 << 20,
            buffer_bytes: 64 << 20,
            queue_bytes: 64 << 20,
            channels,
            dynamic: DynamicConfig::default(),
        }
    }

    /// Every node of the cluster, in the order in which they are tried.
    pub fn urls(&self) -> impl Iterator<Item = &BrokerUrl> {
        [&self.url].into_iter().chain(&self.other_urls)
    }

    /// Every node of the cluster, to be shown.
    pub(crate) fn shown_urls(&self) -> String {
        self.urls().map(BrokerUrl::to_string).collect::<Vec<_>>().join(" or ")
    }

    /// Whether what is said of each node goes for one cluster: else the events of another would be taken for its own.
    pub fn check_urls(&self) -> impl Iterator<Item = Result<(), BrokerUrlError>> {
        self.urls().map(|url| url.check_beside(&self.url))
    }
}

impl AmqpChannelConfig {
    /// A channel with the defaults for everything that has one.
    pub fn new(name: ChannelName, bindings: Vec<BindingConfig>) -> Self {
        let (mode, retention) = (Mode::default(), RetentionConfig::default());
        Self { name, mode, bindings, history_s: 600, retention }
    }

    /// The name of the stream or, in `queue` mode, the beginning of the queue's name.
    pub(super) fn queue_name(&self) -> String {
        format!("{QUEUE_PREFIX}{}", self.name)
    }
}

impl BindingConfig {
    /// The messages of an exchange that match one of the patterns.
    pub fn new<P: AsRef<str>>(
        exchange: impl AsRef<str>,
        patterns: impl IntoIterator<Item = P>,
    ) -> Result<Self, AmqpConfigError> {
        let patterns: Result<_, _> = patterns.into_iter().map(|pattern| pattern.as_ref().parse()).collect();
        Ok(Self { exchange: exchange.as_ref().parse()?, patterns: patterns? })
    }
}
