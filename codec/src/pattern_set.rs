//! Many topic patterns at once: what a subscriber wants of a channel.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Pattern, pattern::words_of};

/// A set of topic patterns, of which a routing key must match one.
///
/// Each pattern stands under one of its words that stand for themselves: under the one that fewest others stand under. So a
/// key is held against a few of them only, however many there are: those under its own words, and those that are nothing but
/// `*` and `#`. (A tree of words would share more; but with several `#` it would cost more than a stranger may make us
/// spend.)
#[derive(Debug, Clone, Default)]
pub struct PatternSet {
    under: BTreeMap<Box<str>, BTreeSet<Pattern>>,
    anywhere: BTreeSet<Pattern>,
}

impl PatternSet {
    /// What one wants who names these patterns. Who names none wants everything, which is the pattern `#`.
    pub fn new(patterns: Vec<Pattern>) -> Self {
        let mut set = Self::default();
        if patterns.is_empty() {
            set.insert(Pattern::all());
        }
        for pattern in patterns {
            set.insert(pattern);
        }
        set
    }

    /// Adds a pattern; false if it is there already.
    pub fn insert(&mut self, pattern: Pattern) -> bool {
        if self.contains(&pattern) {
            return false;
        }
        let crowd = |word: &&str| self.under.get(*word).map_or(0, BTreeSet::len);
        match pattern.literals().min_by_key(crowd).map(Box::from) {
            None => self.anywhere.insert(pattern),
            Some(word) => self.under.entry(word).or_default().insert(pattern),
        }
    }

    /// Removes a pattern; false if it is not there. A set without any matches nothing.
    pub fn remove(&mut self, pattern: &Pattern) -> bool {
        let Some(word) = self.word_of(pattern).map(Box::<str>::from) else {
            return self.anywhere.remove(pattern);
        };
        let there = self.under.get_mut(&word).expect("it stands there");
        there.remove(pattern);
        if there.is_empty() {
            self.under.remove(&word);
        }
        true
    }

    /// Whether it is one of them.
    pub fn contains(&self, pattern: &Pattern) -> bool {
        self.anywhere.contains(pattern) || self.word_of(pattern).is_some()
    }

    /// The word that it stands under.
    fn word_of<'a>(&self, pattern: &'a Pattern) -> Option<&'a str> {
        pattern.literals().find(|word| self.under.get(*word).is_some_and(|there| there.contains(pattern)))
    }

    /// Whether `routing_key` matches one of them. Allocates nothing.
    pub fn matches(&self, routing_key: &str) -> bool {
        let matches_one = |patterns: &BTreeSet<Pattern>| patterns.iter().any(|one| one.matches(routing_key));
        matches_one(&self.anywhere)
            || words_of(routing_key).any(|word| self.under.get(word).is_some_and(matches_one))
    }

    /// Its patterns, in no order that means anything.
    pub fn iter(&self) -> impl Iterator<Item = &Pattern> {
        self.anywhere.iter().chain(self.under.values().flatten())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.anywhere.len() + self.under.values().map(BTreeSet::len).sum::<usize>()
    }

    /// Whether there is none, so that nothing matches.
    pub fn is_empty(&self) -> bool {
        self.anywhere.is_empty() && self.under.is_empty()
    }
}

/// Whether they are of the same patterns, wherever these stand.
impl PartialEq for PatternSet {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().all(|pattern| other.contains(pattern))
    }
}

impl Eq for PatternSet {}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(patterns: &[&str]) -> PatternSet {
        PatternSet::new(patterns.iter().map(|text| text.parse().unwrap()).collect())
    }

    #[test]
    fn who_names_no_pattern_wants_everything() {
        let everything = set(&[]);
        assert_eq!(everything, set(&["#"]));
        assert!(everything.matches("") && everything.matches("a.b"));
    }

    #[test]
    fn a_set_from_which_the_last_pattern_is_removed_matches_nothing() {
        let mut set = set(&["a.*", "#.b"]);
        assert!(set.remove(&"a.*".parse().unwrap()));
        assert!(!set.remove(&"a.*".parse().unwrap()));
        assert!(!set.matches("a.c") && set.matches("a.b"));
        assert!(set.remove(&"#.b".parse().unwrap()));
        assert!(set.is_empty() && !set.matches("") && !set.matches("a.b"));
    }

    #[test]
    fn a_pattern_is_in_a_set_once() {
        let mut set = set(&["a", "a"]);
        assert_eq!(set.len(), 1);
        assert!(!set.insert("a".parse().unwrap()));
        assert!(set.insert("".parse().unwrap()));
        assert_eq!(set.iter().map(ToString::to_string).collect::<Vec<_>>(), ["", "a"]);
    }
}
