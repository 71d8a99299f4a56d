//! What is said of a permission that is missing: which of RabbitMQ's three, on what, and how to give it.

use std::{collections::BTreeSet, fmt};

use super::{config::AmqpConfig, dynamic::rules::ExchangePattern, names::QUEUE_PREFIX};

/// What consuming is called where it fails.
pub(super) const CONSUMING: &str = "consuming";

/// A refusal for want of a permission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Denial {
    permission: &'static str,
    /// `queue` or `exchange`.
    kind: &'static str,
    name: String,
    user: String,
}

impl Denial {
    /// Reads the broker's refusal of a request. RabbitMQ 3.10 says `access to exchange 'x' in vhost ...`, later versions
    /// `read access to ...`. Where it does not say which access, that follows from what was asked: whatever is made is
    /// configured, a binding reads from an exchange and writes to a queue, and a consumer reads. A queue whose losses go
    /// on to an exchange (`overflow.rs`) is read for that, too, and the exchange written to; so is the alternate exchange
    /// whose name is a numbering (`numbering.rs`).
    pub(super) fn read(what: &str, text: &str) -> Option<Self> {
        let (before, resource) = text.split_once("access to ")?;
        let kind = ["queue", "exchange"].into_iter().find(|kind| resource.starts_with(kind))?;
        let mut quoted = resource.split('\'').skip(1).step_by(2);
        let (name, _vhost, user) = (quoted.next()?, quoted.next()?, quoted.next()?);
        // Permissions are for all queues of ours, and the names of some change with each attempt.
        let name = if name.starts_with(QUEUE_PREFIX) { format!("{QUEUE_PREFIX}*") } else { name.to_owned() };
        let said = ["configure", "write", "read"].into_iter().find(|said| before.trim_end().ends_with(said));
        let permission = said.unwrap_or(match (what, kind) {
            (CONSUMING, _) | ("declaring the queue", "queue") => "read",
            ("declaring the queue" | "marking the stream's end" | "writing the numbering down", _) => "write",
            _ if !what.starts_with("binding") => "configure",
            (_, "exchange") => "read",
            _ => "write",
        });
        Some(Self { permission, kind, name, user: user.to_owned() })
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { permission, kind, name, user } = self;
        write!(f, "user `{user}` lacks the permission `{permission}` on {kind} `{name}`")
    }
}

/// The command that gives the source's user all that it needs, and no more.
pub(super) fn grant(config: &AmqpConfig) -> String {
    let uri = config.url.uri();
    let bindings = config.channels.iter().flat_map(|channel| &channel.bindings);
    let bound = bindings.map(|binding| literally(binding.exchange.as_str()));
    let any_of = |pattern: &ExchangePattern| {
        let parts: Vec<_> = pattern.to_string().split('*').map(literally).collect();
        parts.join(".*")
    };
    let exchanges: BTreeSet<_> = bound.chain(config.dynamic.exchanges.iter().map(any_of)).collect();
    let ours = format!("{}.*", literally(QUEUE_PREFIX));
    let readable: Vec<_> = [ours.clone()].into_iter().chain(exchanges).collect();
    let (vhost, user) = (&uri.vhost, &uri.authority.userinfo.username);
    format!(
        "rabbitmqctl set_permissions -p '{vhost}' '{user}' '^{ours}' '^{ours}' '^({})$'",
        readable.join("|")
    )
}

/// A regular expression that matches this text. Without a backslash where that can be: logs double it.
fn literally(text: &str) -> String {
    let mut pattern = String::new();
    for character in text.chars() {
        match character {
            // The shell's quote ends there.
            '\'' => pattern.push('.'),
            '\\' | '^' | '[' | ']' => pattern.extend(['\\', character]),
            '.' | '$' | '|' | '(' | ')' | '?' | '*' | '+' | '{' | '}' => {
                pattern.extend(['[', character, ']'])
            }
            _ => pattern.push(character),
        }
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::super::config::{AmqpChannelConfig, BindingConfig};
    use super::*;

    fn said(what: &str, text: &str) -> String {
        Denial::read(what, text).map(|denial| denial.to_string()).unwrap_or_default()
    }

    #[test]
    fn the_permission_follows_from_what_was_asked() {
        let exchange = "ACCESS_REFUSED - access to exchange 'ci' in vhost '/' refused for user 'x'";
        let queue = "ACCESS_REFUSED - access to queue 'tiercast.a' in vhost '/' refused for user 'x'";
        assert_eq!(said("binding", exchange), "user `x` lacks the permission `read` on exchange `ci`");
        assert_eq!(said("binding", queue), "user `x` lacks the permission `write` on queue `tiercast.*`");
        assert_eq!(said("consuming", queue), "user `x` lacks the permission `read` on queue `tiercast.*`");
        let lacking = "user `x` lacks the permission `configure` on queue `tiercast.*`";
        assert_eq!(said("declaring the stream", queue), lacking);
        assert_eq!(said("declaring the queue for what overflows", queue), lacking);
        // Its losses are read, and written to an exchange.
        assert!(said("declaring the queue", queue).contains("`read` on queue"));
        assert!(said("declaring the queue", exchange).contains("`write` on exchange"));
        assert!(said("declaring the numbering", exchange).contains("`configure` on exchange"));
        assert!(said("writing the numbering down", exchange).contains("`write` on exchange"));
    }

    #[test]
    fn the_broker_knows_better_which_permission_it_is() {
        let text = "ACCESS_REFUSED - write access to queue 'tiercast.a' in vhost '/' refused for user 'x'";
        assert_eq!(
            said("declaring the stream", text),
            "user `x` lacks the permission `write` on queue `tiercast.*`"
        );
        assert_eq!(said("binding", "ACCESS_REFUSED - something else"), "");
    }

    #[test]
    fn what_is_granted_names_every_exchange_once_and_literally() {
        let binding = |exchange| BindingConfig::new(exchange, ["#"]).expect("a binding");
        let bindings = vec![binding("ci"), binding("a.b"), binding("ci")];
        let channel = AmqpChannelConfig::new("builds".parse().expect("a name"), bindings);
        let url = "amqp://me:hunter2@broker/events".parse().expect("a URL");
        let expected = "rabbitmqctl set_permissions -p 'events' 'me' '^tiercast[.].*' '^tiercast[.].*' '^(tiercast[.].*|a[.]b|ci";
        let mut config = AmqpConfig::new(url, vec![channel]);
        assert_eq!(grant(&config), format!("{expected})$'"));
        config.dynamic.exchanges = vec!["d/e.*".parse().expect("a pattern")];
        assert_eq!(grant(&config), format!("{expected}|d/e[.].*)$'"));
    }
}
