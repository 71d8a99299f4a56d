//! `[[channels]]` and `[amqp]`, which belong together: who feeds which channel.

use std::collections::BTreeMap;

use tiercast_codec::{ChannelId, ChannelName};
use toml::{Table, Value};

use super::{
    Config, SourceKind, amqp,
    error::{ConfigError, ConfigErrors},
    values::{required_text, sections},
};
use crate::source::amqp::{AmqpConfig, dynamic::CHANNEL_PREFIX};

/// Keys of a channel that only those of a broker have.
const AMQP_ONLY: &[&str] = &["mode", "bindings", "history_s", "retention"];

/// What is wrong if there is no channel at all.
pub(super) const NONE: &str = "there is none: add a [[channels]] section with a `name`";

/// The names that are taken, and by which channels. Frames know a channel by its number only, which two names may
/// share.
#[derive(Default)]
pub(super) struct Names(BTreeMap<ChannelId, (String, ChannelName)>);

impl Names {
    /// Takes a name for the channel at `place`.
    pub(super) fn take(&mut self, place: &str, name: &ChannelName) -> Result<(), String> {
        if name.as_str().starts_with(CHANNEL_PREFIX) {
            return Err(format!(
                "`{name}`: what begins with `{CHANNEL_PREFIX}` is not for channels: rename it"
            ));
        }
        match self.0.get(&name.id()) {
            Some((first, other)) if other == name => {
                Err(format!("`{name}` is the name of {first}, too: rename one"))
            }
            Some((first, other)) => {
                Err(format!("`{name}` has the channel number of `{other}` ({first}): rename one"))
            }
            None => {
                self.0.insert(name.id(), (place.to_owned(), name.clone()));
                Ok(())
            }
        }
    }
}

/// Reads both. `found` holds what has the wrong shape, and gets what else is wrong.
pub(super) fn read(table: &Table, config: &mut Config, found: &mut ConfigErrors) {
    if table.contains_key("channels") || table.contains_key("amqp") {
        config.embedded_channels.clear();
    }
    let broker = amqp::broker(table, found);
    let vhost = broker.as_ref().map_or("", |broker| broker.url.vhost());
    let (mut fed, mut places, mut names) = (Vec::new(), Vec::new(), Names::default());
    if table.get("channels").and_then(Value::as_array).is_some_and(Vec::is_empty) {
        found.add(ConfigError::new("channels", NONE));
    }
    for (place, section) in sections(table, "channels") {
        let name = name(&place, section, &mut names, found);
        match kind(&place, section, found) {
            Some(SourceKind::Embedded) => {
                reject_keys_of_a_broker(&place, section, found);
                config.embedded_channels.extend(name);
            }
            Some(SourceKind::Amqp) => {
                fed.extend(amqp::channel(&place, section, name, vhost, found));
                places.push(place);
            }
            Some(SourceKind::Dynamic) | None => {}
        }
    }
    let dynamic = amqp::dynamic(table, vhost, found);
    let is_used = !places.is_empty() || dynamic.is_on();
    compare(table, places.first(), is_used, found);
    config.amqp = broker.filter(|_| is_used).map(|broker| AmqpConfig { dynamic, channels: fed, ..broker });
}

/// Who feeds a channel, if that can be told.
fn kind(place: &str, section: &Table, found: &mut ConfigErrors) -> Option<SourceKind> {
    let Some(source) = section.get("source") else { return Some(SourceKind::Embedded) };
    match source.as_str()? {
        "embedded" => Some(SourceKind::Embedded),
        "amqp" => Some(SourceKind::Amqp),
        other => {
            let problem = format!("`{other}`: write \"embedded\" or \"amqp\"");
            found.add(ConfigError::new(format!("{place}.source"), problem));
            None
        }
    }
}

fn name(place: &str, section: &Table, names: &mut Names, found: &mut ConfigErrors) -> Option<ChannelName> {
    let (key, name) = required_text(place, section, "name", "name = \"events\"", found)?;
    let name = found.keep_right(&*key, name.parse())?;
    found.keep_right(key, names.take(place, &name));
    Some(name)
}

fn reject_keys_of_a_broker(place: &str, section: &Table, found: &mut ConfigErrors) {
    for key in AMQP_ONLY.iter().filter(|key| section.contains_key(**key)) {
        let problem = "only a broker's channel has this: add source = \"amqp\", or remove it";
        found.add(ConfigError::new(format!("{place}.{key}"), problem));
    }
}

/// Whether there is a broker if it has channels, and the other way round.
fn compare(table: &Table, first_fed: Option<&String>, is_used: bool, found: &mut ConfigErrors) {
    match (table.get("amqp"), first_fed) {
        (None, Some(place)) => {
            let problem = "there is no [amqp] section: add one with a `url`";
            found.add(ConfigError::new(format!("{place}.source"), problem));
        }
        (Some(Value::Table(_)), None) if !is_used && !found.concern("channels") => {
            let problem = "no channel is fed by it: give one of [[channels]] source = \"amqp\", name exchanges that \
                           clients may ask for in amqp.dynamic.exchanges, or remove [amqp]";
            found.add(ConfigError::new("amqp", problem));
        }
        _ => {}
    }
}
