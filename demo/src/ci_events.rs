//! Events as a CI system publishes them, numbered and stamped so that every receiver can check what it gets.

use rand::{RngExt, SeedableRng, rngs::SmallRng};
use serde_json::json;
use tiercast_codec::{HeaderValue, Message};
use tiercast_peer_client::swarm::{DIGEST_HEADER, NUMBER_HEADER, SENT_HEADER, digest, unix_us};

const REPOSITORIES: &[&str] =
    &["atlas", "beacon", "cobalt", "delta-sync", "ember", "fjord", "garnet", "harbor"];
const LANGUAGES: &[&str] = &["rust", "go", "python", "typescript", "java"];
const BRANCHES: &[&str] =
    &["main", "main", "main", "release", "fix/flaky-login", "feature/dark-mode", "deps/bump"];
const STATUSES: &[&str] = &["started", "passed", "passed", "passed", "failed"];
const WORDS: &[&str] = &[
    "compiling",
    "linking",
    "cache",
    "hit",
    "miss",
    "test",
    "ok",
    "retry",
    "upload",
    "artifact",
    "module",
    "worker",
    "shard",
    "coverage",
    "lint",
    "download",
    "resolve",
    "fetch",
    "checksum",
    "stage",
];

/// The `number`th event, with a body of `bytes` (a little more if that is too small for its fields).
pub(crate) fn ci_event(number: u64, bytes: usize) -> Message {
    // The same number always gives the same event, but for its time.
    let mut random = SmallRng::seed_from_u64(number);
    let mut pick = |list: &[&'static str]| list[random.random_range(0..list.len())];
    let (repository, language, branch, status) =
        (pick(REPOSITORIES), pick(LANGUAGES), pick(BRANCHES), pick(STATUSES));
    let mut event = json!({
        "build": number,
        "repo": repository,
        "branch": branch,
        "status": status,
        "commit": format!("{:016x}", random.random::<u64>()),
        "duration_ms": random.random_range(900..240_000),
        "log": "",
    });
    let mut room = bytes.saturating_sub(event.to_string().len());
    let mut log = String::with_capacity(room);
    while room > 0 {
        let word = WORDS[random.random_range(0..WORDS.len())];
        let line = format!("{word}-{:x} ", random.random_range(0..4_096));
        let part = &line[..line.len().min(room)];
        log.push_str(part);
        room -= part.len();
    }
    event["log"] = json!(log);
    let body = event.to_string();
    let header = |name: &str, value: i64| (name.to_owned(), HeaderValue::Int(value));
    Message {
        routing_key: format!("build.{language}.{status}"),
        content_type: Some("application/json".to_owned()),
        message_id: Some(number.to_string()),
        headers: [
            header(NUMBER_HEADER, number.cast_signed()),
            header(SENT_HEADER, unix_us().cast_signed()),
            header(DIGEST_HEADER, digest(number, body.as_bytes())),
        ]
        .into(),
        body: body.into(),
        ..Message::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_have_the_size_asked_for_and_are_json() {
        for bytes in [300, 600, 5_000] {
            let event = ci_event(7, bytes);
            assert_eq!(event.body.len(), bytes);
            assert!(serde_json::from_slice::<serde_json::Value>(&event.body).is_ok());
        }
        assert!(ci_event(1, 0).body.len() > 50, "its fields need that much");
    }
}
