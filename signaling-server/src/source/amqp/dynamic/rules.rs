//! What clients may ask for beside the channels: which exchanges, how much of them, and for how long it stays.

use std::{fmt, str::FromStr};

use ring::digest;
use tiercast_codec::{ChannelName, Pattern};

use super::super::names::{AmqpConfigError, Exchange, Mode, QUEUE_PREFIX, RetentionConfig, check_name};

/// What the name of every dynamic channel begins with, and of no other.
pub const CHANNEL_PREFIX: &str = "dynamic.";

/// Bytes of the exchange's digest in the name of its channel: nobody finds another exchange with the same ones.
const DIGEST_BYTES: usize = 8;

/// The broker's own exchanges, some of which tell what others do.
const BROKERS_PREFIX: &str = "amq.";

/// What clients may ask for beside the channels.
#[derive(Debug, Clone, PartialEq)]
pub struct DynamicConfig {
    /// The exchanges. Default none: nobody may ask for any.
    pub exchanges: Vec<ExchangePattern>,
    /// Most exchanges at a time. Each is a stream, and a channel of the hub. Default 64, unvalidated.
    pub exchanges_max: usize,
    /// Most bindings over all exchanges, those included that linger. Default 20,000, unvalidated.
    pub bindings_max: usize,
    /// Most patterns that are bound to one exchange, those included that linger. Default 5,000, unvalidated.
    pub exchange_patterns_max: usize,
    /// Most patterns of one subscription. Default 100, unvalidated.
    pub subscription_patterns_max: usize,
    /// Most `#` in a pattern. The broker tries every way to share out a routing key among them: four of them and a key of
    /// 120 words hold up whoever publishes it for more than half a minute (`docs/measurements.md`). Default 2.
    pub pattern_hashes_max: usize,
    /// A pattern that nobody wants any more stays bound for so long, in milliseconds. Default 60,000, unvalidated.
    pub linger_ms: u64,
    /// Longest time until a subscription's patterns are bound, in milliseconds. Default 10,000, unvalidated.
    pub bind_ms: u64,
    /// How long the broker keeps the events of such an exchange.
    pub retention: RetentionConfig,
}

impl Default for DynamicConfig {
    fn default() -> Self {
        Self {
            exchanges: Vec::new(),
            exchanges_max: 64,
            bindings_max: 20_000,
            exchange_patterns_max: 5_000,
            subscription_patterns_max: 100,
            pattern_hashes_max: 2,
            linger_ms: 60_000,
            bind_ms: 10_000,
            retention: RetentionConfig { max_age_s: 3_600, ..RetentionConfig::default() },
        }
    }
}

impl DynamicConfig {
    /// Whether clients may ask for anything.
    pub fn is_on(&self) -> bool {
        !self.exchanges.is_empty()
    }

    /// Whether clients may ask for this exchange.
    pub(super) fn allows(&self, exchange: &Exchange) -> bool {
        self.exchanges.iter().any(|pattern| pattern.matches(exchange))
    }

    /// Whether the broker can be asked to match this.
    pub(super) fn bears(&self, pattern: &Pattern) -> bool {
        let hashes = pattern.to_string().split('.').filter(|word| *word == "#").count();
        hashes <= self.pattern_hashes_max
    }
}

/// A pattern of exchanges' names, in which `*` stands for any text, an empty one included. What the server makes itself is
/// never meant, and what the broker does (`amq.`) only where the pattern begins so, too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExchangePattern(String);

impl ExchangePattern {
    /// Whether it means this exchange.
    pub fn matches(&self, exchange: &Exchange) -> bool {
        let name = exchange.as_str();
        // RabbitMQ leaves line breaks out of names: `a\nmq.topic` would be `amq.topic`.
        if name.contains(['\r', '\n']) {
            return false;
        }
        let is_hidden =
            |prefix| name.starts_with(prefix) && (prefix == QUEUE_PREFIX || !self.0.starts_with(prefix));
        ![QUEUE_PREFIX, BROKERS_PREFIX].into_iter().any(is_hidden) && fits(&self.0, name)
    }
}

/// Each part between stars is looked for as early as possible, but the last one at the end.
fn fits(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut name) = name.strip_prefix(first) else { return false };
    let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
    for part in middle.split('*') {
        match name.find(part) {
            Some(at) => name = &name[at + part.len()..],
            None => return false,
        }
    }
    name.ends_with(last)
}

impl FromStr for ExchangePattern {
    type Err = AmqpConfigError;

    fn from_str(text: &str) -> Result<Self, AmqpConfigError> {
        let exchange: Exchange = text.parse()?;
        Ok(Self(exchange.as_str().to_owned()))
    }
}

impl fmt::Display for ExchangePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of an exchange's channel: the same on every server, and as long for each exchange, since an exchange's name
/// may be of any characters and longer than a channel's.
pub(crate) fn channel_of(exchange: &Exchange) -> ChannelName {
    let digest = digest::digest(&digest::SHA256, exchange.as_str().as_bytes());
    let digits: String = digest.as_ref()[..DIGEST_BYTES].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{CHANNEL_PREFIX}{digits}").parse().expect("letters, digits and a dot")
}

/// Whether streams of dynamic channels can be told apart in this virtual host.
pub(crate) fn check_vhost(vhost: &str) -> Result<(), AmqpConfigError> {
    let any = channel_of(&"any".parse().expect("a name"));
    check_name(&any, Mode::Stream, vhost).map_err(|_| AmqpConfigError::VhostTooLong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exchange(name: &str) -> Exchange {
        name.parse().expect("a name")
    }

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, name, is_meant) in [
            ("ci", "ci", true),
            ("ci", "ci2", false),
            ("ci/*", "ci/", true),
            ("ci/*", "ci/a/b", true),
            ("ci/*", "c/i", false),
            ("*", "anything", true),
            ("*.events", "ci.events", true),
            ("*.events", "ci.events.old", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "acb", false),
            ("ab*ba", "aba", false),
            ("**", "x", true),
        ] {
            let pattern: ExchangePattern = pattern.parse().expect("a pattern");
            assert_eq!(pattern.matches(&exchange(name)), is_meant, "{pattern} {name}");
        }
    }

    #[test]
    fn what_the_server_or_the_broker_made_is_not_meant_by_a_star() {
        let matches = |pattern: &str, name| {
            pattern.parse::<ExchangePattern>().expect("a pattern").matches(&exchange(name))
        };
        assert!(!matches("*", "tiercast.builds") && !matches("tiercast.*", "tiercast.builds"));
        assert!(
            !matches("*", "a\nmq.topic") && !matches("*", "tiercast\r.builds"),
            "not by a line break either"
        );
        assert!(!matches("*", "amq.topic") && matches("amq.topic", "amq.topic"));
    }

    #[test]
    fn every_exchange_has_a_channel_of_its_own_that_a_broker_can_have() {
        let odd = channel_of(&exchange("höhe / 100 %"));
        assert_eq!(odd.as_str().len(), CHANNEL_PREFIX.len() + 2 * DIGEST_BYTES);
        assert_eq!(channel_of(&exchange("ci")), channel_of(&exchange("ci")));
        assert_ne!(channel_of(&exchange("ci")), odd);
        assert_eq!(check_vhost("a-virtual-host-of-31-characters"), Ok(()));
        assert_eq!(check_vhost("a-virtual-host-of-32-characters."), Err(AmqpConfigError::VhostTooLong));
    }
}
