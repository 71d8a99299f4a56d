//! Where the key comes from that signs frames and heads.

use std::{
    fmt, fs,
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use tiercast_codec::{FixedBytes, SigningKey};

/// Where the signing key comes from.
#[derive(Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum KeySource {
    /// A new one at each start. Peers learn it from `welcome`, so servers need not share it.
    #[default]
    Random,
    /// This secret seed.
    Seed([u8; 32]),
    /// A file that holds the seed as 64 hexadecimal digits.
    File {
        /// The file.
        path: PathBuf,
        /// Whether to create it, with a random seed and mode 600, if it is not there.
        create: bool,
    },
}

/// Why there is no signing key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SigningKeyError {
    /// The file cannot be read or created.
    #[error("signing_key_file {path}: {reason}: correct the path, or set signing_key_create = true")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why. No `source`: whoever prints the chain of causes would say it twice.
        reason: io::Error,
    },
    /// The file holds something else. What it holds is not shown.
    #[error(
        "signing_key_file {path}: expected 64 hexadecimal digits: delete it and set signing_key_create = true"
    )]
    Malformed {
        /// The file.
        path: PathBuf,
    },
}

impl KeySource {
    /// Gets the key.
    pub(crate) fn load(&self) -> Result<SigningKey, SigningKeyError> {
        let seed = match self {
            KeySource::Random => rand::random(),
            KeySource::Seed(seed) => *seed,
            KeySource::File { path, create } => read(path, *create)?,
        };
        Ok(SigningKey::from_seed(&seed))
    }
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeySource::Random => f.write_str("random per start"),
            KeySource::Seed(_) => f.write_str("given"),
            KeySource::File { path, .. } => write!(f, "from {}", path.display()),
        }
    }
}

impl fmt::Debug for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeySource({self})")
    }
}

fn read(path: &Path, create: bool) -> Result<[u8; 32], SigningKeyError> {
    let failed = |reason| SigningKeyError::Io { path: path.to_owned(), reason };
    if create && !path.exists() {
        // `create_new`: of two servers that start at once, one creates it and the other reads it.
        let mut options = fs::OpenOptions::new();
        match options.write(true).create_new(true).mode(0o600).open(path) {
            Ok(mut file) => {
                let seed: [u8; 32] = rand::random();
                writeln!(file, "{}", FixedBytes(seed)).and_then(|()| file.sync_all()).map_err(failed)?;
                return Ok(seed);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed(error)),
        }
    }
    let text = fs::read_to_string(path).map_err(failed)?;
    let mode = fs::metadata(path).map_err(failed)?.permissions().mode();
    if mode & 0o077 != 0 {
        tracing::warn!(path = %path.display(), "others can read the signing key: chmod 600");
    }
    parse(text.trim()).ok_or_else(|| SigningKeyError::Malformed { path: path.to_owned() })
}

fn parse(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let digits = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).ok();
    let bytes: Option<Vec<u8>> = (0..64).step_by(2).map(digits).collect();
    bytes?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use tiercast_codec::Signer;

    use super::*;

    #[test]
    fn a_key_file_is_created_once_for_its_owner_only_and_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let source = KeySource::File { path: path.clone(), create: true };
        let key = source.load().unwrap().public_key();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(source.load().unwrap().public_key(), key);
        let reader = KeySource::File { path, create: false };
        assert_eq!(reader.load().unwrap().public_key(), key);
    }

    #[test]
    fn a_missing_or_damaged_key_file_says_what_to_do_and_not_what_it_holds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let source = KeySource::File { path: path.clone(), create: false };
        assert!(source.load().unwrap_err().to_string().contains("signing_key_create"));
        fs::write(&path, "c0ffee").unwrap();
        let error = source.load().unwrap_err().to_string();
        assert!(error.contains("64 hexadecimal digits") && !error.contains("c0ffee"), "{error}");
    }

    #[test]
    fn two_random_keys_differ() {
        let key = || KeySource::Random.load().unwrap().public_key();
        assert_ne!(key(), key());
    }
}
