//! AMQP topic patterns: which routing keys a subscriber wants.

use std::{fmt, str::FromStr};

/// A topic pattern: words separated by dots, where `*` stands for one word and `#` for any number of words. A word may
/// be empty, as the second of `a..b`; an empty text has no word. RabbitMQ says the same (`tests/tests/patterns.rs`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pattern(String);

/// A text that is not a pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a topic pattern: at most 255 bytes, and `*` and `#` stand alone between dots")]
pub struct PatternError(String);

impl Pattern {
    /// Whether `routing_key` matches.
    pub fn matches(&self, routing_key: &str) -> bool {
        let words: Vec<_> = words_of(&self.0).collect();
        // reached[i]: the pattern's first i words match the key's words so far.
        let mut reached = vec![false; words.len() + 1];
        reached[0] = true;
        skip_hashes(&words, &mut reached);
        for key in words_of(routing_key) {
            let mut next = vec![false; words.len() + 1];
            for (at, word) in words.iter().enumerate().filter(|(at, _)| reached[*at]) {
                match *word {
                    "#" => next[at] = true,
                    word if word == "*" || word == key => next[at + 1] = true,
                    _ => {}
                }
            }
            reached = next;
            skip_hashes(&words, &mut reached);
        }
        reached[words.len()]
    }
}

fn words_of(text: &str) -> impl Iterator<Item = &str> {
    text.split('.').filter(move |_| !text.is_empty())
}

/// `#` matches no word, too.
fn skip_hashes(words: &[&str], reached: &mut [bool]) {
    for (at, word) in words.iter().enumerate() {
        if reached[at] && *word == "#" {
            reached[at + 1] = true;
        }
    }
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let stands_alone = |word: &str| word.len() == 1 || !word.contains(['*', '#']);
        if text.len() <= 255 && text.split('.').all(stands_alone) {
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

    #[test]
    fn patterns_match_as_in_amqp() {
        let cases: serde_json::Value =
            serde_json::from_str(include_str!("../vectors/patterns.json")).unwrap();
        for case in cases["match"].as_array().unwrap() {
            let text = |index: usize| case[index].as_str().unwrap();
            let pattern: Pattern = text(0).parse().unwrap();
            assert_eq!(pattern.matches(text(1)), case[2].as_bool().unwrap(), "{case}");
        }
        for text in cases["invalid"].as_array().unwrap() {
            assert!(text.as_str().unwrap().parse::<Pattern>().is_err(), "{text}");
        }
    }
}
