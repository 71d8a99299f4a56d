//! What was written: looked up, and checked against the table of keys (unknown names, wrong types, numbers out of
//! bounds).

use toml::{Table, Value};

use super::{
    error::{ConfigError, ConfigErrors},
    keys::{KEYS, Key, Kind},
    nearest::nearest,
};

/// Checks everything in `table`. Errors name the key as it was written.
pub(super) fn check(table: &Table) -> ConfigErrors {
    let mut errors = ConfigErrors::default();
    check_table(table, Path::default(), &mut errors);
    errors
}

/// The known key with this path.
pub(super) fn key(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

/// Whether `path` is a list of sections, such as `channels`.
pub(super) fn is_list(path: &str) -> bool {
    KEYS.iter().any(|key| key.path.strip_prefix(path).is_some_and(|rest| rest.starts_with("[].")))
}

fn is_section(path: &str) -> bool {
    KEYS.iter().any(|key| key.path.strip_prefix(path).is_some_and(|rest| rest.starts_with('.')))
}

/// The error for a key that does not exist.
pub(super) fn unknown(pattern: &str, shown: &str) -> ConfigError {
    let hint = match nearest(pattern, KEYS.iter().map(|key| key.path)) {
        Some(path) => format!("; the nearest known key is `{path}`"),
        None => String::new(),
    };
    ConfigError::new(shown, format!("unknown key{hint}"))
}

/// The value of a key within a table.
pub(super) fn at<'a>(table: &'a Table, path: &str) -> Option<&'a Value> {
    let (sections, name) = path.rsplit_once('.').unwrap_or(("", path));
    let mut parts = sections.split('.').filter(|part| !part.is_empty());
    let section = parts.try_fold(table, |table, part| table.get(part)?.as_table())?;
    section.get(name)
}

/// The sections of a list, and where each is written.
pub(super) fn sections<'a>(
    table: &'a Table,
    name: &'a str,
) -> impl Iterator<Item = (String, &'a Table)> + use<'a> {
    let list = table.get(name).and_then(Value::as_array).into_iter().flatten();
    list.enumerate().filter_map(move |(index, value)| Some((format!("{name}[{index}]"), value.as_table()?)))
}

/// What a section has to hold. Says so if it is missing, or an empty list.
pub(super) fn required<'a>(
    place: &str,
    section: &'a Table,
    key: &str,
    example: &str,
    found: &mut ConfigErrors,
) -> Option<&'a Value> {
    let value = section.get(key).filter(|value| value.as_array().is_none_or(|list| !list.is_empty()));
    if value.is_none() {
        found.add(ConfigError::new(format!("{place}.{key}"), format!("it is missing: write {example}")));
    }
    value
}

/// A text that a section has to hold, and its place. Of another type `check` has told.
pub(super) fn required_text<'a>(
    place: &str,
    section: &'a Table,
    key: &str,
    example: &str,
    found: &mut ConfigErrors,
) -> Option<(String, &'a str)> {
    let text = required(place, section, key, example, found)?.as_str()?;
    Some((format!("{place}.{key}"), text))
}

/// A key's name in the table of keys, and as it is shown.
#[derive(Clone, Default)]
struct Path {
    pattern: String,
    shown: String,
}

impl Path {
    fn child(&self, name: &str) -> Self {
        let join =
            |parent: &str| if parent.is_empty() { name.to_owned() } else { format!("{parent}.{name}") };
        Self { pattern: join(&self.pattern), shown: join(&self.shown) }
    }

    fn element(&self, index: usize) -> Self {
        Self { pattern: format!("{}[]", self.pattern), shown: format!("{}[{index}]", self.shown) }
    }
}

fn check_table(table: &Table, path: Path, errors: &mut ConfigErrors) {
    for (name, value) in table {
        let path = path.child(name);
        if let Some(key) = key(&path.pattern) {
            errors.note(check_value(&key.kind, value, &path.shown));
        } else if is_section(&path.pattern) {
            match value {
                Value::Table(table) => check_table(table, path, errors),
                other => errors.add(wrong_type(&path.shown, "a section", other)),
            }
        } else if is_list(&path.pattern) {
            check_list(value, &path, errors);
        } else {
            errors.add(unknown(&path.pattern, &path.shown));
        }
    }
}

fn check_list(value: &Value, path: &Path, errors: &mut ConfigErrors) {
    let Value::Array(elements) = value else {
        let what = format!("sections, each headed [[{}]]", path.shown);
        return errors.add(wrong_type(&path.shown, &what, value));
    };
    for (index, element) in elements.iter().enumerate() {
        let path = path.element(index);
        match element {
            Value::Table(table) => check_table(table, path, errors),
            other => errors.add(wrong_type(&path.shown, "a section in braces, { KEY = VALUE, ... }", other)),
        }
    }
}

fn check_value(kind: &Kind, value: &Value, shown: &str) -> Result<(), ConfigError> {
    match (kind, value) {
        (Kind::Text | Kind::TextOrTexts, Value::String(_)) | (Kind::Flag, Value::Boolean(_)) => Ok(()),
        (Kind::Texts | Kind::TextOrTexts, Value::Array(items)) if items.iter().all(Value::is_str) => Ok(()),
        (Kind::Number(number), Value::Integer(value)) => number.check(shown, non_negative(shown, *value)?),
        (Kind::NumberEach(number), Value::Integer(value)) => {
            number.check(shown, non_negative(shown, *value)?)
        }
        (Kind::Text, _) => Err(wrong_type(shown, "a text in quotes", value)),
        (Kind::Texts, _) => Err(wrong_type(shown, "a list of texts, such as [\"a\", \"b\"]", value)),
        (Kind::TextOrTexts, _) => Err(wrong_type(shown, "a text in quotes, or a list of texts", value)),
        (Kind::Flag, _) => Err(wrong_type(shown, "true or false", value)),
        (Kind::Number(_) | Kind::NumberEach(_), _) => Err(wrong_type(
            shown,
            "a whole number without quotes or unit (the key's ending is the unit)",
            value,
        )),
    }
}

fn non_negative(shown: &str, value: i64) -> Result<u64, ConfigError> {
    value
        .try_into()
        .map_err(|_| ConfigError::new(shown, format!("{value} is negative: use a positive number")))
}

/// Says the type only: the value may be a secret at the wrong place.
fn wrong_type(shown: &str, expected: &str, found: &Value) -> ConfigError {
    let found = match found {
        Value::String(_) => "a text",
        Value::Integer(_) => "a whole number",
        Value::Float(_) => "a fraction",
        Value::Boolean(_) => "true or false",
        Value::Datetime(_) => "a date",
        Value::Array(_) => "a list",
        Value::Table(_) => "a section",
    };
    ConfigError::new(shown, format!("found {found}: write {expected}"))
}
