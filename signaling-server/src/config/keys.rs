//! The table of all configuration keys: what the loader, the metrics and the documentation agree on.

use std::{ops::RangeInclusive, time::Duration};

use super::{Config, ConfigError, PUBLISH_BYTES_MAX};
use crate::source::amqp::AmqpChannelConfig;

/// A configuration key.
#[derive(Debug, Clone)]
pub struct Key {
    /// Its full name; `[]` stands for every element of a list.
    pub path: &'static str,
    /// What it holds.
    pub kind: Kind,
}

/// What a key holds.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Kind {
    /// A text.
    Text,
    /// A list of texts.
    Texts,
    /// A text, or a list of them.
    TextOrTexts,
    /// True or false.
    Flag,
    /// A whole number.
    Number(Number<Config>),
    /// A whole number of each channel that a broker feeds.
    NumberEach(Number<AmqpChannelConfig>),
}

/// A whole number within bounds, somewhere in a `T`.
#[derive(Debug, Clone)]
pub struct Number<T> {
    /// The bounds.
    pub bounds: RangeInclusive<u64>,
    /// Gets it; nothing if its section is absent.
    pub read: fn(&T) -> Option<u64>,
    pub(crate) write: fn(&mut T, u64),
}

impl<T> Number<T> {
    /// Checks a value that stands at `place`.
    pub(crate) fn check(&self, place: &str, value: u64) -> Result<(), ConfigError> {
        if self.bounds.contains(&value) {
            return Ok(());
        }
        let (least, most) = (self.bounds.start(), self.bounds.end());
        Err(ConfigError::new(place, format!("{value} is out of bounds: use {least} to {most}")))
    }

    /// Checks the value that `whole` has.
    pub(crate) fn check_in(&self, place: &str, whole: &T) -> Result<(), ConfigError> {
        (self.read)(whole).map_or(Ok(()), |value| self.check(place, value))
    }
}

/// Every key that is a number of its own, with its name.
pub(crate) fn numbers() -> impl Iterator<Item = (&'static str, &'static Number<Config>)> {
    KEYS.iter().filter_map(|key| match &key.kind {
        Kind::Number(number) => Some((key.path, number)),
        _ => None,
    })
}

/// Every key that is a number of a channel, with its name within the channel.
pub(crate) fn channel_numbers() -> impl Iterator<Item = (&'static str, &'static Number<AmqpChannelConfig>)> {
    KEYS.iter().filter_map(|key| match &key.kind {
        Kind::NumberEach(number) => Some((key.path.strip_prefix("channels[].")?, number)),
        _ => None,
    })
}

macro_rules! count {
    ($path:literal, $bounds:expr, $($field:ident).+) => {
        Key {
            path: $path,
            kind: Kind::Number(Number {
                bounds: $bounds,
                read: |config| Some(config.$($field).+ as u64),
                write: |config, value| config.$($field).+ = value as _,
            }),
        }
    };
}

macro_rules! millis {
    ($path:literal, $bounds:expr, $($field:ident).+) => {
        Key {
            path: $path,
            kind: Kind::Number(Number {
                bounds: $bounds,
                read: |config| Some(config.$($field).+.as_millis() as u64),
                write: |config, value| config.$($field).+ = Duration::from_millis(value),
            }),
        }
    };
}

macro_rules! seconds {
    ($path:literal, $bounds:expr, $($field:ident).+) => {
        Key {
            path: $path,
            kind: Kind::Number(Number {
                bounds: $bounds,
                read: |config| Some(config.$($field).+.as_secs()),
                write: |config, value| config.$($field).+ = Duration::from_secs(value),
            }),
        }
    };
}

macro_rules! amqp {
    ($path:literal, $bounds:expr, $($field:ident).+) => {
        Key {
            path: $path,
            kind: Kind::Number(Number {
                bounds: $bounds,
                read: |config| config.amqp.as_ref().map(|amqp| amqp.$($field).+ as u64),
                write: |config, value| {
                    if let Some(amqp) = &mut config.amqp {
                        amqp.$($field).+ = value as _;
                    }
                },
            }),
        }
    };
}

macro_rules! each {
    ($path:literal, $bounds:expr, $($field:ident).+) => {
        Key {
            path: $path,
            kind: Kind::NumberEach(Number {
                bounds: $bounds,
                read: |channel| Some(channel.$($field).+),
                write: |channel, value| channel.$($field).+ = value,
            }),
        }
    };
}

const fn text(path: &'static str) -> Key {
    Key { path, kind: Kind::Text }
}

const fn texts(path: &'static str) -> Key {
    Key { path, kind: Kind::Texts }
}

const fn flag(path: &'static str) -> Key {
    Key { path, kind: Kind::Flag }
}

const HOUR_MS: u64 = 3_600_000;
const YEAR_S: u64 = 31_536_000;

/// Every key, in the order of the documentation.
pub static KEYS: &[Key] = &[
    text("listen"),
    texts("api_keys"),
    flag("keys_required"),
    flag("open_topology"),
    flag("behind_proxy"),
    texts("cors_origins"),
    text("geo_database_file"),
    text("signing_key_file"),
    flag("signing_key_create"),
    text("state_dir"),
    text("data_dir"),
    text("log"),
    count!("log_lines", 1..=1_000_000, log_lines),
    text("channels[].name"),
    text("channels[].source"),
    text("channels[].mode"),
    each!("channels[].history_s", 0..=YEAR_S, history_s),
    text("channels[].bindings[].exchange"),
    texts("channels[].bindings[].patterns"),
    each!("channels[].retention.max_age_s", 1..=YEAR_S, retention.max_age_s),
    each!("channels[].retention.segment_bytes", 4_096..=3_000_000_000, retention.segment_bytes),
    Key { path: "amqp.url", kind: Kind::TextOrTexts },
    amqp!("amqp.connect_timeout_ms", 100..=60_000, connect_timeout_ms),
    amqp!("amqp.rpc_timeout_ms", 100..=60_000, rpc_timeout_ms),
    amqp!("amqp.heartbeat_s", 1..=60, heartbeat_s),
    amqp!("amqp.max_event_bytes", 1..=PUBLISH_BYTES_MAX as u64, max_event_bytes),
    amqp!("amqp.buffer_bytes", 65_536..=1 << 40, buffer_bytes),
    amqp!("amqp.queue_bytes", 65_536..=1 << 40, queue_bytes),
    seconds!("store.max_age_s", 1..=10 * YEAR_S, store.retention.max_age),
    count!("store.max_bytes", 1 << 20..=1 << 50, store.retention.max_bytes),
    count!("store.segment_bytes", 65_536..=1 << 30, store.retention.segment_bytes),
    count!("store.queue_bytes", 65_536..=1 << 30, store.queue_bytes),
    texts("amqp.dynamic.exchanges"),
    amqp!("amqp.dynamic.exchanges_max", 1..=1_024, dynamic.exchanges_max),
    amqp!("amqp.dynamic.bindings_max", 1..=1_000_000, dynamic.bindings_max),
    amqp!("amqp.dynamic.exchange_patterns_max", 1..=100_000, dynamic.exchange_patterns_max),
    amqp!("amqp.dynamic.subscription_patterns_max", 1..=100_000, dynamic.subscription_patterns_max),
    amqp!("amqp.dynamic.pattern_hashes_max", 0..=127, dynamic.pattern_hashes_max),
    amqp!("amqp.dynamic.linger_ms", 0..=24 * HOUR_MS, dynamic.linger_ms),
    amqp!("amqp.dynamic.bind_ms", 100..=HOUR_MS, dynamic.bind_ms),
    amqp!("amqp.dynamic.retention.max_age_s", 1..=YEAR_S, dynamic.retention.max_age_s),
    amqp!("amqp.dynamic.retention.segment_bytes", 4_096..=3_000_000_000, dynamic.retention.segment_bytes),
    count!("hub.sessions_max", 1..=1_000_000, hub.sessions_max),
    count!("hub.outbox_bytes", 131_072..=1 << 30, hub.outbox_bytes),
    count!("hub.outbox_signal_bytes", 65_536..=1 << 30, hub.outbox_signal_bytes),
    count!("hub.subscriptions_max", 1..=1_024, hub.subscriptions_max),
    millis!("hub.heartbeat_ms", 50..=HOUR_MS, hub.heartbeat),
    millis!("hub.head_interval_ms", 50..=HOUR_MS, hub.head_interval),
    millis!("hub.batch_delay_ms", 0..=10_000, hub.batch.delay),
    count!("hub.batch_bytes", 1..=1 << 20, hub.batch.bytes),
    count!("hub.batch_events", 1..=4_096, hub.batch.events),
    count!("hub.log_bytes", 1..=1 << 40, hub.log.bytes),
    count!("hub.log_frames", 1..=100_000_000, hub.log.entries),
    count!("hub.past_fetches_max", 1..=64, hub.past.fetches_max),
    count!("hub.past_page_events", 1..=65_536, hub.past.page_events),
    count!("hub.past_page_bytes", 1..=64 << 20, hub.past.page_bytes),
    count!("hub.past_bytes", 1..=1 << 40, hub.past.bytes),
    millis!("hub.past_wait_ms", 0..=HOUR_MS, hub.past.wait),
    count!("hub.tier1_min", 1..=1_000_000, hub.tier1.min),
    count!("hub.tier1_max", 1..=1_000_000, hub.tier1.max),
    count!("hub.feed_bytes", 1_024..=1 << 40, hub.feed_bytes),
    count!("hub.readers_max", 1..=1_000_000, hub.readers_max),
    millis!("hub.feed_wait_ms", 0..=HOUR_MS, hub.feed_wait),
    millis!("hub.link_setup_ms", 100..=HOUR_MS, hub.link_setup),
    count!("hub.link_tries", 1..=100, hub.link_tries),
    millis!("hub.link_proven_ms", 0..=HOUR_MS, hub.link_proven),
    millis!("hub.link_retry_ms", 100..=HOUR_MS, hub.link_retry),
    millis!("hub.parent_refused_ms", 0..=24 * HOUR_MS, hub.parent_refused),
    // No less than what the protocol promises to peers.
    count!("hub.signal_description_bytes", 16_384..=49_152, hub.signal_description_bytes),
    count!("hub.signal_candidate_bytes", 512..=4_096, hub.signal_candidate_bytes),
    count!("hub.signal_candidates_max", 64..=4_096, hub.signal_candidates_max),
    millis!("hub.resume_ms", 0..=HOUR_MS, hub.resume),
    count!("hub.children_max", 1..=65_535, hub.children_max),
    count!("hub.children_unproven", 1..=65_535, hub.children_unproven),
    count!("hub.tiers_max", 2..=64, hub.tiers_max),
    millis!("hub.standby_ms", 10..=HOUR_MS, hub.standby),
    millis!("hub.look_ms", 10..=60_000, hub.look),
    millis!("hub.improve_ms", 10..=HOUR_MS, hub.improve),
    millis!("hub.tier1_after_ms", 0..=HOUR_MS, hub.tier1_after),
    count!("hub.accusers_min", 1..=1_000, hub.accusers_min),
    count!("hub.suspended_percent", 0..=100, hub.suspended_percent),
    count!("hub.accusations_max", 0..=1_000_000, hub.accusations_max),
    millis!("hub.suspension_ms", 0..=24 * HOUR_MS, hub.suspension),
    text("ice_servers[].username"),
    text("ice_servers[].credential"),
    texts("ice_servers[].urls"),
    count!("limits.connections_max", 1..=1_000_000, limits.connections_max),
    count!("limits.input_queue_messages", 1..=1_000_000, limits.input_queue_messages),
    count!("limits.writer_queue_messages", 1..=1_024, limits.writer_queue_messages),
    millis!("limits.write_stall_ms", 100..=HOUR_MS, limits.write_stall),
    count!("limits.unsent_bytes", 4_096..=1 << 30, limits.unsent_bytes),
    millis!("limits.close_ms", 0..=60_000, limits.close),
    millis!("limits.drain_ms", 0..=HOUR_MS, limits.drain),
    millis!("limits.shutdown_ms", 0..=10 * 60_000, limits.shutdown),
    millis!("limits.request_ms", 100..=10 * 60_000, limits.request),
    millis!("limits.topology_ms", 0..=HOUR_MS, limits.topology),
    millis!("limits.reader_heartbeat_ms", 100..=HOUR_MS, limits.reader_heartbeat),
    millis!("limits.poll_wait_ms", 0..=HOUR_MS, limits.poll_wait),
    count!("limits.page_events", 1..=100_000, limits.page_events),
    count!("limits.page_bytes", 1..=1 << 30, limits.page_bytes),
    count!("limits.patterns_max", 1..=65_536, limits.patterns_max),
    millis!("limits.reader_retry_ms", 0..=HOUR_MS, limits.reader_retry),
    count!("limits.key_lifetime_s", 1..=10 * YEAR_S, limits.key_lifetime_s),
    count!("limits.sheets_bytes", 0..=1 << 40, limits.sheets_bytes),
    count!("limits.publish_bytes", 1..=PUBLISH_BYTES_MAX as u64, limits.publish_bytes),
    count!("limits.publish_batch_bytes", 1..=1 << 28, limits.publish_batch_bytes),
    count!("limits.publish_batch_events", 1..=1_000_000, limits.publish_batch_events),
    count!("limits.duplicates_events", 0..=10_000_000, limits.duplicates.events),
    seconds!("limits.duplicates_s", 0..=7 * 86_400, limits.duplicates.age),
];
