//! The sections of which there may be several, `[[channels]]` and `[[ice_servers]]`, and `[amqp]`.

use serde::Deserialize;
use tiercast_codec::IceServer;
use toml::{Table, Value};

use super::{
    Config,
    error::{ConfigError, ConfigErrors},
};
use crate::source::amqp::{AmqpChannelConfig, AmqpConfig};

/// Keys of a channel that only those of a broker have.
const AMQP_ONLY: &[&str] = &["mode", "bindings", "history_s", "retention"];

pub(super) fn read(table: &Table, config: &mut Config) -> Result<(), ConfigErrors> {
    let mut errors = ConfigErrors::default();
    let (channels, places) = read_channels(table, config, &mut errors);
    errors.note(read_amqp(table, config, channels, &places));
    for (place, section) in sections(table, "ice_servers") {
        match IceServer::deserialize(section.clone()) {
            Ok(server) => {
                errors.note(check_ice(&place, &server));
                config.hub.ice_servers.push(server);
            }
            Err(error) => errors.add(ConfigError::new(place, error.message().to_owned())),
        }
    }
    errors.into_result(())
}

fn sections<'a>(table: &'a Table, name: &'a str) -> impl Iterator<Item = (String, &'a Table)> {
    let list = table.get(name).and_then(Value::as_array).into_iter().flatten();
    list.enumerate().filter_map(move |(index, value)| Some((format!("{name}[{index}]"), value.as_table()?)))
}

/// The channels of the broker, and where each is written. The embedded ones go into `config`.
fn read_channels(
    table: &Table,
    config: &mut Config,
    errors: &mut ConfigErrors,
) -> (Vec<AmqpChannelConfig>, Vec<String>) {
    let (mut channels, mut places) = (Vec::new(), Vec::new());
    if table.contains_key("channels") || table.contains_key("amqp") {
        config.embedded_channels.clear();
    }
    for (place, section) in sections(table, "channels") {
        match section.get("source").and_then(Value::as_str) {
            None | Some("embedded") => match embedded(&place, section) {
                Ok(name) => config.embedded_channels.push(name),
                Err(error) => errors.add(error),
            },
            Some("amqp") => {
                let mut section = section.clone();
                section.remove("source");
                match AmqpChannelConfig::deserialize(section) {
                    Ok(channel) => {
                        channels.push(channel);
                        places.push(place);
                    }
                    Err(error) => errors.add(ConfigError::new(place, error.message().to_owned())),
                }
            }
            Some(other) => {
                let problem = format!("`{other}`: write \"embedded\" or \"amqp\"");
                errors.add(ConfigError::new(format!("{place}.source"), problem));
            }
        }
    }
    (channels, places)
}

fn embedded(place: &str, section: &Table) -> Result<tiercast_codec::ChannelName, ConfigError> {
    if let Some(key) = AMQP_ONLY.iter().find(|key| section.contains_key(**key)) {
        let problem = "only a broker's channel has this: add source = \"amqp\", or remove it";
        return Err(ConfigError::new(format!("{place}.{key}"), problem));
    }
    let name_place = format!("{place}.name");
    let Some(name) = section.get("name").and_then(Value::as_str) else {
        return Err(ConfigError::new(name_place, "it is missing: write name = \"events\""));
    };
    name.parse().map_err(|error| ConfigError::new(name_place, format!("{error}")))
}

fn read_amqp(
    table: &Table,
    config: &mut Config,
    channels: Vec<AmqpChannelConfig>,
    places: &[String],
) -> Result<(), ConfigError> {
    let section = table.get("amqp").and_then(Value::as_table);
    let Some(section) = section else {
        return match places.first() {
            None => Ok(()),
            Some(place) => {
                let problem = "there is no [amqp] section: add one with a `url`";
                Err(ConfigError::new(format!("{place}.source"), problem))
            }
        };
    };
    if channels.is_empty() {
        let problem = "no channel is fed by it: give one of [[channels]] source = \"amqp\", or remove [amqp]";
        return Err(ConfigError::new("amqp", problem));
    }
    let Some(url) = section.get("url").and_then(Value::as_str) else {
        let problem = "it is missing: write url = \"amqp://USER:PASSWORD@HOST:5672/%2f\"";
        return Err(ConfigError::new("amqp.url", problem));
    };
    let amqp = AmqpConfig::new(url, channels);
    let result = amqp.validate().map_err(|error| amqp_error(&error.to_string(), places));
    config.amqp = Some(amqp);
    result
}

/// An error of the broker's configuration, with the place where the channel was written.
pub(super) fn amqp_error(text: &str, places: &[String]) -> ConfigError {
    let (place, problem) = text.split_once(": ").unwrap_or(("amqp", text));
    let channel = place.strip_prefix("amqp.channels[").and_then(|rest| rest.split_once(']'));
    let written = channel.and_then(|(index, rest)| {
        let index: usize = index.parse().ok()?;
        Some(format!("{}{rest}", places.get(index)?))
    });
    ConfigError::new(written.unwrap_or_else(|| place.to_owned()), problem)
}

fn check_ice(place: &str, server: &IceServer) -> Result<(), ConfigError> {
    let known =
        |url: &String| ["stun:", "stuns:", "turn:", "turns:"].iter().any(|scheme| url.starts_with(scheme));
    let is_turn = |url: &String| url.starts_with("turn");
    if server.urls.is_empty() || !server.urls.iter().all(known) {
        let problem = "write addresses such as [\"stun:stun.example.org:3478\"] (stun, stuns, turn or turns)";
        return Err(ConfigError::new(format!("{place}.urls"), problem));
    }
    if server.urls.iter().any(is_turn) && (server.username.is_none() || server.credential.is_none()) {
        let problem = "a TURN server needs `username` and `credential`: add them";
        return Err(ConfigError::new(place, problem));
    }
    Ok(())
}
