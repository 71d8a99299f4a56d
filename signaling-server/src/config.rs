//! The server's configuration: valid by the time anything else sees it.
//!
//! It is put together from a file, the environment and flags (`load`), by one table of all keys (`keys`).

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, time::Duration};

use tiercast_codec::{ChannelName, limits::EVENT_BYTES_MAX};
use tiercast_mesh::hub::HubConfig;
use tiercast_platform::LOG_LINES_MAX;
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

use crate::source::{amqp::AmqpConfig, message_ids::DuplicateLimits, stored::StoreConfig};

mod amqp;
mod api_key;
mod channels;
mod cors_origins;
mod error;
mod ice_servers;
mod keys;
mod load;
mod nearest;
mod signing_key;
mod values;

pub(crate) use api_key::ApiKeys;
pub use api_key::{ApiKey, ApiKeyError};
use channels::Names;
pub use cors_origins::{CorsOrigins, Origin, OriginError};
pub use error::{ConfigError, ConfigErrors};
pub(crate) use keys::numbers;
pub use keys::{KEYS, Key, Kind, Number};
pub use load::Layers;
pub use signing_key::{KeySource, SigningKeyError};

/// Everything that can be set about the server. `docs/configuration.md` tells what each value means.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to listen. Port 0 takes a free one. Default `127.0.0.1:8780`.
    pub listen: SocketAddr,
    /// Who may publish and see the topology. Without one nobody may publish. Default none.
    pub api_keys: Vec<ApiKey>,
    /// Whether only those may read who show a subscription key or an API key. Default false: everybody may.
    pub keys_required: bool,
    /// Whether everybody may see the topology. Default false: it tells who feeds whom.
    pub open_topology: bool,
    /// Whether a proxy is in front of the server that names its clients in `X-Forwarded-For`. Default false: then anybody
    /// could write there what they like.
    pub behind_proxy: bool,
    /// Whose pages may use the server from a browser. Default those of every site: all may read, and none publish.
    pub cors_origins: CorsOrigins,
    /// A MaxMind database of cities, by which peers are given parents that are near them. Default none: only those who share
    /// a network are known to be near each other.
    pub geo_database_file: Option<PathBuf>,
    /// Where the key comes from that signs frames and heads. Default a random one at each start.
    pub signing_key: KeySource,
    /// The folder that keeps what has to outlive a start: the last epoch of each embedded channel, and what the server had
    /// of each stream. Default none: epochs go by the clock alone.
    pub state_dir: Option<PathBuf>,
    /// The folder in which embedded channels keep their events. Default none: they are kept in memory, in a new epoch each
    /// start.
    pub data_dir: Option<PathBuf>,
    /// How they keep them there.
    pub store: StoreConfig,
    /// Channels that are published to over HTTP or by [`EmbeddedPublisher`](crate::EmbeddedPublisher).
    /// Default `events`.
    pub embedded_channels: Vec<ChannelName>,
    /// Channels that a broker feeds. Default none.
    pub amqp: Option<AmqpConfig>,
    /// The hub's own settings.
    pub hub: HubConfig,
    /// The driver's limits.
    pub limits: Limits,
    /// What the binary logs, in the syntax of `tracing`'s env filter. Default `info,lapin=off`.
    pub log: String,
    /// Lines that may wait for whoever takes the log; more are lost, and counted. Default 8,192.
    pub log_lines: usize,
}

/// Limits of everything around the hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Most TCP connections, sessions included; the next one waits in the kernel's backlog. Default 70,000:
    /// a little above the most sessions.
    pub connections_max: usize,
    /// Inputs that wait for the hub. A session whose input finds the queue full is not read from until there
    /// is room. Default 1,024, unvalidated.
    pub input_queue_messages: usize,
    /// Messages that wait for one session's socket. When it is full, the session's cursor waits. Default 16.
    pub writer_queue_messages: usize,
    /// A session whose socket takes no byte for this long is closed. Default 30 s, unvalidated.
    pub write_stall: Duration,
    /// Bytes that the kernel takes for one connection beyond what is under way to the client, in portions of half of that.
    /// Default 32 KiB: otherwise it takes megabytes for each that does not read, and whoever reads 1 KB/s counts as one that
    /// does not, since it takes long until the kernel takes the next portion.
    pub unsent_bytes: u32,
    /// What is left to write and the closing handshake of a session may take this long. Default 2 s.
    pub close: Duration,
    /// Before it shuts down, the server lets sessions and readers go one after the other in this time, and nobody in.
    /// Default 0: all at once.
    pub drain: Duration,
    /// Shutting down takes at most this long. Default 5 s.
    pub shutdown: Duration,
    /// Longest time for the head of an HTTP request to arrive, and again for its body. Default 30 s.
    pub request: Duration,
    /// Everybody who asks for a channel's topology gets the one that was made last, if it is no older than this:
    /// making it takes the hub 2 ms with 50,000 peers. Default 1 s.
    pub topology: Duration,
    /// A plain reader to whom nothing was sent for so long is sent a sign of life. Default 15 s: proxies often cut what is
    /// silent for 30 s or 60 s.
    pub reader_heartbeat: Duration,
    /// Longest time that a long poll waits. Default 60 s.
    pub poll_wait: Duration,
    /// Most events that one answer of long poll or history holds. Default 1,000.
    pub page_events: usize,
    /// Bytes at which such an answer ends; the last event may exceed it. Default 1 MiB.
    pub page_bytes: usize,
    /// Most patterns of one reader. Default 256.
    pub patterns_max: usize,
    /// Plain readers that lose their connection are told to come back after about so long, each after another time between
    /// half of it and one and a half. Default 3 s.
    pub reader_retry: Duration,
    /// Longest lifetime of a subscription key, in seconds. Default one day.
    pub key_lifetime_s: u64,
    /// What is kept of frames as plain readers get them, so that each is written once for all. Default 64 MiB.
    pub sheets_bytes: usize,
    /// Largest body that can be published over HTTP. Default 1 MiB.
    pub publish_bytes: usize,
    /// Largest batch that can be published over HTTP, as JSON. Default 8 MiB.
    pub publish_batch_bytes: usize,
    /// Most events of such a batch. Default 10,000.
    pub publish_batch_events: usize,
    /// For how long message ids are remembered.
    pub duplicates: DuplicateLimits,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 70_000,
            input_queue_messages: 1_024,
            writer_queue_messages: 16,
            write_stall: Duration::from_secs(30),
            unsent_bytes: 32 << 10,
            close: Duration::from_secs(2),
            drain: Duration::ZERO,
            shutdown: Duration::from_secs(5),
            request: Duration::from_secs(30),
            topology: Duration::from_secs(1),
            reader_heartbeat: Duration::from_secs(15),
            poll_wait: Duration::from_secs(60),
            page_events: 1_000,
            page_bytes: 1 << 20,
            patterns_max: 256,
            reader_retry: Duration::from_secs(3),
            key_lifetime_s: 24 * 3_600,
            sheets_bytes: 64 << 20,
            publish_bytes: 1 << 20,
            publish_batch_bytes: 8 << 20,
            publish_batch_events: 10_000,
            duplicates: DuplicateLimits::default(),
        }
    }
}

/// Largest value of `limits.publish_bytes`: leaves room for routing key, properties and headers.
pub(crate) const PUBLISH_BYTES_MAX: usize = EVENT_BYTES_MAX - (64 << 10);

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8780)),
            api_keys: Vec::new(),
            keys_required: false,
            open_topology: false,
            behind_proxy: false,
            cors_origins: CorsOrigins::Any,
            geo_database_file: None,
            signing_key: KeySource::Random,
            state_dir: None,
            data_dir: None,
            store: StoreConfig::default(),
            embedded_channels: vec!["events".parse().expect("a valid name")],
            amqp: None,
            hub: HubConfig::default(),
            limits: Limits::default(),
            log: "info,lapin=off".to_owned(),
            log_lines: LOG_LINES_MAX,
        }
    }
}

impl Config {
    /// Every channel and the kind of its source.
    pub(crate) fn channels(&self) -> Result<BTreeMap<ChannelName, SourceKind>, ConfigErrors> {
        let embedded = self.embedded_channels.iter().enumerate();
        let embedded =
            embedded.map(|(nth, name)| (format!("embedded_channels[{nth}]"), name, SourceKind::Embedded));
        let fed = self.amqp.iter().flat_map(|amqp| &amqp.channels).enumerate();
        let fed = fed.map(|(nth, fed)| (format!("amqp.channels[{nth}]"), &fed.name, SourceKind::Amqp));
        let (mut channels, mut names) = (BTreeMap::new(), Names::default());
        let mut errors = ConfigErrors::default();
        for (place, name, kind) in embedded.chain(fed) {
            errors.keep_right(&*place, names.take(&place, name));
            channels.insert(name.clone(), kind);
        }
        if channels.is_empty() && !self.amqp.as_ref().is_some_and(|amqp| amqp.dynamic.is_on()) {
            errors.add(ConfigError::new("channels", channels::NONE));
        }
        errors.into_result(channels)
    }

    /// Checks every bound and what values mean for each other. Names every key at fault, and what to write.
    pub fn validate(&self) -> Result<(), ConfigErrors> {
        let mut errors = ConfigErrors::default();
        for (path, number) in keys::numbers() {
            errors.note(number.check_in(path, self));
        }
        errors.note(self.check_tier1());
        errors.note(self.check_log());
        if let Some(amqp) = &self.amqp {
            amqp::check(amqp, &mut errors);
        }
        errors.note(self.channels().map(|_| ()));
        errors.into_result(())
    }

    fn check_tier1(&self) -> Result<(), ConfigError> {
        let (min, max) = (self.hub.tier1.min, self.hub.tier1.max);
        if min <= max {
            return Ok(());
        }
        let problem = format!("{min} is more than hub.tier1_max = {max}: lower one or raise the other");
        Err(ConfigError::new("hub.tier1_min", problem))
    }

    fn check_log(&self) -> Result<(), ConfigError> {
        let log = &self.log;
        let wrong = |why: &str| {
            let problem =
                format!("`{log}`: {why}: write a level, such as info, or target=level,target=level");
            Err(ConfigError::new("log", problem))
        };
        // The library takes any other word for the name of a target.
        let is_level = |word: &str| word.contains(['=', '[', ':']) || word.parse::<LevelFilter>().is_ok();
        if let Some(word) = log.split(',').map(str::trim).find(|word| !is_level(word)) {
            return wrong(&format!("there is no level `{word}`"));
        }
        EnvFilter::try_new(log).map(|_| ()).or_else(|error| wrong(&error.to_string()))
    }

    /// A short description for `--check-config` and the log. Holds no secrets.
    pub fn summary(&self) -> String {
        let channels: Vec<_> = match self.channels() {
            Ok(channels) => channels.iter().map(|(name, kind)| format!("{name} ({kind})")).collect(),
            Err(_) => Vec::new(),
        };
        let broker = match &self.amqp {
            Some(amqp) => format!(", broker {}", amqp.shown_urls()),
            None => String::new(),
        };
        format!(
            "listen {}, channels {}{broker}, {} API key(s), signing key {}",
            self.listen,
            channels.join(", "),
            self.api_keys.len(),
            self.signing_key
        )
    }
}

/// Where the events of a channel come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum SourceKind {
    /// Published to this server.
    Embedded,
    /// Taken from a broker.
    Amqp,
    /// Taken from a broker as long as somebody asks for it.
    Dynamic,
}

impl std::fmt::Display for SourceKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            SourceKind::Embedded => "embedded",
            SourceKind::Amqp => "amqp",
            SourceKind::Dynamic => "dynamic",
        })
    }
}
