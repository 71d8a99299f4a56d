//! What this server has bound, or may have, as a file in the folder `state_dir`: what a server that was killed has left
//! bound is unbound by its next start.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};
use tiercast_codec::Pattern;
use tracing::warn;

use super::super::names::Exchange;
use crate::state::{StateError, StateFile};

/// The file.
const NAME: &str = "bindings.json";

/// What is bound by this server. The default has no folder: its server has another name at each start.
#[derive(Debug)]
pub(super) struct Ledger {
    file: Option<StateFile>,
    server: String,
    bindings: Mutex<Bindings>,
    /// One writes at a time.
    writing: tokio::sync::Mutex<()>,
}

/// Patterns by exchange.
type Bindings = BTreeMap<String, BTreeSet<String>>;

#[derive(Debug, Serialize, Deserialize)]
struct Page {
    /// What the server's bindings are told by from those of others.
    server: String,
    bindings: Bindings,
}

impl Default for Ledger {
    fn default() -> Self {
        let server = format!("{:016x}", rand::random::<u64>());
        Self::of(None, Page { server, bindings: Bindings::new() })
    }
}

impl Ledger {
    /// What is kept in a folder.
    pub(super) fn load(dir: &Path) -> Result<Self, StateError> {
        let file = StateFile::new(dir, NAME);
        let page = file.read("what the server wrote", |text| serde_json::from_str(text).ok())?;
        let new = Self::default();
        Ok(match page {
            Some(page) => Self::of(Some(file), page),
            None => Self { file: Some(file), ..new },
        })
    }

    fn of(file: Option<StateFile>, Page { server, bindings }: Page) -> Self {
        Self { file, server, bindings: Mutex::new(bindings), writing: tokio::sync::Mutex::default() }
    }

    /// What the server's bindings are told by from those of others.
    pub(super) fn server(&self) -> &str {
        &self.server
    }

    /// What may still be bound since an earlier start.
    pub(super) fn left(&self) -> Vec<(Exchange, Vec<Pattern>)> {
        let bindings = self.lock();
        let read = |(exchange, patterns): (&String, &BTreeSet<String>)| {
            let patterns = patterns.iter().filter_map(|pattern| pattern.parse().ok()).collect();
            Some((exchange.parse().ok()?, patterns))
        };
        bindings.iter().filter_map(read).collect()
    }

    /// Notes what may be bound of an exchange, before it is.
    pub(super) async fn note(&self, exchange: &Exchange, patterns: BTreeSet<String>) {
        let known = self.lock().insert(exchange.to_string(), patterns.clone());
        if known.as_ref() != Some(&patterns) {
            self.save().await;
        }
    }

    /// Nothing of this exchange is ours any more.
    pub(super) async fn strike(&self, exchange: &Exchange) {
        let known = self.lock().remove(exchange.as_str());
        if known.is_some() {
            self.save().await;
        }
    }

    async fn save(&self) {
        let Some(file) = self.file.clone() else { return };
        let _alone = self.writing.lock().await;
        let page = Page { server: self.server.clone(), bindings: self.lock().clone() };
        let text = serde_json::to_string_pretty(&page).expect("names and patterns");
        let written = tokio::task::spawn_blocking(move || file.write(&text)).await;
        let error = match written {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        warn!(error, "if this server is killed, what it has bound stays bound");
    }

    fn lock(&self) -> MutexGuard<'_, Bindings> {
        // Whole at any time, whoever panicked.
        self.bindings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_bound_is_known_to_the_next_start_under_the_same_name() {
        let folder = tempfile::tempdir().unwrap();
        let (ci, other): (Exchange, Exchange) = ("ci".parse().unwrap(), "other".parse().unwrap());
        let first = Ledger::load(folder.path()).unwrap();
        assert!(first.left().is_empty());
        first.note(&ci, ["a.#".to_owned()].into()).await;
        first.note(&other, BTreeSet::new()).await;
        first.strike(&other).await;
        let next = Ledger::load(folder.path()).unwrap();
        assert_eq!(next.server(), first.server());
        assert_eq!(next.left(), [(ci, vec!["a.#".parse().unwrap()])]);
        assert_ne!(Ledger::default().server(), first.server());
    }

    #[test]
    fn a_damaged_file_is_named_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(NAME), "{}").unwrap();
        let error = Ledger::load(folder.path()).unwrap_err().to_string();
        assert!(error.contains(NAME) && error.contains("delete it"), "{error}");
    }
}
