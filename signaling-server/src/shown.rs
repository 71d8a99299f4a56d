//! What clients say of themselves, as the operator's log shows it.

use std::fmt::Display;

use tiercast_codec::Since;
use tracing::field::{DisplayValue, display};

/// Bytes of a text that are shown: it is a stranger's.
const TEXT_BYTES_MAX: usize = 200;

/// What a key follows in an address, the `=` perhaps percent-encoded, once or more often.
const KEYS: [&str; 2] = ["key=", "key%"];

/// The beginning of a text, up to where a key would begin: somebody may have written `&key=` where `?key=` belongs, or encoded
/// a query with the path.
pub(crate) fn cut(text: &str) -> &str {
    let ends = KEYS.iter().filter_map(|key| Some(text.find(key)? + key.len()));
    let end = ends.min().unwrap_or(text.len());
    &text[..text.floor_char_boundary(end.min(TEXT_BYTES_MAX))]
}

/// A field of a line that may have none such.
pub(crate) type Field = Option<DisplayValue<String>>;

/// What is read, and where reading it began: `channel` and `since` of a line, in the same order where they are several.
pub(crate) fn fields<C: Display>(reads: impl IntoIterator<Item = (C, Since)>) -> (Field, Field) {
    let (channels, since): (Vec<_>, Vec<_>) =
        reads.into_iter().map(|(channel, since)| (channel.to_string(), since.to_string())).unzip();
    let field = |texts: Vec<String>| (!texts.is_empty()).then(|| display(texts.join(",")));
    (field(channels), field(since))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_stranger_says_is_cut_between_characters() {
        assert_eq!(cut("firefox"), "firefox");
        assert_eq!(cut(&"ä".repeat(150)), "ä".repeat(100));
        assert_eq!(cut(&format!("a{}", "ä".repeat(150))), format!("a{}", "ä".repeat(99)));
    }

    #[test]
    fn no_key_is_shown_wherever_it_was_written() {
        assert_eq!(cut("/v1/sse/events&key=secret"), "/v1/sse/events&key=");
        assert_eq!(cut("/v1/sse/events%3Fkey%3Dsecret"), "/v1/sse/events%3Fkey%");
        assert_eq!(cut("events%253Fkey%253Dsecret&key=other"), "events%253Fkey%");
    }

    #[test]
    fn channels_and_beginnings_stand_in_the_same_order() {
        let reads = [("builds", Since::Now), ("tests", Since::Earliest)];
        let (channel, since) = fields(reads);
        assert_eq!(format!("{channel:?} {since:?}"), "Some(builds,tests) Some(now,earliest)");
        assert!(matches!(fields::<&str>([]), (None, None)));
    }
}
