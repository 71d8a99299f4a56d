//! API keys: who may publish. They are never printed, and compared in constant time.

use std::fmt;

use ring::hmac;

/// Fewest bytes of an API key.
const KEY_BYTES_MIN: usize = 8;

/// A secret that a publisher shows. `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(String);

/// A text that is no API key. Does not hold the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an API key has at least {KEY_BYTES_MIN} characters, all of them visible ASCII without commas")]
pub struct ApiKeyError;

impl ApiKey {
    /// A new random key of 128 bits.
    pub fn random() -> Self {
        Self(format!("{:032x}", rand::random::<u128>()))
    }

    /// The secret, for whoever must show it.
    pub fn secret(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for ApiKey {
    type Err = ApiKeyError;

    fn from_str(text: &str) -> Result<Self, ApiKeyError> {
        let allowed = |byte: u8| byte.is_ascii_graphic() && byte != b',';
        if text.len() >= KEY_BYTES_MIN && text.bytes().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(ApiKeyError)
        }
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(..)")
    }
}

/// The configured keys, ready to be compared with what a request shows.
///
/// Each is kept as its HMAC under a key of this process: `hmac::verify` takes the same time wherever the two
/// differ.
pub(crate) struct ApiKeys {
    hmac: hmac::Key,
    tags: Vec<hmac::Tag>,
}

impl ApiKeys {
    pub(crate) fn new(keys: &[ApiKey]) -> Self {
        let hmac = hmac::Key::new(hmac::HMAC_SHA256, &rand::random::<[u8; 32]>());
        let tags = keys.iter().map(|key| hmac::sign(&hmac, key.0.as_bytes())).collect();
        Self { hmac, tags }
    }

    /// Whether there is no key that could be shown.
    pub(crate) fn is_empty(&self) -> bool {
        self.tags.is_empty()
    }

    /// Whether `shown` is one of the keys. Every key is compared, whichever matches.
    pub(crate) fn contain(&self, shown: &str) -> bool {
        let matches = |tag: &&hmac::Tag| hmac::verify(&self.hmac, shown.as_bytes(), tag.as_ref()).is_ok();
        self.tags.iter().filter(matches).count() > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_recognized_and_never_printed() {
        let keys = ["first-secret", "second-secret"].map(|key| key.parse::<ApiKey>().unwrap());
        let known = ApiKeys::new(&keys);
        assert!(known.contain("first-secret") && known.contain("second-secret"));
        assert!(!known.contain("first-secre") && !known.contain(""));
        assert!(!format!("{keys:?}").contains("secret"));
    }

    #[test]
    fn short_keys_and_keys_that_no_header_holds_are_refused() {
        for text in ["", "short", "with space", "with,comma", "schlüssel"] {
            assert_eq!(text.parse::<ApiKey>(), Err(ApiKeyError), "{text}");
        }
    }
}
