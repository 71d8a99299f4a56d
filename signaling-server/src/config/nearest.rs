//! The known name that is nearest to a misspelt one.

/// The nearest of `known`: by the whole path, or by its last part if it was put into the wrong section.
pub(super) fn nearest<'a>(wrong: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let leaf = |path: &str| path.rsplit('.').next().unwrap_or_default().to_owned();
    let likeness = |path: &str| {
        let whole = strsim::normalized_damerau_levenshtein(wrong, path);
        whole.max(0.9 * strsim::normalized_damerau_levenshtein(&leaf(wrong), &leaf(path)))
    };
    known.max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_and_a_misplaced_key_are_found() {
        let known = || ["hub.heartbeat_ms", "hub.head_interval_ms", "amqp.heartbeat_s", "listen"].into_iter();
        assert_eq!(nearest("hub.hartbeat_ms", known()), Some("hub.heartbeat_ms"));
        assert_eq!(nearest("heartbeat_ms", known()), Some("hub.heartbeat_ms"));
        assert_eq!(nearest("lisen", known()), Some("listen"));
        assert_eq!(nearest("amqp.heartbeat_ms", known()), Some("amqp.heartbeat_s"));
    }
}
