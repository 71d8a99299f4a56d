//! The folder `data_dir`: who uses it, and in which format it is written.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::StoreError;

/// The format that this version reads and writes.
const FORMAT: &str = "tiercast events, format 1\n";

/// A folder that this process alone uses, for as long as this lives. The kernel gives it free when the process ends, however
/// that comes about.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    pub(super) path: PathBuf,
    _lock: Arc<File>,
}

impl Folder {
    /// Takes the folder, which is made if it is not there.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        fs::create_dir_all(path).map_err(failed(path))?;
        let file = path.join("lock");
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&file);
        let lock = lock.map_err(failed(&file))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => StoreError::InUse { path: path.to_owned() },
            TryLockError::Error(reason) => failed(&file)(reason),
        })?;
        check_format(path)?;
        Ok(Self { path: path.to_owned(), _lock: Arc::new(lock) })
    }
}

/// Checks the format, or writes it if nothing is written yet.
fn check_format(folder: &Path) -> Result<(), StoreError> {
    let path = folder.join("format");
    match fs::read(&path) {
        Ok(found) if found == FORMAT.as_bytes() => Ok(()),
        // A start that was interrupted may have left a part of it.
        Ok(found) if !FORMAT.as_bytes().starts_with(&found) => {
            let found = String::from_utf8_lossy(&found[..found.len().min(80)]).trim().to_owned();
            Err(StoreError::UnknownFormat { path, found })
        }
        Err(reason) if reason.kind() != io::ErrorKind::NotFound => Err(failed(&path)(reason)),
        Ok(_) | Err(_) => {
            let write = || {
                fs::write(&path, FORMAT)?;
                File::open(&path)?.sync_all()?;
                sync_folder(folder)
            };
            write().map_err(failed(&path))
        }
    }
}

/// A file's entry is on the disk when its folder is.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// What could not be read or written.
pub(super) fn failed(path: &Path) -> impl Fn(io::Error) -> StoreError {
    let path = path.to_owned();
    move |reason| StoreError::Io { path: path.clone(), reason }
}
