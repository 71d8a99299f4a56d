//! Where one is in a channel: epoch and offset, and their text form.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// An event's place in its channel. `-1` ([`BEFORE_FIRST`]) is the place before the first event.
pub type Offset = i64;

/// The lifetime of a channel's numbering. A later numbering has a larger epoch wherever clocks allow.
pub type Epoch = u64;

/// The offset of one who has nothing yet.
pub const BEFORE_FIRST: Offset = -1;

/// Offsets and epochs stay at or below this, 2^53 - 1, so that every language holds them exactly.
pub const NUMBER_MAX: u64 = (1 << 53) - 1;

/// "I have everything up to and including `offset`, in the numbering `epoch`."
///
/// Positions order by epoch first. The text form, used in URLs, SSE ids and JSON, is
/// `<epoch>-<offset>`, both decimal: `7331243921334-41`; `7331243921334--1` is before the first event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Position {
    /// Which numbering.
    pub epoch: Epoch,
    /// Last offset taken.
    pub offset: Offset,
}

/// A position as it comes in a message, before its numbers are checked.
#[derive(Deserialize)]
struct Unchecked {
    epoch: Epoch,
    offset: Offset,
}

impl TryFrom<Unchecked> for Position {
    type Error = &'static str;

    fn try_from(Unchecked { epoch, offset }: Unchecked) -> Result<Self, Self::Error> {
        let position = Self::new(epoch, offset);
        if position.in_range() { Ok(position) } else { Err("a position beyond 2^53 - 1 or before -1") }
    }
}

impl Position {
    /// A position from its parts.
    pub fn new(epoch: Epoch, offset: Offset) -> Self {
        Self { epoch, offset }
    }

    /// Whether both numbers are in the range that the format allows.
    pub fn in_range(&self) -> bool {
        self.epoch <= NUMBER_MAX && (BEFORE_FIRST..=NUMBER_MAX as i64).contains(&self.offset)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.offset)
    }
}

/// A text that is not a position.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a position: expected EPOCH-OFFSET, two decimal numbers below 2^53, such as 7331243921334-41"
)]
pub struct PositionError(String);

impl FromStr for Position {
    type Err = PositionError;

    fn from_str(text: &str) -> Result<Self, PositionError> {
        let error = || PositionError(text.chars().take(64).collect());
        let canonical = |part: &str, number: i128| part == number.to_string();
        let (epoch_text, offset_text) = text.split_once('-').ok_or_else(error)?;
        let epoch: u64 = epoch_text.parse().map_err(|_| error())?;
        let offset: i64 = offset_text.parse().map_err(|_| error())?;
        let position = Position::new(epoch, offset);
        if canonical(epoch_text, epoch.into()) && canonical(offset_text, offset.into()) && position.in_range()
        {
            Ok(position)
        } else {
            Err(error())
        }
    }
}

/// Where a subscription starts: a position, the newest event, or the oldest retained one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Since {
    /// Only what is published from now on.
    #[default]
    Now,
    /// Everything that is still retained.
    Earliest,
    /// Everything after this position.
    Position(Position),
}

impl fmt::Display for Since {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Since::Now => f.write_str("now"),
            Since::Earliest => f.write_str("earliest"),
            Since::Position(position) => position.fmt(f),
        }
    }
}

/// A text that says no place to start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no place to start: write `now`, `earliest`, or the position of the last event that is there, such as \
     7331243921334-41"
)]
pub struct SinceError(String);

impl FromStr for Since {
    type Err = SinceError;

    fn from_str(text: &str) -> Result<Self, SinceError> {
        match text {
            "now" => Ok(Since::Now),
            "earliest" => Ok(Since::Earliest),
            _ => text.parse().map(Since::Position).map_err(|PositionError(text)| SinceError(text)),
        }
    }
}

impl Serialize for Since {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Since {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
