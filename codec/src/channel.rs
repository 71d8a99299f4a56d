//! A channel's name, and the number that stands for it in frames.

use std::{fmt, str::FromStr, sync::Arc};

use ring::digest;
use serde::{Deserialize, Serialize};

use crate::limits::CHANNEL_NAME_BYTES_MAX;

/// The name of a channel: 1 to 128 of `A-Z a-z 0-9 . _ -`, so that it stands in a URL as it is. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ChannelName {
    text: Arc<str>,
    id: ChannelId,
}

/// Stands for the channel's name in frame headers: the first four bytes of SHA-256 of the name.
///
/// The same on every server. Two channels of one server that share a number are refused at start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ChannelId(pub u32);

/// A text that cannot name a channel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` cannot name a channel: use 1 to 128 of A-Z a-z 0-9 . _ -")]
pub struct ChannelNameError(String);

impl ChannelName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The number that stands for it.
    pub fn id(&self) -> ChannelId {
        self.id
    }
}

impl ChannelId {
    fn of(name: &str) -> Self {
        let hash = digest::digest(&digest::SHA256, name.as_bytes());
        let first = hash.as_ref()[..4].try_into().expect("SHA-256 has 32 bytes");
        Self(u32::from_be_bytes(first))
    }
}

impl FromStr for ChannelName {
    type Err = ChannelNameError;

    fn from_str(text: &str) -> Result<Self, ChannelNameError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if (1..=CHANNEL_NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self { text: text.into(), id: ChannelId::of(text) })
        } else {
            Err(ChannelNameError(text.chars().take(64).collect()))
        }
    }
}

impl TryFrom<String> for ChannelName {
    type Error = ChannelNameError;

    fn try_from(text: String) -> Result<Self, ChannelNameError> {
        text.parse()
    }
}

impl From<ChannelName> for String {
    fn from(name: ChannelName) -> String {
        name.text.as_ref().to_owned()
    }
}

impl fmt::Display for ChannelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
