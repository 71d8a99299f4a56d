//! Puts the configuration together: file, then environment, then flags; each overrides what came before.

use std::{fs, path::PathBuf};

use toml::{Table, Value};
use tracing_subscriber::EnvFilter;

use super::{
    Config, KeySource,
    error::{ConfigError, ConfigErrors},
    keys::{self, KEYS, Kind},
    nearest::nearest,
    tables, values,
};

/// What environment variables begin with.
const ENV_PREFIX: &str = "TIERCAST_";

/// The variable that names the file; it is no key.
const ENV_FILE: &str = "TIERCAST_CONFIG";

/// What was written about the configuration, checked but not yet put together.
#[derive(Debug, Clone, Default)]
pub struct Layers {
    merged: Table,
}

impl Layers {
    /// Adds a file.
    pub fn with_file(mut self, path: impl Into<PathBuf>) -> Result<Self, ConfigErrors> {
        let path = path.into();
        let origin = path.display().to_string();
        let text = fs::read_to_string(&path).map_err(|error| {
            ConfigError::new(&*origin, format!("{error}: correct the path, or create it"))
        })?;
        self.add_toml(&origin, &text)?;
        Ok(self)
    }

    /// Adds a text in the file's format. `origin` says in errors where it came from.
    pub fn with_toml(mut self, origin: &str, text: &str) -> Result<Self, ConfigErrors> {
        self.add_toml(origin, text)?;
        Ok(self)
    }

    /// Adds every variable that begins with `TIERCAST_`: `TIERCAST_HUB__HEARTBEAT_MS` is `hub.heartbeat_ms`.
    pub fn with_env(
        mut self,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigErrors> {
        let mut errors = ConfigErrors::default();
        for (name, text) in variables {
            let Some(rest) = name.strip_prefix(ENV_PREFIX) else { continue };
            if name == ENV_FILE {
                continue;
            }
            let path = rest.to_ascii_lowercase().replace("__", ".");
            if values::key(&path).is_none() && !values::is_list(&path) {
                let known: Vec<_> = names_of_one_value().map(env_name).collect();
                let hint = nearest(&name, known.iter().map(String::as_str)).unwrap_or_default();
                let problem = format!("unknown variable; the nearest known one is `{hint}`");
                errors.add(ConfigError::new(&*name, problem));
            } else if let Err(more) = self.set(&name, &path, &text) {
                errors.extend(more);
            }
        }
        errors.into_result(self)
    }

    /// Sets one key, as `--set` does.
    pub fn with_set(mut self, origin: &str, path: &str, text: &str) -> Result<Self, ConfigErrors> {
        self.set(origin, path, text)?;
        Ok(self)
    }

    /// Sets the embedded channels, as `--channel` does.
    pub fn with_channels(mut self, names: &[String]) -> Self {
        let section = |name: &String| {
            Value::Table(Table::from_iter([("name".to_owned(), Value::String(name.clone()))]))
        };
        self.merged.insert("channels".to_owned(), Value::Array(names.iter().map(section).collect()));
        self
    }

    /// Whether a key was set.
    pub fn has(&self, key: &str) -> bool {
        self.merged.contains_key(key)
    }

    /// The configuration.
    pub fn load(self) -> Result<Config, ConfigErrors> {
        let mut config = Config::default();
        let mut errors = values::check(&self.merged);
        errors.note(general(&self.merged, &mut config));
        if let Err(more) = tables::read(&self.merged, &mut config) {
            errors.extend(more);
        }
        for (path, number) in keys::numbers() {
            if let Some(value) = at(&self.merged, path).and_then(Value::as_integer) {
                (number.write)(&mut config, u64::try_from(value).unwrap_or_default());
            }
        }
        // What else is wrong may follow from these.
        let mut config = errors.into_result(config)?;
        config.validate()?;
        config.hub.ice_servers.shrink_to_fit();
        Ok(config)
    }

    fn add_toml(&mut self, origin: &str, text: &str) -> Result<(), ConfigErrors> {
        let table: Table = text.parse().map_err(|error: toml::de::Error| {
            let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
            ConfigError::new(origin, format!("line {line}: {}", error.message()))
        })?;
        self.add(origin, table)
    }

    fn set(&mut self, origin: &str, path: &str, text: &str) -> Result<(), ConfigErrors> {
        let value = parse(path, text).map_err(|error| error.within(origin))?;
        let parts = path.split('.').rev();
        let nested =
            parts.fold(value, |value, part| Value::Table(Table::from_iter([(part.to_owned(), value)])));
        match nested {
            Value::Table(table) => self.add(origin, table),
            _ => Ok(()),
        }
    }

    fn add(&mut self, origin: &str, table: Table) -> Result<(), ConfigErrors> {
        let mut errors = ConfigErrors::default();
        for error in values::check(&table).iter() {
            errors.add(error.clone().within(origin));
        }
        merge(&mut self.merged, table);
        errors.into_result(())
    }
}

/// The name of the variable that sets a key.
fn env_name(path: &str) -> String {
    format!("{ENV_PREFIX}{}", path.replace('.', "__").to_ascii_uppercase())
}

/// The keys and lists that one variable can set.
fn names_of_one_value() -> impl Iterator<Item = &'static str> {
    KEYS.iter().map(|key| key.path.split("[]").next().unwrap_or(key.path))
}

fn merge(into: &mut Table, table: Table) {
    for (name, value) in table {
        match (into.get_mut(&name), value) {
            (Some(Value::Table(old)), Value::Table(new)) => merge(old, new),
            (_, value) => {
                into.insert(name, value);
            }
        }
    }
}

fn at<'a>(table: &'a Table, path: &str) -> Option<&'a Value> {
    let (sections, name) = path.rsplit_once('.').unwrap_or(("", path));
    let parts = sections.split('.').filter(|part| !part.is_empty());
    let section = parts.into_iter().try_fold(table, |table, part| table.get(part)?.as_table())?;
    section.get(name)
}

/// Reads a value as it is written in a variable or flag: no quotes, and commas between the texts of a list.
fn parse(path: &str, text: &str) -> Result<Value, ConfigError> {
    let wrong = |problem: String| ConfigError::new(path, problem);
    match values::key(path).map(|key| &key.kind) {
        Some(Kind::Text) => Ok(Value::String(text.to_owned())),
        Some(Kind::Texts) => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            Ok(Value::Array(items.map(|item| Value::String(item.to_owned())).collect()))
        }
        Some(Kind::Flag) => {
            text.parse().map(Value::Boolean).map_err(|_| wrong(format!("`{text}`: write true or false")))
        }
        Some(Kind::Number(_) | Kind::NumberEach(_)) => text
            .replace('_', "")
            .parse()
            .map(Value::Integer)
            .map_err(|_| wrong(format!("`{text}`: write a whole number; the key's ending is the unit"))),
        None if values::is_list(path) => {
            let mut table: Table = format!("value = {text}")
                .parse()
                .map_err(|_| wrong("write a list of sections, such as [{ name = \"events\" }]".to_owned()))?;
            Ok(table.remove("value").unwrap_or(Value::Array(Vec::new())))
        }
        None => Err(values::unknown(path, path)),
    }
}

/// The keys outside of any section.
fn general(table: &Table, config: &mut Config) -> Result<(), ConfigError> {
    let text = |name: &str| table.get(name).and_then(Value::as_str);
    let flag = |name: &str| table.get(name).and_then(Value::as_bool);
    if let Some(listen) = text("listen") {
        config.listen = listen.parse().map_err(|_| {
            let problem =
                format!("`{listen}`: write an address and a port, such as 127.0.0.1:8780 or [::]:8780");
            ConfigError::new("listen", problem)
        })?;
    }
    if let Some(Value::Array(items)) = table.get("api_keys") {
        let keys: Result<_, _> = items.iter().filter_map(Value::as_str).map(str::parse).collect();
        config.api_keys = keys.map_err(|error| ConfigError::new("api_keys", format!("{error}")))?;
    }
    config.open_topology = flag("open_topology").unwrap_or(config.open_topology);
    let create = flag("signing_key_create").unwrap_or(false);
    match text("signing_key_file") {
        Some(path) => config.signing_key = KeySource::File { path: path.into(), create },
        None if create => {
            return Err(ConfigError::new(
                "signing_key_create",
                "there is no signing_key_file to create: add one",
            ));
        }
        None => {}
    }
    if let Some(log) = text("log") {
        check_log(log)?;
        config.log = log.to_owned();
    }
    Ok(())
}

pub(super) fn check_log(log: &str) -> Result<(), ConfigError> {
    EnvFilter::try_new(log).map(|_| ()).map_err(|error| {
        let problem = format!("`{log}`: {error}: write a level, such as info, or target=level,target=level");
        ConfigError::new("log", problem)
    })
}
