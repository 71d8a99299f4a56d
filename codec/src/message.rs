//! How control and link messages are encoded: msgpack maps whose field `type` names the message.

use serde::{
    Deserialize, Serialize,
    de::{DeserializeOwned, IgnoredAny},
};

use crate::{DecodeError, limits::CONTROL_BYTES_MAX, range};

/// A family of messages, told apart by the field `type`.
pub trait WireMessage: Serialize + DeserializeOwned {
    /// The value of `type` for each message of the family.
    const TYPES: &'static [&'static str];

    /// The message as bytes.
    fn encode(&self) -> bytes::Bytes {
        rmp_serde::to_vec_named(self).expect("plain data always encodes").into()
    }

    /// Reads a message. Fields that this build does not know are ignored.
    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() > CONTROL_BYTES_MAX {
            let (value, max) = (bytes.len() as u64, CONTROL_BYTES_MAX as u64);
            return Err(DecodeError::TooLarge { field: "message", value, max });
        }
        // Serde would take an array of the fields' values, too.
        if !bytes.first().is_some_and(|marker| is_map(*marker)) {
            return Err(DecodeError::BadMessage("not a map".into()));
        }
        let envelope: Envelope = read(bytes)?;
        if !Self::TYPES.contains(&envelope.kind.as_str()) {
            return Err(DecodeError::UnknownMessage {
                kind: envelope.kind.chars().take(64).collect(),
                id: envelope.id.known(),
            });
        }
        read(bytes)
    }
}

/// Whether a msgpack map starts with this byte: fixmap, map16 or map32.
pub(crate) fn is_map(marker: u8) -> bool {
    matches!(marker, 0x80..=0x8f | 0xde | 0xdf)
}

/// What is read of any message, to know which one it is and how to answer if it is none.
#[derive(Deserialize)]
struct Envelope {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    id: AnyId,
}

/// The `id` of a message that may be of a type that nobody knows: whatever else it holds is not an id.
#[derive(Default, Deserialize)]
#[serde(untagged)]
enum AnyId {
    Id(#[serde(deserialize_with = "range::number")] u64),
    Other(IgnoredAny),
    #[default]
    None,
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    let mut rest = bytes;
    let mut decoder = rmp_serde::Deserializer::new(&mut rest);
    decoder.set_max_depth(8);
    let value = T::deserialize(&mut decoder).map_err(|error| DecodeError::BadMessage(error.to_string()))?;
    if rest.is_empty() { Ok(value) } else { Err(DecodeError::TrailingBytes) }
}

impl AnyId {
    fn known(self) -> Option<u64> {
        match self {
            Self::Id(id) => Some(id),
            Self::Other(_) | Self::None => None,
        }
    }
}

/// Declares a family of messages: an enum with one struct per message, tagged by its wire name.
macro_rules! message_family {
    (
        $(#[$meta:meta])*
        pub enum $family:ident {
            $($(#[$variant_meta:meta])* $variant:ident($body:ty) = $name:literal,)+
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        #[serde(tag = "type")]
        pub enum $family {
            $($(#[$variant_meta])* #[serde(rename = $name)] $variant($body),)+
        }

        impl $crate::WireMessage for $family {
            const TYPES: &'static [&'static str] = &[$($name),+];
        }
    };
}

pub(crate) use message_family;
