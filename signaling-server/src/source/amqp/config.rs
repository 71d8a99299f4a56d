//! What the AMQP source is told: where the broker is and what to take from it. Parsed already: how it is written in a
//! file, and within which bounds, is the configuration's matter (`crate::config`).

use std::{fmt, str::FromStr};

use tiercast_codec::{ChannelName, Pattern, PatternError};

use super::{
    dynamic::DynamicConfig,
    url::{BrokerUrl, BrokerUrlError},
};

/// Longest exchange name in AMQP 0-9-1, a "short string".
const EXCHANGE_BYTES_MAX: usize = 255;

/// Longest channel name in `stream` mode together with the virtual host's: the broker cuts the text in which
/// it tells the epoch (`epoch_marker.rs`) at 252 bytes, and 188 of those and the queue's prefix are not names.
const NAMES_BYTES_MAX: usize = 252 - 188 - QUEUE_PREFIX.len();

/// Longest channel name.
const NAME_BYTES_MAX: usize = 48;

/// Every queue that is declared begins with this, so that the broker's permissions can name them.
pub(super) const QUEUE_PREFIX: &str = "tiercast.";

/// Where the events come from.
#[derive(Debug, Clone, PartialEq)]
pub struct AmqpConfig {
    /// The broker.
    pub url: BrokerUrl,
    /// Other nodes of the broker's cluster, with the same user and virtual host. Whenever a connection fails or breaks, the
    /// next one is tried; after the last one `url` again. Default none.
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
    /// The channel's name, for which [`check_name`] found a place. The queue on the broker is `tiercast.<name>`.
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

/// Who numbers a channel's events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mode {
    /// The broker, in a durable stream. Nothing is lost while the broker keeps it, and all servers agree.
    #[default]
    Stream,
    /// The hub, from a queue that lives as long as the connection. What is published while disconnected is lost,
    /// and every reconnect starts a new epoch. For brokers without streams.
    Queue,
}

/// Messages of one exchange.
#[derive(Debug, Clone, PartialEq)]
pub struct BindingConfig {
    /// The exchange. It must exist; until it does, the channel retries.
    pub exchange: Exchange,
    /// What their routing keys look like. A message that matches several is delivered once.
    pub patterns: Vec<Pattern>,
}

/// The name of an exchange: 1 to 255 bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Exchange(String);

/// How long a stream keeps events. Applied when the stream is created; change it later by a broker policy
/// (`max-age`, `max-length-bytes`, `stream-max-segment-size-bytes`), which wins where it is stricter.
///
/// A bound on bytes comes by policy only: that argument of the stream carries its epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetentionConfig {
    /// Age beyond which events may be removed, in seconds. The broker removes whole segments, when a new one starts.
    /// Default 86,400 (unvalidated).
    pub max_age_s: u64,
    /// Size at which a segment ends, in bytes. Smaller ones follow `max_age_s` more closely. Default 50,000,000
    /// (unvalidated; RabbitMQ's is 500,000,000).
    pub segment_bytes: u64,
}

/// Why the broker cannot be told something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AmqpConfigError {
    /// The default exchange has this name.
    #[error("it is empty, and nothing can be bound to the default exchange: name another")]
    DefaultExchange,
    /// Longer than AMQP can say.
    #[error("it is longer than AMQP's {EXCHANGE_BYTES_MAX} bytes: name another")]
    ExchangeTooLong,
    /// A channel's name.
    #[error("`{0}` is too long for a channel of a broker: use at most {NAME_BYTES_MAX} bytes")]
    NameTooLong(ChannelName),
    /// A channel's name, which with the virtual host's would push the epoch out of what the broker says.
    #[error(
        "`{0}` and the name of the virtual host are longer than {NAMES_BYTES_MAX} bytes together: shorten one, or use \
         mode = \"queue\""
    )]
    NamesTooLong(ChannelName),
    /// The names of dynamic channels' streams have no place beside it.
    #[error(
        "the name of the virtual host is longer than 31 bytes, too long for dynamic channels: shorten it"
    )]
    VhostTooLong,
    /// Not a way to number events.
    #[error("`{0}`: write \"stream\" or \"queue\"")]
    Mode(String),
    /// Not what AMQP matches routing keys by.
    #[error(transparent)]
    Pattern(#[from] PatternError),
}

/// Whether the broker can have a queue for a channel of this name.
pub fn check_name(name: &ChannelName, mode: Mode, vhost: &str) -> Result<(), AmqpConfigError> {
    let bytes = name.as_str().len();
    if bytes > NAME_BYTES_MAX {
        Err(AmqpConfigError::NameTooLong(name.clone()))
    } else if mode == Mode::Stream && bytes + vhost.len() > NAMES_BYTES_MAX {
        Err(AmqpConfigError::NamesTooLong(name.clone()))
    } else {
        Ok(())
    }
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

impl Exchange {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Exchange {
    type Err = AmqpConfigError;

    fn from_str(name: &str) -> Result<Self, AmqpConfigError> {
        match name.len() {
            0 => Err(AmqpConfigError::DefaultExchange),
            1..=EXCHANGE_BYTES_MAX => Ok(Self(name.to_owned())),
            _ => Err(AmqpConfigError::ExchangeTooLong),
        }
    }
}

impl fmt::Display for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Mode {
    type Err = AmqpConfigError;

    fn from_str(text: &str) -> Result<Self, AmqpConfigError> {
        match text {
            "stream" => Ok(Self::Stream),
            "queue" => Ok(Self::Queue),
            other => Err(AmqpConfigError::Mode(other.to_owned())),
        }
    }
}

impl Default for RetentionConfig {
    fn default() -> Self {
        Self { max_age_s: 86_400, segment_bytes: 50_000_000 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_hide_the_epoch_are_refused_in_stream_mode_only() {
        let name: ChannelName = "n".repeat(40).parse().expect("a name");
        let vhost = "a-rather-long-virtual-host";
        assert_eq!(check_name(&name, Mode::Stream, vhost), Err(AmqpConfigError::NamesTooLong(name.clone())));
        assert_eq!(check_name(&name, Mode::Queue, vhost), Ok(()));
        assert_eq!(check_name(&name, Mode::Stream, "/"), Ok(()));
        let longer: ChannelName = "n".repeat(49).parse().expect("a name");
        assert_eq!(check_name(&longer, Mode::Queue, "/"), Err(AmqpConfigError::NameTooLong(longer.clone())));
    }

    #[test]
    fn an_exchange_has_a_name_that_amqp_can_say() {
        assert_eq!("".parse::<Exchange>(), Err(AmqpConfigError::DefaultExchange));
        assert_eq!("x".repeat(256).parse::<Exchange>(), Err(AmqpConfigError::ExchangeTooLong));
        assert!("x".repeat(255).parse::<Exchange>().is_ok());
    }
}
