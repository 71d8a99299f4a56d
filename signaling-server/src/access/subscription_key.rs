//! Subscription keys: what their holder may read, sealed by the server. Nothing is kept of them, so that every server with
//! the same signing key knows them, also after a restart.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use ring::hmac;
use serde::{Deserialize, Serialize};
use tiercast_codec::{ChannelName, Signer, SigningKey};
use tiercast_mesh::Time;

/// What the secret is made for. Nobody is shown this signature, and none of a frame or head is like it.
const PURPOSE: &[u8] = b"tiercast/1 subscription keys";

/// What a key is good for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Grant {
    pub(crate) channel: ChannelName,
    /// Which of its events; empty: all.
    #[serde(default, rename = "match", skip_serializing_if = "Vec::is_empty")]
    pub(crate) patterns: Vec<String>,
    /// Who holds it, for the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) subject: Option<String>,
    /// Until then, in seconds since the Unix epoch.
    pub(crate) until_s: u64,
}

/// Makes keys and knows them again.
pub(super) struct SubscriptionKeys(hmac::Key);

impl Grant {
    /// When it ends.
    pub(super) fn until(&self) -> Time {
        Time(self.until_s.saturating_mul(1_000_000))
    }
}

impl SubscriptionKeys {
    pub(super) fn new(signing_key: &SigningKey) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, &signing_key.sign(PURPOSE)))
    }

    pub(super) fn write(&self, grant: &Grant) -> String {
        let grant = serde_json::to_vec(grant).expect("plain data always encodes");
        let tag = hmac::sign(&self.0, &grant);
        let [grant, tag] = [&*grant, tag.as_ref()].map(|bytes| BASE64_URL_SAFE_NO_PAD.encode(bytes));
        format!("{grant}.{tag}")
    }

    /// What a key is good for, or was; nothing if it is not one of ours.
    pub(super) fn read(&self, key: &str) -> Option<Grant> {
        let (grant, tag) = key.split_once('.')?;
        let [grant, tag] = [grant, tag].map(|text| BASE64_URL_SAFE_NO_PAD.decode(text).ok());
        let grant = grant?;
        hmac::verify(&self.0, &grant, &tag?).ok()?;
        serde_json::from_slice(&grant).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant() -> Grant {
        let channel = "builds".parse().unwrap();
        Grant { channel, patterns: vec!["a.#".into()], subject: Some("page".into()), until_s: 1_790_000_000 }
    }

    fn keys(seed: u8) -> SubscriptionKeys {
        SubscriptionKeys::new(&SigningKey::from_seed(&[seed; 32]))
    }

    #[test]
    fn a_key_is_known_again_by_every_server_with_the_same_signing_key() {
        let key = keys(1).write(&grant());
        assert_eq!(keys(1).read(&key), Some(grant()));
        assert_eq!(keys(2).read(&key), None);
    }

    #[test]
    fn a_key_that_was_changed_anywhere_is_none() {
        let key = keys(1).write(&grant());
        for at in 0..key.len() {
            let mut changed = key.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            let read = keys(1).read(&changed);
            // The last character of a part has bits that stand for nothing.
            assert!(read.is_none() || read == Some(grant()), "{changed}");
        }
        for other in ["", ".", "a.b", &key[..key.len() - 4]] {
            assert_eq!(keys(1).read(other), None, "{other}");
        }
    }
}
