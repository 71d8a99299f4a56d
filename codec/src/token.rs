//! Fixed-length byte strings in messages: msgpack `bin` on the wire, hexadecimal in JSON.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Bytes of a fixed length.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FixedBytes<const N: usize>(pub [u8; N]);

/// Shown once by a child to the parent that the hub gave it; nobody else knows it.
pub type Token = FixedBytes<16>;

/// A public key in a message.
pub type KeyBytes = FixedBytes<32>;

impl<const N: usize> FixedBytes<N> {
    /// These bytes.
    pub fn new(bytes: [u8; N]) -> Self {
        Self(bytes)
    }
}

impl<const N: usize> Default for FixedBytes<N> {
    fn default() -> Self {
        Self([0; N])
    }
}

impl<const N: usize> fmt::Display for FixedBytes<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl<const N: usize> fmt::Debug for FixedBytes<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Tokens are secrets: enough to tell two apart, too little to use.
        write!(f, "{:02x}{:02x}..", self.0[0], self.0[1])
    }
}

impl<const N: usize> Serialize for FixedBytes<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_bytes(&self.0)
        }
    }
}

impl<'de, const N: usize> Deserialize<'de> for FixedBytes<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Visitor)
    }
}

struct Visitor<const N: usize>;

impl<const N: usize> de::Visitor<'_> for Visitor<N> {
    type Value = FixedBytes<N>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{N} bytes")
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
        bytes.try_into().map(FixedBytes).map_err(|_| E::invalid_length(bytes.len(), &self))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        let digits = |at: usize| text.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
        // `from_str_radix` would take a sign for a digit.
        let is_hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let bytes: Option<Vec<u8>> = (0..text.len()).step_by(2).map(digits).collect();
        let bytes = bytes.filter(|_| is_hex);
        self.visit_bytes(&bytes.ok_or_else(|| E::custom("not hexadecimal"))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_hexadecimal_in_json() {
        let token = FixedBytes([0x00, 0x0f, 0xff]);
        assert_eq!(serde_json::to_string(&token).unwrap(), "\"000fff\"");
        let read = |text: &str| serde_json::from_value::<FixedBytes<3>>(text.into()).ok();
        assert_eq!(read("000fff"), Some(token));
        for wrong in
            ["", "000ff", "000fff0", "000fff00", "+00fff", "+0+f+f", "00 fff", "0x0fff", "00\u{e4}fff"]
        {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn tokens_are_not_printed_whole() {
        assert_eq!(format!("{:?}", FixedBytes([0xab; 16])), "abab..");
    }
}
