//! What happened to what, as a routing key: `ticket.1234.updated`.

use std::fmt;

use crate::limits::ROUTING_KEY_BYTES_MAX;

/// The routing key of an event that tells what happened to a thing: `ticket.1234.updated`. Three parts, always, so that
/// patterns are predictable: `ticket.1234.*`, `ticket.*.deleted`, `ticket.#`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventName(String);

/// Parts that give no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EventNameError {
    /// There would be a word less to match.
    #[error("the {part} of an event's name is empty: give it one or more characters")]
    Empty {
        /// `thing`, `id` or `what`.
        part: &'static str,
    },
    /// It would change what patterns mean.
    #[error(
        "the {part} `{text}` of an event's name has `{character}`: use any characters but `.`, `*` and `#`"
    )]
    Character {
        /// `thing`, `id` or `what`.
        part: &'static str,
        /// The first 64 characters of the part.
        text: String,
        /// The first one that is not allowed.
        character: char,
    },
    /// A broker would not take it.
    #[error("an event's name of {bytes} bytes is more than {ROUTING_KEY_BYTES_MAX}: shorten a part")]
    TooLong {
        /// What it would have.
        bytes: usize,
    },
}

impl EventName {
    /// The name of what happened: `EventName::new("ticket", 1234, "updated")`.
    pub fn new(thing: &str, id: impl fmt::Display, what: &str) -> Result<Self, EventNameError> {
        let id = id.to_string();
        for (part, text) in [("thing", thing), ("id", &id), ("what", what)] {
            check(part, text)?;
        }
        let name = format!("{thing}.{id}.{what}");
        match name.len() {
            ..=ROUTING_KEY_BYTES_MAX => Ok(Self(name)),
            bytes => Err(EventNameError::TooLong { bytes }),
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn check(part: &'static str, text: &str) -> Result<(), EventNameError> {
    if text.is_empty() {
        return Err(EventNameError::Empty { part });
    }
    match text.chars().find(|character| matches!(character, '.' | '*' | '#')) {
        None => Ok(()),
        Some(character) => {
            Err(EventNameError::Character { part, text: text.chars().take(64).collect(), character })
        }
    }
}

impl fmt::Display for EventName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<EventName> for String {
    fn from(name: EventName) -> String {
        name.0
    }
}
