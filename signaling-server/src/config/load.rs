//! Puts the configuration together: file, then environment, then flags; each overrides what came before.

use std::{fs, path::PathBuf};

use toml::{Table, Value};

use super::{
    Config, KeySource,
    api_key::ApiKeyError,
    channels, cors_origins,
    error::{ConfigError, ConfigErrors},
    ice_servers,
    keys::{self, KEYS, Kind},
    nearest::nearest,
    values::{self, at},
};

/// What environment variables begin with.
const ENV_PREFIX: &str = "TIERCAST_";

/// The variable that names the file; it is no key.
const ENV_FILE: &str = "TIERCAST_CONFIG";

/// What was written about the configuration, layer over layer, and what is wrong with it. Nothing stops at the first
/// mistake: `load` names them all.
#[derive(Debug, Clone, Default)]
pub struct Layers {
    layers: Vec<Layer>,
    errors: ConfigErrors,
    /// A file or a list could not be read: sections may be missing that were written.
    lacks_sections: bool,
}

/// What was written at one place.
#[derive(Debug, Clone)]
struct Layer {
    /// The file, variable or flag.
    origin: String,
    table: Table,
}

impl Layers {
    /// Adds a file.
    pub fn with_file(mut self, path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let origin = path.display().to_string();
        match fs::read_to_string(&path) {
            Ok(text) => return self.with_toml(&origin, &text),
            Err(error) => {
                let problem = format!("{error}: correct the path, or create it");
                self.unreadable(ConfigError::new(origin, problem));
            }
        }
        self
    }

    /// Adds a text in the file's format. `origin` says in errors where it came from.
    pub fn with_toml(mut self, origin: &str, text: &str) -> Self {
        match text.parse::<Table>() {
            Ok(table) => self.add(origin, table),
            Err(error) => {
                let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
                self.unreadable(ConfigError::new(origin, format!("line {line}: {}", error.message())));
            }
        }
        self
    }

    /// Adds every variable that begins with `TIERCAST_`: `TIERCAST_HUB__HEARTBEAT_MS` is `hub.heartbeat_ms`.
    pub fn with_env(mut self, variables: impl IntoIterator<Item = (String, String)>) -> Self {
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
                self.errors.add(ConfigError::new(&*name, problem));
            } else {
                self.set(&name, &path, &text);
            }
        }
        self
    }

    /// Sets one key, as `--set` does.
    pub fn with_set(mut self, origin: &str, path: &str, text: &str) -> Self {
        self.set(origin, path, text);
        self
    }

    /// Sets the embedded channels, as `--channel` does.
    pub fn with_channels(mut self, names: &[String]) -> Self {
        let section = |name: &String| {
            Value::Table(Table::from_iter([("name".to_owned(), Value::String(name.clone()))]))
        };
        let sections = Value::Array(names.iter().map(section).collect());
        self.add("--channel", Table::from_iter([("channels".to_owned(), sections)]));
        self
    }

    /// Whether a key was set.
    pub fn has(&self, key: &str) -> bool {
        self.layers.iter().any(|layer| layer.table.contains_key(key))
    }

    /// The configuration, or everything that is wrong with it.
    pub fn load(self) -> Result<Config, ConfigErrors> {
        let mut merged = Table::new();
        self.layers.iter().for_each(|layer| merge(&mut merged, layer.table.clone()));
        let mut config = Config::default();
        // Each layer has said this of its own; here it tells what is not to be blamed for what follows from it.
        let mut found = values::check(&merged);
        general(&merged, &mut config, &mut found);
        // What belongs together may stand in different layers: it is compared only if all of it is there.
        if !self.lacks_sections {
            channels::read(&merged, &mut config, &mut found);
            ice_servers::read(&merged, &mut config, &mut found);
        }
        for (path, number) in keys::numbers() {
            if let Some(value) = at(&merged, path).and_then(Value::as_integer) {
                (number.write)(&mut config, u64::try_from(value).unwrap_or_default());
            }
        }
        // And only if it is right in itself: a default stands where a number is wrong.
        let wrong = |key| found.concern(key) || self.errors.concern(key);
        if !self.lacks_sections && !wrong("hub.tier1_min") && !wrong("hub.tier1_max") {
            found.note(config.check_tier1());
        }
        let mut errors = self.errors;
        for error in found.iter() {
            errors.add(error.clone().within(origin(&self.layers, error.key())));
        }
        let mut config = errors.into_result(config)?;
        config.hub.ice_servers.shrink_to_fit();
        Ok(config)
    }

    fn unreadable(&mut self, error: ConfigError) {
        self.errors.add(error);
        self.lacks_sections = true;
    }

    fn set(&mut self, origin: &str, path: &str, text: &str) {
        let value = match parse(path, text) {
            Ok(value) => value,
            Err(error) => {
                self.lacks_sections |= values::is_list(path);
                return self.errors.add(error.within(Some(origin)));
            }
        };
        let parts = path.split('.').rev();
        let nested =
            parts.fold(value, |value, part| Value::Table(Table::from_iter([(part.to_owned(), value)])));
        if let Value::Table(table) = nested {
            self.add(origin, table);
        }
    }

    fn add(&mut self, origin: &str, table: Table) {
        for error in values::check(&table).iter() {
            self.errors.add(error.clone().within(Some(origin)));
        }
        self.layers.push(Layer { origin: origin.to_owned(), table });
    }
}

impl Config {
    /// Reads the file `path`, and nothing else.
    pub fn from_file(path: impl Into<PathBuf>) -> Result<Self, ConfigErrors> {
        Layers::default().with_file(path).load()
    }
}

/// Where a key was written or, if it is missing, most of what it would stand in. Of several places the last one counts.
fn origin<'a>(layers: &'a [Layer], key: &str) -> Option<&'a str> {
    let nearest = layers.iter().max_by_key(|layer| depth(&layer.table, key))?;
    (depth(&nearest.table, key) > 0).then_some(&*nearest.origin)
}

/// How many parts of a key are there, from its beginning: of `channels[2].name` one if there are two channels.
fn depth(table: &Table, key: &str) -> usize {
    let mut parts = key.split(['.', '[', ']']).filter(|part| !part.is_empty());
    let first = parts.next().and_then(|name| table.get(name));
    std::iter::successors(first, |value| match (value, parts.next()?) {
        (Value::Table(table), name) => table.get(name),
        (Value::Array(items), index) => items.get(index.parse::<usize>().ok()?),
        _ => None,
    })
    .count()
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

/// Reads a value as it is written in a variable or flag: no quotes, and commas between the texts of a list, unless it is
/// written as in a file.
fn parse(path: &str, text: &str) -> Result<Value, ConfigError> {
    let wrong = |problem: String| ConfigError::new(path, problem);
    match values::key(path).map(|key| &key.kind) {
        Some(Kind::Text) => Ok(Value::String(text.to_owned())),
        Some(Kind::Texts | Kind::TextOrTexts) if text.starts_with('[') => {
            let problem = "it begins with `[` and is no list of texts: write [\"a\", \"b\"], or a,b";
            array(text)
                .filter(|items| items.iter().all(Value::is_str))
                .map(Value::Array)
                .ok_or(wrong(problem.to_owned()))
        }
        Some(Kind::Texts | Kind::TextOrTexts) => {
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
            let problem = "write a list of sections, such as [{ name = \"events\" }]";
            array(text).map(Value::Array).ok_or(wrong(problem.to_owned()))
        }
        None => Err(values::unknown(path, path)),
    }
}

/// A list as it is written in a file.
fn array(text: &str) -> Option<Vec<Value>> {
    let mut table: Table = format!("value = {text}").parse().ok()?;
    match (table.remove("value"), table.is_empty()) {
        (Some(Value::Array(items)), true) => Some(items),
        _ => None,
    }
}

/// A path; an empty one would be the folder that the server happens to be started in.
fn path(table: &Table, name: &str, found: &mut ConfigErrors) -> Option<PathBuf> {
    let path = table.get(name).and_then(Value::as_str)?;
    if path.is_empty() {
        found.add(ConfigError::new(name, "it is empty: write a path, or leave the key out"));
    }
    Some(path.into())
}

/// The keys outside of any section.
fn general(table: &Table, config: &mut Config, found: &mut ConfigErrors) {
    let text = |name: &str| table.get(name).and_then(Value::as_str);
    let flag = |name: &str| table.get(name).and_then(Value::as_bool);
    if let Some(listen) = text("listen") {
        match listen.parse() {
            Ok(address) => config.listen = address,
            Err(_) => {
                let problem =
                    format!("`{listen}`: write an address and a port, such as 127.0.0.1:8780 or [::]:8780");
                found.add(ConfigError::new("listen", problem));
            }
        }
    }
    if let Some(Value::Array(items)) = table.get("api_keys") {
        for (index, item) in items.iter().enumerate() {
            match item.as_str().map(str::parse) {
                Some(Ok(key)) => config.api_keys.push(key),
                Some(Err(error)) => {
                    let error: ApiKeyError = error;
                    found.add(ConfigError::new(format!("api_keys[{index}]"), error.to_string()));
                }
                None => {}
            }
        }
    }
    config.keys_required = flag("keys_required").unwrap_or(config.keys_required);
    config.open_topology = flag("open_topology").unwrap_or(config.open_topology);
    config.behind_proxy = flag("behind_proxy").unwrap_or(config.behind_proxy);
    cors_origins::read(table, config, found);
    config.geo_database_file = path(table, "geo_database_file", found);
    let create = flag("signing_key_create").unwrap_or(false);
    if let Some(path) = path(table, "signing_key_file", found) {
        config.signing_key = KeySource::File { path, create };
    } else if create && !table.contains_key("signing_key_file") {
        let problem = "there is no signing_key_file to create: add one";
        found.add(ConfigError::new("signing_key_create", problem));
    }
    config.state_dir = path(table, "state_dir", found);
    config.data_dir = path(table, "data_dir", found);
    if let Some(log) = text("log") {
        config.log = log.to_owned();
        found.note(config.check_log());
    }
}
