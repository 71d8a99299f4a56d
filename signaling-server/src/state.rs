//! What a server remembers from one start to the next, as files in the folder `state_dir`: the last epoch of each embedded
//! channel, so that the next one is later whatever the clock says; and what it had of streams
//! (`source/amqp/memory.rs`).

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use tiercast_codec::{ChannelName, Epoch, NUMBER_MAX};

use crate::epoch::new_epoch_after;

/// Why the state cannot be kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// The folder or a file in it cannot be read or written.
    #[error(
        "state_dir: {path}: {reason}: let the server write there, choose another folder, or leave state_dir out"
    )]
    Io {
        /// What cannot be read or written.
        path: PathBuf,
        /// Why. No `source`: whoever prints the chain of causes would say it twice.
        reason: io::Error,
    },
    /// A file holds something else.
    #[error(
        "state_dir: {path}: expected {expected}: restore the file, or delete it, and the server starts without that memory"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What should be in it.
        expected: &'static str,
    },
}

/// The epoch of an embedded channel that starts now: by the clock, and later than the last one that is kept in `dir`. It is
/// kept before it is used. Without a folder nothing is kept.
pub(crate) fn next_epoch(dir: Option<&Path>, channel: &ChannelName) -> Result<Epoch, StateError> {
    let Some(dir) = dir else { return Ok(new_epoch_after(None)) };
    let file = StateFile::new(dir, &format!("{channel}.epoch"));
    // Of the last number there is, none is later.
    let read = |text: &str| text.trim().parse().ok().filter(|epoch| *epoch < NUMBER_MAX);
    let epoch = new_epoch_after(file.read("an epoch, a number below 2^53 - 1", read)?);
    file.write(&format!("{epoch}\n"))?;
    Ok(epoch)
}

/// A file in the folder of the state.
#[derive(Debug, Clone)]
pub(crate) struct StateFile {
    dir: PathBuf,
    path: PathBuf,
}

impl StateFile {
    pub(crate) fn new(dir: &Path, name: &str) -> Self {
        Self { dir: dir.to_owned(), path: dir.join(name) }
    }

    /// What is in it, if it is there.
    pub(crate) fn read<T>(
        &self,
        expected: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, StateError> {
        let path = &self.path;
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => String::new(),
            Err(reason) => return Err(StateError::Io { path: path.clone(), reason }),
        };
        parse(&text).map(Some).ok_or_else(|| StateError::Damaged { path: path.clone(), expected })
    }

    /// Writes another file and puts it in the place of the old one, so that there is always a whole one.
    pub(crate) fn write(&self, text: &str) -> Result<(), StateError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |reason| StateError::Io { path, reason }
        };
        let (dir, path) = (&self.dir, &self.path);
        fs::create_dir_all(dir).map_err(failed(dir))?;
        let mut new = path.clone().into_os_string();
        new.push(".new");
        let new = PathBuf::from(new);
        let written = fs::File::create(&new).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        });
        written.map_err(failed(&new))?;
        fs::rename(&new, path).map_err(failed(path))?;
        // The folder's entry is on the disk when the folder is.
        fs::File::open(dir).and_then(|dir| dir.sync_all()).map_err(failed(dir))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::epoch::new_epoch;

    fn channel() -> ChannelName {
        "builds.v1".parse().unwrap()
    }

    #[test]
    fn each_start_is_a_later_epoch_whatever_the_clock_says() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("made/if/it/is/not/there");
        let first = next_epoch(Some(&dir), &channel()).unwrap();
        let future = new_epoch() + (1 << 40);
        fs::write(dir.join("builds.v1.epoch"), format!("{future}\n")).unwrap();
        assert_eq!(next_epoch(Some(&dir), &channel()).unwrap(), future + 1);
        assert_eq!(next_epoch(Some(&dir), &channel()).unwrap(), future + 2);
        let other = next_epoch(Some(&dir), &"other".parse().unwrap()).unwrap();
        assert!((first..future).contains(&other), "each channel has its own");
    }

    #[test]
    fn a_damaged_file_and_a_folder_that_cannot_be_written_name_the_key_and_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("builds.v1.epoch");
        for damage in ["", "soon", "-3", "9007199254740991"] {
            fs::write(&path, damage).unwrap();
            let error = next_epoch(Some(folder.path()), &channel()).unwrap_err().to_string();
            assert!(error.contains("state_dir") && error.contains("delete it"), "{error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), damage, "left as it is");
        }
        fs::write(&path, [0xff, 0xfe]).unwrap();
        assert!(matches!(next_epoch(Some(folder.path()), &channel()), Err(StateError::Damaged { .. })));
        let file_in_the_way = path.join("below");
        let error = next_epoch(Some(&file_in_the_way), &channel()).unwrap_err().to_string();
        assert!(error.contains("state_dir") && error.contains("choose another folder"), "{error}");
    }
}
