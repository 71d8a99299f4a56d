//! What is remembered of streams from one start of the server to the next: the last message that was handed over, so
//! that what a stream loses while no server runs is noticed by the next one. A file in the folder `state_dir`.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::time::{MissedTickBehavior, interval};
use tracing::warn;

use super::{lifetime::Lifetime, seen::Seen};
use crate::state::{StateError, StateFile};

/// The file.
const NAME: &str = "streams.json";

/// How often what has changed is written: what a stream loses that was younger may be taken for nothing. One file for
/// all channels, so that this is one write to the disk.
const KEEP_EVERY: Duration = Duration::from_secs(1);

/// What is known of one stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Known {
    pub(super) lifetime: Lifetime,
    pub(super) seen: Seen,
}

/// What is known of all streams, by channel. The default has no folder and remembers nothing.
#[derive(Debug, Default)]
pub(super) struct Memory {
    file: Option<StateFile>,
    known: Mutex<Changing>,
}

#[derive(Debug, Default)]
struct Changing {
    by_channel: BTreeMap<String, Known>,
    is_changed: bool,
}

impl Memory {
    /// What is kept in a folder.
    pub(super) fn load(dir: &Path) -> Result<Self, StateError> {
        let file = StateFile::new(dir, NAME);
        let read = |text: &str| serde_json::from_str(text).ok();
        let by_channel = file.read("what the server wrote", read)?.unwrap_or_default();
        Ok(Self { file: Some(file), known: Mutex::new(Changing { by_channel, is_changed: false }) })
    }

    pub(super) fn of(&self, channel: &str) -> Option<Known> {
        self.lock().by_channel.get(channel).copied()
    }

    pub(super) fn set(&self, channel: &str, known: Known) {
        if self.file.is_none() {
            return;
        }
        let mut changing = self.lock();
        match changing.by_channel.get_mut(channel) {
            Some(kept) => *kept = known,
            None => _ = changing.by_channel.insert(channel.to_owned(), known),
        }
        changing.is_changed = true;
    }

    pub(super) fn forget(&self, channel: &str) {
        let mut changing = self.lock();
        changing.is_changed |= changing.by_channel.remove(channel).is_some();
    }

    /// Writes what has changed, again and again.
    pub(super) async fn keep(&self) {
        let mut often = interval(KEEP_EVERY);
        often.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            often.tick().await;
            self.save().await;
        }
    }

    /// Writes what has changed. What cannot be written is said, and tried again with what comes next.
    pub(super) async fn save(&self) {
        let Some(file) = self.file.clone() else { return };
        let text = {
            let mut changing = self.lock();
            if !std::mem::take(&mut changing.is_changed) {
                return;
            }
            serde_json::to_string_pretty(&changing.by_channel).expect("numbers and names")
        };
        let written = tokio::task::spawn_blocking(move || file.write(&text)).await;
        match written {
            Ok(Ok(())) => {}
            Ok(Err(error)) => warn!(%error, "what streams have lost may not be noticed by the next start"),
            Err(error) => warn!(%error, "what streams have lost may not be noticed by the next start"),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Changing> {
        // Whole at any time, whoever panicked.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_known_is_known_to_the_next_start() {
        let folder = tempfile::tempdir().unwrap();
        let known = Known {
            lifetime: Lifetime { stream: 7, epoch: 8 },
            seen: Seen { epoch: 8, offset: 41, hash: u64::MAX },
        };
        let memory = Memory::load(folder.path()).unwrap();
        assert_eq!(memory.of("builds"), None);
        memory.set("builds", known);
        memory.set("other", known);
        memory.forget("other");
        memory.save().await;
        let next = Memory::load(folder.path()).unwrap();
        assert_eq!((next.of("builds"), next.of("other")), (Some(known), None));
        let without = Memory::default();
        without.set("builds", known);
        without.save().await;
        assert_eq!(without.of("builds"), None);
    }

    #[test]
    fn a_damaged_file_is_named_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(NAME), "{").unwrap();
        let error = Memory::load(folder.path()).unwrap_err().to_string();
        assert!(error.contains(NAME) && error.contains("delete it"), "{error}");
    }
}
