//! `[[channels]]` and `[amqp]`, which belong together: who feeds which channel.
//!
//! What is missing or has the wrong shape is said, and something right stands in for it while the rest is checked.

use serde::Deserialize;
use tiercast_codec::ChannelName;
use toml::{Table, Value};

use super::{
    Config,
    error::{ConfigError, ConfigErrors},
    tables::sections,
};
use crate::source::amqp::{AmqpChannelConfig, AmqpConfig, BindingConfig};

/// Keys of a channel that only those of a broker have.
const AMQP_ONLY: &[&str] = &["mode", "bindings", "history_s", "retention"];

/// Stands in for a broker that is not there, or not there yet.
const ANY_BROKER: &str = "amqp://localhost";

/// The channels of the broker.
#[derive(Default)]
struct Fed {
    channels: Vec<AmqpChannelConfig>,
    /// Where each is written.
    places: Vec<String>,
}

/// Reads both. `found` holds what has the wrong shape, and gets what else is wrong.
pub(super) fn read(table: &Table, config: &mut Config, found: &mut ConfigErrors) {
    if table.contains_key("channels") || table.contains_key("amqp") {
        config.embedded_channels.clear();
    }
    let mut fed = Fed::default();
    for (place, section) in sections(table, "channels") {
        match section.get("source").and_then(Value::as_str) {
            Some("amqp") => {
                if let Some(channel) = of_broker(&place, section, fed.channels.len(), found) {
                    fed.channels.push(channel);
                    fed.places.push(place);
                }
            }
            Some(other) if other != "embedded" => {
                let problem = format!("`{other}`: write \"embedded\" or \"amqp\"");
                found.add(ConfigError::new(format!("{place}.source"), problem));
            }
            // Whose it is cannot be told.
            _ if found.concern(&format!("{place}.source")) => {}
            _ => config.embedded_channels.extend(embedded(&place, section, found)),
        }
    }
    read_broker(table, config, fed, found);
}

fn embedded(place: &str, section: &Table, found: &mut ConfigErrors) -> Option<ChannelName> {
    for key in AMQP_ONLY.iter().filter(|key| section.contains_key(**key)) {
        let problem = "only a broker's channel has this: add source = \"amqp\", or remove it";
        found.add(ConfigError::new(format!("{place}.{key}"), problem));
    }
    if !has(place, section, "name", "name = \"events\"", found) {
        return None;
    }
    let name = section.get("name").and_then(Value::as_str)?;
    let result: Result<ChannelName, _> = name.parse();
    result.map_err(|error| found.add(ConfigError::new(format!("{place}.name"), format!("{error}")))).ok()
}

fn of_broker(
    place: &str,
    section: &Table,
    nth: usize,
    found: &mut ConfigErrors,
) -> Option<AmqpChannelConfig> {
    check_mode(place, section, found);
    let has_name = has(place, section, "name", "name = \"events\"", found);
    let has_bindings = has_bindings(place, section, found);
    let is_right = |key: &String| key != "source" && !found.concern(&format!("{place}.{key}"));
    let mut right: Table = section.clone().into_iter().filter(|(key, _)| is_right(key)).collect();
    if !has_name {
        right.insert("name".to_owned(), Value::String(format!("stand-in-{nth}")));
    }
    if !has_bindings {
        right.insert("bindings".to_owned(), Value::Array(Vec::new()));
    }
    match AmqpChannelConfig::deserialize(right) {
        Ok(channel) if has_bindings => Some(channel),
        Ok(channel) => {
            Some(AmqpChannelConfig { bindings: vec![BindingConfig::new("any", ["#"])], ..channel })
        }
        Err(error) => {
            found.add(ConfigError::new(place, error.message()));
            None
        }
    }
}

fn check_mode(place: &str, section: &Table, found: &mut ConfigErrors) {
    if let Some(mode) = section.get("mode").and_then(Value::as_str)
        && !["stream", "queue"].contains(&mode)
    {
        let problem = format!("`{mode}`: write \"stream\" or \"queue\"");
        found.add(ConfigError::new(format!("{place}.mode"), problem));
    }
}

/// Whether there are bindings, and each has what it needs. Says what is missing.
fn has_bindings(place: &str, section: &Table, found: &mut ConfigErrors) -> bool {
    let example = "bindings = [{ exchange = \"NAME\", patterns = [\"#\"] }]";
    let mut is_whole = has(place, section, "bindings", example, found);
    let key = format!("{place}.bindings");
    for (place, binding) in sections(section, "bindings") {
        let place = place.replacen("bindings", &key, 1);
        is_whole &= has(&place, binding, "exchange", "exchange = \"NAME\"", found);
        is_whole &= has(&place, binding, "patterns", "patterns = [\"#\"]", found);
    }
    is_whole
}

/// Whether a section has a key, and in the right shape. Says so if it is missing.
fn has(place: &str, section: &Table, key: &str, example: &str, found: &mut ConfigErrors) -> bool {
    let place = format!("{place}.{key}");
    if !section.contains_key(key) {
        found.add(ConfigError::new(&*place, format!("it is missing: write {example}")));
    }
    !found.concern(&place)
}

fn read_broker(table: &Table, config: &mut Config, fed: Fed, found: &mut ConfigErrors) {
    let section = table.get("amqp").and_then(Value::as_table);
    match (section, fed.places.first()) {
        (None, Some(place)) if !table.contains_key("amqp") => {
            let problem = "there is no [amqp] section: add one with a `url`";
            found.add(ConfigError::new(format!("{place}.source"), problem));
        }
        (Some(_), None) if !found.concern("channels") => {
            let problem =
                "no channel is fed by it: give one of [[channels]] source = \"amqp\", or remove [amqp]";
            found.add(ConfigError::new("amqp", problem));
        }
        _ => {}
    }
    if let Some(section) = section {
        has("amqp", section, "url", "url = \"amqp://USER:PASSWORD@HOST:5672/%2f\"", found);
    }
    if fed.channels.is_empty() {
        return;
    }
    let url = section.and_then(|section| section.get("url")).and_then(Value::as_str);
    let amqp = AmqpConfig::new(url.unwrap_or(ANY_BROKER), fed.channels);
    if let Err(errors) = amqp.validate() {
        for error in errors.iter() {
            found.add(error.clone().renamed(|key| where_written(key, &fed.places)));
        }
    }
    config.amqp = Some(amqp);
}

/// The name of a broker's key as it is written in the file: its channels stand among the others.
fn where_written(key: &str, places: &[String]) -> String {
    let channel = key.strip_prefix("amqp.channels[").and_then(|rest| rest.split_once(']'));
    let written = channel.and_then(|(index, rest)| {
        let index: usize = index.parse().ok()?;
        Some(format!("{}{rest}", places.get(index)?))
    });
    written.unwrap_or_else(|| key.to_owned())
}
