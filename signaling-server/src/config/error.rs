//! What is wrong with a configuration: every key at fault, and what to write instead.

use std::fmt;

/// One wrong key or value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// Where the key was written, if that is known.
    origin: Option<String>,
    key: String,
    problem: String,
}

impl ConfigError {
    pub(crate) fn new(key: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { origin: None, key: key.into(), problem: problem.into() }
    }

    /// Says where the key was written, if that is known.
    pub(crate) fn within(self, origin: Option<&str>) -> Self {
        Self { origin: origin.map(str::to_owned), ..self }
    }

    pub(crate) fn key(&self) -> &str {
        &self.key
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(origin) = &self.origin {
            write!(f, "{origin}: ")?;
        }
        write!(f, "{}: {}", self.key, self.problem)
    }
}

impl std::error::Error for ConfigError {}

/// Everything that is wrong with a configuration. Nothing was started.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConfigErrors(Vec<ConfigError>);

impl ConfigErrors {
    pub(crate) fn add(&mut self, error: ConfigError) {
        if !self.0.contains(&error) {
            self.0.push(error);
        }
    }

    /// Adds what is wrong in `result`, if something is.
    pub(crate) fn note(&mut self, result: Result<(), impl Into<ConfigErrors>>) {
        if let Err(errors) = result {
            self.extend(errors.into());
        }
    }

    /// The value, or nothing: then what is wrong is said of `key`.
    pub(crate) fn keep_right<T>(
        &mut self,
        key: impl Into<String>,
        result: Result<T, impl fmt::Display>,
    ) -> Option<T> {
        result.map_err(|error| self.add(ConfigError::new(key, error.to_string()))).ok()
    }

    pub(crate) fn extend(&mut self, more: ConfigErrors) {
        more.0.into_iter().for_each(|error| self.add(error));
    }

    /// Whether something is wrong with this key, or with a part of this section.
    pub(crate) fn concern(&self, key: &str) -> bool {
        let is_part = |rest: &str| rest.is_empty() || rest.starts_with(['.', '[']);
        self.0.iter().any(|error| error.key.strip_prefix(key).is_some_and(is_part))
    }

    pub(crate) fn into_result<T>(self, value: T) -> Result<T, ConfigErrors> {
        if self.0.is_empty() { Ok(value) } else { Err(self) }
    }

    /// The errors, at least one.
    pub fn iter(&self) -> impl Iterator<Item = &ConfigError> {
        self.0.iter()
    }
}

impl From<ConfigError> for ConfigErrors {
    fn from(error: ConfigError) -> Self {
        Self(vec![error])
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.0.iter().map(ConfigError::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for ConfigErrors {}
