//! The broker and a channel of its own: read into the source's type, every mistake under its key.

use tiercast_codec::{ChannelName, Pattern};
use toml::{Table, Value};

use super::{
    error::{ConfigError, ConfigErrors},
    keys,
    values::{at, required, required_text, sections},
};
use crate::source::amqp::{
    AmqpChannelConfig, AmqpConfig, BindingConfig, BrokerUrl, Mode, check_name,
    dynamic::{DynamicConfig, check_vhost},
};

const URL_EXAMPLE: &str = "url = \"amqp://USER:PASSWORD@HOST:5672/%2f\"";

const URL: &str = "amqp.url";

const EXCHANGES: &str = "amqp.dynamic.exchanges";

const BINDINGS_EXAMPLE: &str = "bindings = [{ exchange = \"NAME\", patterns = [\"#\"] }]";

/// The broker, without channels yet, if there is a right URL. A list has one for each node of its cluster.
pub(super) fn broker(table: &Table, found: &mut ConfigErrors) -> Option<AmqpConfig> {
    let section = table.get("amqp")?.as_table()?;
    let urls: Vec<_> = match required("amqp", section, "url", URL_EXAMPLE, found)? {
        Value::Array(urls) => urls.iter().filter_map(Value::as_str).enumerate().map(in_list).collect(),
        url => url.as_str().map(|url| (URL.to_owned(), url)).into_iter().collect(),
    };
    let right: Vec<_> =
        urls.into_iter().filter_map(|(place, url)| found.keep_right(place, url.parse())).collect();
    let (first, others) = right.split_first()?;
    let amqp =
        AmqpConfig { other_urls: others.to_vec(), ..AmqpConfig::new(BrokerUrl::clone(first), Vec::new()) };
    check_urls(&amqp, found);
    Some(amqp)
}

fn in_list((index, url): (usize, &str)) -> (String, &str) {
    (format!("{URL}[{index}]"), url)
}

fn check_urls(amqp: &AmqpConfig, found: &mut ConfigErrors) {
    for (index, url) in amqp.check_urls().enumerate() {
        found.keep_right(format!("{URL}[{index}]"), url);
    }
}

/// What clients may ask for, as far as that is right.
pub(super) fn dynamic(table: &Table, vhost: &str, found: &mut ConfigErrors) -> DynamicConfig {
    let mut dynamic = DynamicConfig::default();
    let Some(texts) = at(table, EXCHANGES).and_then(Value::as_array) else { return dynamic };
    for (index, text) in texts.iter().enumerate() {
        let pattern = text.as_str().map(str::parse);
        dynamic
            .exchanges
            .extend(pattern.and_then(|pattern| found.keep_right(format!("{EXCHANGES}[{index}]"), pattern)));
    }
    check_dynamic(&dynamic, vhost, found);
    dynamic
}

fn check_dynamic(dynamic: &DynamicConfig, vhost: &str, found: &mut ConfigErrors) {
    if dynamic.is_on() {
        found.keep_right(EXCHANGES, check_vhost(vhost));
    }
}

/// What is right of a channel. `vhost` is empty where it is not known.
pub(super) fn channel(
    place: &str,
    section: &Table,
    name: Option<ChannelName>,
    vhost: &str,
    found: &mut ConfigErrors,
) -> Option<AmqpChannelConfig> {
    let mode = mode(place, section, found);
    let bindings = bindings(place, section, found);
    let (mode, name) = (mode?, name?);
    found.keep_right(format!("{place}.name"), check_name(&name, mode, vhost));
    let mut channel = AmqpChannelConfig { mode, ..AmqpChannelConfig::new(name, bindings) };
    for (path, number) in keys::channel_numbers() {
        if let Some(value) = at(section, path).and_then(Value::as_integer) {
            (number.write)(&mut channel, u64::try_from(value).unwrap_or_default());
        }
    }
    Some(channel)
}

/// Checks what was made in code. Of what was read all this has been said.
pub(super) fn check(amqp: &AmqpConfig, found: &mut ConfigErrors) {
    check_urls(amqp, found);
    check_dynamic(&amqp.dynamic, amqp.url.vhost(), found);
    for (index, channel) in amqp.channels.iter().enumerate() {
        let place = format!("amqp.channels[{index}]");
        found.keep_right(format!("{place}.name"), check_name(&channel.name, channel.mode, amqp.url.vhost()));
        for (path, number) in keys::channel_numbers() {
            found.note(number.check_in(&format!("{place}.{path}"), channel));
        }
        if channel.bindings.iter().all(|binding| binding.patterns.is_empty()) {
            let problem = format!("nothing is bound: write {BINDINGS_EXAMPLE}");
            found.add(ConfigError::new(format!("{place}.bindings"), problem));
        }
    }
}

fn mode(place: &str, section: &Table, found: &mut ConfigErrors) -> Option<Mode> {
    match section.get("mode") {
        Some(mode) => found.keep_right(format!("{place}.mode"), mode.as_str()?.parse()),
        None => Some(Mode::default()),
    }
}

fn bindings(place: &str, section: &Table, found: &mut ConfigErrors) -> Vec<BindingConfig> {
    required(place, section, "bindings", BINDINGS_EXAMPLE, found);
    let bindings = sections(section, "bindings");
    bindings.filter_map(|(key, section)| binding(&format!("{place}.{key}"), section, found)).collect()
}

fn binding(place: &str, section: &Table, found: &mut ConfigErrors) -> Option<BindingConfig> {
    let exchange = required_text(place, section, "exchange", "exchange = \"NAME\"", found);
    let exchange = exchange.and_then(|(place, name)| found.keep_right(place, name.parse()));
    let patterns = patterns(place, section, found);
    Some(BindingConfig { exchange: exchange?, patterns })
}

fn patterns(place: &str, section: &Table, found: &mut ConfigErrors) -> Vec<Pattern> {
    let patterns = required(place, section, "patterns", "patterns = [\"#\"]", found);
    let texts = patterns.and_then(Value::as_array).into_iter().flatten().enumerate();
    let texts =
        texts.filter_map(|(index, text)| Some((format!("{place}.patterns[{index}]"), text.as_str()?)));
    texts.filter_map(|(place, text)| found.keep_right(place, text.parse())).collect()
}
