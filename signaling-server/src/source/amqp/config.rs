//! The AMQP source's configuration and what makes it valid.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::url::BrokerUrl;
use crate::config::{ConfigError, ConfigErrors};

/// Longest exchange name or routing pattern in AMQP 0-9-1, a "short string".
const SHORT_STRING_BYTES_MAX: usize = 255;

/// Longest channel name in `stream` mode together with the virtual host's: the broker cuts the text in which
/// it tells the epoch (`epoch_marker.rs`) at 252 bytes, and 188 of those and the queue's prefix are not names.
const NAMES_BYTES_MAX: usize = 252 - 188 - QUEUE_PREFIX.len();

/// Longest channel name.
const NAME_BYTES_MAX: usize = 48;

/// Every queue that is declared begins with this, so that the broker's permissions can name them.
pub(super) const QUEUE_PREFIX: &str = "tiercast.";

/// Where the events come from.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AmqpConfig {
    /// The broker: `amqp[s]://user:password@host:port/vhost`. `%2f` is the default virtual host. Required.
    pub url: BrokerUrl,
    /// Longest time for a connection to be made and accepted, in milliseconds, 100 to 60,000. Default 5,000
    /// (unvalidated). Each attempt that times out holds a thread until the broker wakes.
    #[serde(default = "default_timeout_ms")]
    pub connect_timeout_ms: u64,
    /// Longest time for the broker to answer one request, in milliseconds, 100 to 60,000. Default 5,000
    /// (unvalidated). Without quorum, or with the broker frozen, requests are never answered.
    #[serde(default = "default_timeout_ms")]
    pub rpc_timeout_ms: u64,
    /// AMQP heartbeat in seconds, 1 to 60. A frozen broker is noticed after about twice as long. Default 5
    /// (`docs/measurements.md`).
    #[serde(default = "default_heartbeat_s")]
    pub heartbeat_s: u16,
    /// Largest body of an event in bytes, 1 to 134,217,728 (RabbitMQ's own limit). A larger one is left out, with
    /// an explicit gap in its place, a warning and a count. Default 1,048,576 (unvalidated).
    #[serde(default = "default_max_event_bytes")]
    pub max_event_bytes: usize,
    /// The channels; at least one, with different names. Required.
    pub channels: Vec<AmqpChannelConfig>,
}

/// One channel and the messages that belong to it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AmqpChannelConfig {
    /// The channel's name: letters, digits, `-`, `_` and `.`, at most 48 bytes; in `stream` mode at most 55 together
    /// with the virtual host's name. The queue on the broker is `tiercast.<name>`. Required.
    pub name: String,
    /// Who numbers the events. Default `stream`.
    #[serde(default)]
    pub mode: Mode,
    /// Which messages belong to the channel; at least one. What is taken out here stays bound to the stream until it
    /// is unbound on the broker. Required.
    pub bindings: Vec<BindingConfig>,
    /// How far back to fetch events at the start, in seconds, 0 to 31,536,000; less if the stream holds less, and
    /// always the newest chunk. `stream` mode only. Default 600 (unvalidated).
    #[serde(default = "default_history_s")]
    pub history_s: u64,
    /// How long the broker keeps events. `stream` mode only.
    #[serde(default)]
    pub retention: RetentionConfig,
}

/// Who numbers a channel's events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The broker, in a durable stream. Nothing is lost while the broker keeps it, and all servers agree.
    #[default]
    Stream,
    /// The hub, from a queue that lives as long as the connection. What is published while disconnected is lost,
    /// and every reconnect starts a new epoch. For brokers without streams.
    Queue,
}

/// Messages of one exchange.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BindingConfig {
    /// The exchange's name. It must exist; until it does, the channel retries. Required.
    pub exchange: String,
    /// AMQP topic patterns, words separated by dots: `*` is one word, `#` any number; at least one. A message that
    /// matches several is delivered once. Required.
    pub patterns: Vec<String>,
}

/// How long a stream keeps events. Applied when the stream is created; change it later by a broker policy
/// (`max-age`, `max-length-bytes`, `stream-max-segment-size-bytes`), which wins where it is stricter.
///
/// A bound on bytes comes by policy only: that argument of the stream carries its epoch.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetentionConfig {
    /// Age beyond which events may be removed, in seconds, 1 to 31,536,000. The broker removes whole segments, when a
    /// new one starts. Default 86,400 (unvalidated).
    pub max_age_s: u64,
    /// Size at which a segment ends, in bytes, 4,096 to 3,000,000,000 (RabbitMQ's limit). Smaller ones follow
    /// `max_age_s` more closely. Default 50,000,000 (unvalidated; RabbitMQ's is 500,000,000).
    pub segment_bytes: u64,
}

impl Default for RetentionConfig {
    fn default() -> Self {
        Self { max_age_s: 86_400, segment_bytes: 50_000_000 }
    }
}

impl AmqpConfig {
    /// A configuration with the defaults for everything that has one.
    pub fn new(url: impl Into<BrokerUrl>, channels: Vec<AmqpChannelConfig>) -> Self {
        Self {
            url: url.into(),
            connect_timeout_ms: default_timeout_ms(),
            rpc_timeout_ms: default_timeout_ms(),
            heartbeat_s: default_heartbeat_s(),
            max_event_bytes: default_max_event_bytes(),
            channels,
        }
    }

    /// Checks every bound. Names every key at fault, and what to write.
    pub fn validate(&self) -> Result<(), ConfigErrors> {
        let mut errors = ConfigErrors::default();
        // Of a URL that cannot be read the names of the channels are checked without the virtual host's.
        let vhost = match self.url.parse() {
            Ok(uri) => uri.vhost,
            Err(error) => {
                errors.add(ConfigError::new("amqp.url", error.to_string()));
                String::new()
            }
        };
        errors.note(within("amqp.connect_timeout_ms", self.connect_timeout_ms, 100, 60_000));
        errors.note(within("amqp.rpc_timeout_ms", self.rpc_timeout_ms, 100, 60_000));
        errors.note(within("amqp.heartbeat_s", self.heartbeat_s.into(), 1, 60));
        errors.note(within("amqp.max_event_bytes", self.max_event_bytes as u64, 1, 134_217_728));
        if self.channels.is_empty() {
            let problem = "there is none: add a [[amqp.channels]] section";
            errors.add(ConfigError::new("amqp.channels", problem));
        }
        let mut names = BTreeSet::new();
        for (index, channel) in self.channels.iter().enumerate() {
            let key = format!("amqp.channels[{index}]");
            channel.check(&key, &vhost, &mut errors);
            if !names.insert(&channel.name) {
                let problem =
                    format!("`{}` is the name of an earlier channel: give it another", channel.name);
                errors.add(ConfigError::new(format!("{key}.name"), problem));
            }
        }
        errors.into_result(())
    }
}

impl AmqpChannelConfig {
    /// A channel with the defaults for everything that has one.
    pub fn new(name: impl Into<String>, bindings: Vec<BindingConfig>) -> Self {
        let (mode, history_s, retention) = (Mode::default(), default_history_s(), RetentionConfig::default());
        Self { name: name.into(), mode, bindings, history_s, retention }
    }

    /// The name of the stream or, in `queue` mode, the beginning of the queue's name.
    pub(super) fn queue_name(&self) -> String {
        format!("{QUEUE_PREFIX}{}", self.name)
    }

    fn check(&self, key: &str, vhost: &str, errors: &mut ConfigErrors) {
        errors.note(self.check_name(&format!("{key}.name"), vhost));
        errors.note(within(&format!("{key}.history_s"), self.history_s, 0, 31_536_000));
        let RetentionConfig { max_age_s, segment_bytes } = self.retention;
        errors.note(within(&format!("{key}.retention.max_age_s"), max_age_s, 1, 31_536_000));
        errors.note(within(&format!("{key}.retention.segment_bytes"), segment_bytes, 4_096, 3_000_000_000));
        if self.bindings.is_empty() {
            let problem = "there is none: add { exchange = \"NAME\", patterns = [\"#\"] }";
            errors.add(ConfigError::new(format!("{key}.bindings"), problem));
        }
        for (index, binding) in self.bindings.iter().enumerate() {
            binding.check(&format!("{key}.bindings[{index}]"), errors);
        }
    }

    fn check_name(&self, key: &str, vhost: &str) -> Result<(), ConfigError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if self.name.is_empty() || self.name.len() > NAME_BYTES_MAX || !self.name.chars().all(allowed) {
            let problem = format!("use 1 to {NAME_BYTES_MAX} letters, digits, `-`, `_` and `.`");
            return Err(ConfigError::new(key, problem));
        }
        if self.mode == Mode::Stream && self.name.len() + vhost.len() > NAMES_BYTES_MAX {
            let problem = format!(
                "name and virtual host are longer than {NAMES_BYTES_MAX} bytes together: shorten one, or use mode = \"queue\""
            );
            return Err(ConfigError::new(key, problem));
        }
        Ok(())
    }
}

impl BindingConfig {
    /// The messages of an exchange that match one of the patterns.
    pub fn new<P: Into<String>>(exchange: impl Into<String>, patterns: impl IntoIterator<Item = P>) -> Self {
        Self { exchange: exchange.into(), patterns: patterns.into_iter().map(Into::into).collect() }
    }

    fn check(&self, key: &str, errors: &mut ConfigErrors) {
        let exchange_key = format!("{key}.exchange");
        if self.exchange.is_empty() {
            let problem = "it is empty, and nothing can be bound to the default exchange: name another";
            errors.add(ConfigError::new(exchange_key, problem));
        } else if self.exchange.len() > SHORT_STRING_BYTES_MAX {
            errors.add(ConfigError::new(exchange_key, "it is longer than AMQP's 255 bytes: name another"));
        }
        if self.patterns.is_empty() {
            let problem = "there is none: write [\"#\"] for every message";
            errors.add(ConfigError::new(format!("{key}.patterns"), problem));
        }
        for (index, pattern) in self.patterns.iter().enumerate() {
            if let Some(problem) = pattern_problem(pattern) {
                errors.add(ConfigError::new(format!("{key}.patterns[{index}]"), problem));
            }
        }
    }
}

fn pattern_problem(pattern: &str) -> Option<String> {
    if pattern.len() > SHORT_STRING_BYTES_MAX {
        return Some("it is longer than AMQP's 255 bytes".to_owned());
    }
    let word = pattern.split('.').find(|word| word.len() > 1 && word.contains(['*', '#']))?;
    Some(format!(
        "`{word}` mixes a wildcard with other characters, but `*` and `#` stand for whole words between dots"
    ))
}

fn within(key: &str, value: u64, least: u64, most: u64) -> Result<(), ConfigError> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(ConfigError::new(key, format!("{value} is out of bounds: use {least} to {most}")))
}

fn default_timeout_ms() -> u64 {
    5_000
}

fn default_heartbeat_s() -> u16 {
    5
}

fn default_max_event_bytes() -> usize {
    1_048_576
}

fn default_history_s() -> u64 {
    600
}

#[cfg(test)]
mod tests {
    use super::*;

    fn valid() -> AmqpConfig {
        let binding = BindingConfig::new("events", ["a.*.#", "b"]);
        AmqpConfig::new("amqp://me:hunter2@broker/%2f", vec![AmqpChannelConfig::new("builds", vec![binding])])
    }

    fn problem(change: impl FnOnce(&mut AmqpConfig)) -> String {
        let mut config = valid();
        change(&mut config);
        config.validate().expect_err("this must be refused").to_string()
    }

    #[test]
    fn a_short_text_gets_the_defaults() {
        let text = r#"
            url = "amqp://me:hunter2@broker/%2f"
            [[channels]]
            name = "builds"
            bindings = [{ exchange = "events", patterns = ["a.*.#", "b"] }]
        "#;
        let config: AmqpConfig = toml::from_str(text).expect("valid");
        assert_eq!(config, valid());
        assert_eq!(config.validate(), Ok(()));
        assert_eq!((config.heartbeat_s, config.max_event_bytes), (5, 1_048_576));
        assert_eq!((config.channels[0].history_s, config.channels[0].mode), (600, Mode::Stream));
    }

    #[test]
    fn every_key_can_be_written() {
        let text = r##"
            url = "amqps://broker"
            connect_timeout_ms = 1000
            rpc_timeout_ms = 2000
            heartbeat_s = 10
            max_event_bytes = 4096
            [[channels]]
            name = "builds"
            mode = "queue"
            history_s = 0
            bindings = [{ exchange = "events", patterns = ["#"] }]
            retention = { max_age_s = 60, segment_bytes = 1000000 }
        "##;
        let config: AmqpConfig = toml::from_str(text).expect("valid");
        assert_eq!(config.validate(), Ok(()));
        assert_eq!(config.channels[0].mode, Mode::Queue);
        assert_eq!(config.channels[0].retention.max_age_s, 60);
    }

    #[test]
    fn an_unknown_key_is_an_error_that_names_the_known_ones() {
        let error =
            toml::from_str::<AmqpConfig>("url = \"amqp://b\"\nheartbeat_ms = 5").expect_err("unknown");
        assert!(error.to_string().contains("heartbeat_s"), "{error}");
    }

    #[test]
    fn errors_name_the_key_and_the_fix() {
        assert!(problem(|c| c.url = "redis://x".into()).starts_with("amqp.url: expected amqp://"));
        assert_eq!(problem(|c| c.heartbeat_s = 0), "amqp.heartbeat_s: 0 is out of bounds: use 1 to 60");
        assert!(problem(|c| c.channels.clear()).contains("amqp.channels: there is none"));
        assert!(
            problem(|c| c.channels[0].name = "a/b".into()).contains("amqp.channels[0].name: use 1 to 48")
        );
        assert!(
            problem(|c| c.channels.push(c.channels[0].clone())).contains("amqp.channels[1].name: `builds`")
        );
        assert!(
            problem(|c| c.channels[0].bindings.clear()).contains("amqp.channels[0].bindings: there is none")
        );
        let empty = problem(|c| c.channels[0].bindings[0].exchange.clear());
        assert!(empty.contains("amqp.channels[0].bindings[0].exchange"), "{empty}");
        let mixed = problem(|c| c.channels[0].bindings[0].patterns[1] = "a.b*".into());
        assert!(mixed.starts_with("amqp.channels[0].bindings[0].patterns[1]: `b*` mixes"), "{mixed}");
    }

    #[test]
    fn everything_that_is_wrong_is_named_at_once() {
        let all = problem(|c| {
            c.url = "redis://x".into();
            c.heartbeat_s = 0;
            c.channels[0].name = "a/b".into();
            c.channels[0].history_s = u64::MAX;
            c.channels[0].bindings[0].exchange.clear();
            c.channels[0].bindings[0].patterns = vec!["a.b*".into(), "c#".into()];
        });
        let keys: Vec<_> = all.lines().filter_map(|line| line.split(": ").next()).collect();
        let expected = [
            "amqp.url",
            "amqp.heartbeat_s",
            "amqp.channels[0].name",
            "amqp.channels[0].history_s",
            "amqp.channels[0].bindings[0].exchange",
            "amqp.channels[0].bindings[0].patterns[0]",
            "amqp.channels[0].bindings[0].patterns[1]",
        ];
        assert_eq!(keys, expected);
    }

    #[test]
    fn names_that_would_hide_the_epoch_are_refused_in_stream_mode_only() {
        let long = |c: &mut AmqpConfig| {
            c.url = BrokerUrl::from("amqp://broker/a-rather-long-virtual-host");
            c.channels[0].name = "n".repeat(40);
        };
        assert!(problem(long).contains("shorten one"));
        let mut config = valid();
        long(&mut config);
        config.channels[0].mode = Mode::Queue;
        assert_eq!(config.validate(), Ok(()));
    }

    #[test]
    fn the_password_is_not_in_the_debug_text() {
        assert!(!format!("{:?}", valid()).contains("hunter2"));
    }
}
