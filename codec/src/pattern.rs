//! AMQP topic patterns: which routing keys a subscriber wants.

use std::{fmt, str::FromStr};

use crate::limits::ROUTING_KEY_BYTES_MAX;

/// A topic pattern: words separated by dots, where `*` stands for one word and `#` for any number of words. A word may
/// be empty, as the second of `a..b`; an empty text has no word. RabbitMQ says the same (`tests/tests/patterns.rs`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pattern(String);

/// A text that is not a pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a topic pattern: at most 255 bytes, and `*` and `#` stand alone between dots")]
pub struct PatternError(String);

impl Pattern {
    /// The pattern that every routing key matches.
    pub(crate) fn all() -> Self {
        Self("#".to_owned())
    }

    /// Whether `routing_key` matches. Allocates nothing, and takes at most the product of both numbers of words.
    pub fn matches(&self, routing_key: &str) -> bool {
        let (mut pattern, mut key) = (words_of(&self.0), words_of(routing_key));
        // Where to go on if it goes wrong: behind the last `#`, which then stands for one word more. An earlier one
        // never has to: whatever it would take, the last one takes as well.
        let mut retry = None;
        loop {
            let before = key.clone();
            match (pattern.next(), key.next()) {
                (Some("#"), _) if pattern.clone().next().is_none() => return true,
                (Some("#"), _) => {
                    key = before;
                    retry = Some((pattern.clone(), key.clone()));
                }
                (Some("*"), Some(_)) => {}
                (Some(wanted), Some(word)) if wanted == word => {}
                (None, None) => return true,
                _ => {
                    let Some((behind, rest)) = &mut retry else { return false };
                    if rest.next().is_none() {
                        return false;
                    }
                    (pattern, key) = (behind.clone(), rest.clone());
                }
            }
        }
    }

    /// Its words that stand for themselves.
    pub(crate) fn literals(&self) -> impl Iterator<Item = &str> {
        words_of(&self.0).filter(|word| !matches!(*word, "*" | "#"))
    }
}

/// The words of a text, none if it is empty.
pub(crate) fn words_of(text: &str) -> impl Iterator<Item = &str> + Clone {
    text.split('.').filter(move |_| !text.is_empty())
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let stands_alone = |word: &str| word.len() == 1 || !word.contains(['*', '#']);
        if text.len() <= ROUTING_KEY_BYTES_MAX && text.split('.').all(stands_alone) {
            Ok(Self(text.to_owned()))
        } else {
            Err(PatternError(text.chars().take(64).collect()))
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PatternSet;

    #[test]
    fn patterns_match_as_in_amqp() {
        let cases: serde_json::Value =
            serde_json::from_str(include_str!("../vectors/patterns.json")).unwrap();
        for case in cases["match"].as_array().unwrap() {
            let text = |index: usize| case[index].as_str().unwrap();
            let pattern: Pattern = text(0).parse().unwrap();
            let matches = case[2].as_bool().unwrap();
            assert_eq!(pattern.matches(text(1)), matches, "{case}");
            assert_eq!(PatternSet::new(vec![pattern]).matches(text(1)), matches, "{case}");
        }
        for text in cases["invalid"].as_array().unwrap() {
            assert!(text.as_str().unwrap().parse::<Pattern>().is_err(), "{text}");
        }
    }
}
