//! What a client of JSON over WebSocket may say.

use serde::Deserialize;
use serde_json::Value;
use tiercast_codec::{ChannelName, Code, Since};
use tiercast_mesh::hub::Refusal;

use crate::transport::subscription::Wanted;

/// A message of a client.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum FromClient {
    Hello { id: u64, protocol: u32 },
    Ping { time_us: u64 },
    Subscribe { id: u64, wanted: Wanted, subscribe: Subscribe },
    Request { id: u64, channel: ChannelName, request: Request },
}

/// How somebody wants to subscribe.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Subscribe {
    #[serde(default)]
    pub(super) since: Since,
    #[serde(default, rename = "match")]
    pub(super) patterns: Vec<String>,
}

/// What is asked for about a channel that one is subscribed to.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Request {
    Unsubscribe,
    Bind {
        #[serde(rename = "match")]
        patterns: Vec<String>,
    },
    Unbind {
        #[serde(rename = "match")]
        patterns: Vec<String>,
    },
    Pause,
    Resume,
}

/// The types of all messages.
const TYPES: &[&str] = &["hello", "ping", "subscribe", "unsubscribe", "bind", "unbind", "pause", "resume"];

/// A message that cannot be acted on.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unreadable {
    /// The request, if it has a number.
    pub(super) id: Option<u64>,
    what: What,
}

#[derive(Debug, PartialEq, Eq)]
enum What {
    NotJson(String),
    UnknownType(String),
    Wrong(String),
}

impl FromClient {
    pub(super) fn parse(text: &str) -> Result<Self, Unreadable> {
        let message: Value = serde_json::from_str(text)
            .map_err(|error| Unreadable { id: None, what: What::NotJson(error.to_string()) })?;
        let id = message["id"].as_u64();
        let wrong = |reason: String| Unreadable { id, what: What::Wrong(reason) };
        let number = |name: &str| {
            message[name].as_u64().ok_or_else(|| wrong(format!("`{name}` must be a whole number")))
        };
        let Some(kind) = message["type"].as_str().filter(|kind| TYPES.contains(kind)) else {
            return Err(Unreadable { id, what: What::UnknownType(message["type"].to_string()) });
        };
        Ok(match kind {
            "hello" => {
                let protocol =
                    u32::try_from(number("protocol")?).map_err(|error| wrong(error.to_string()))?;
                Self::Hello { id: number("id")?, protocol }
            }
            "subscribe" if message["channel"].is_null() && message["exchange"].is_string() => {
                let wanted = Wanted::Exchange(message["exchange"].as_str().unwrap_or_default().to_owned());
                let id = number("id")?;
                let subscribe = serde_json::from_value(message).map_err(|error| wrong(error.to_string()))?;
                Self::Subscribe { id, wanted, subscribe }
            }
            "ping" => Self::Ping { time_us: number("time_us")? },
            _ => {
                let channel =
                    message["channel"].as_str().ok_or_else(|| wrong("`channel` must be a text".into()))?;
                let channel: ChannelName = channel
                    .parse()
                    .map_err(|error: tiercast_codec::ChannelNameError| wrong(error.to_string()))?;
                let id = number("id")?;
                if kind == "subscribe" {
                    let wanted = Wanted::Channel(channel);
                    let subscribe =
                        serde_json::from_value(message).map_err(|error| wrong(error.to_string()))?;
                    return Ok(Self::Subscribe { id, wanted, subscribe });
                }
                let request = serde_json::from_value(message).map_err(|error| wrong(error.to_string()))?;
                Self::Request { id, channel, request }
            }
        })
    }
}

impl Unreadable {
    /// What the client is told, and goes on; or why the session ends.
    pub(super) fn refusal(&self) -> Result<Refusal, Refusal> {
        match &self.what {
            What::NotJson(error) => Err(Refusal::new(Code::MALFORMED, format!("not JSON: {error}"))),
            What::UnknownType(kind) => {
                let reason = format!("{kind} is no type of a message ({}); it was ignored", TYPES.join(", "));
                Ok(Refusal::new(Code::UNKNOWN_MESSAGE, reason))
            }
            What::Wrong(reason) => Ok(Refusal::new(Code::BAD_REQUEST, reason)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> (Option<u64>, Result<Code, Code>) {
        let unreadable = FromClient::parse(text).expect_err(text);
        let code = |refusal: Refusal| refusal.code;
        (unreadable.id, unreadable.refusal().map(code).map_err(code))
    }

    #[test]
    fn what_a_client_may_say_is_read() {
        let channel: ChannelName = "builds".parse().unwrap();
        let request = |request| FromClient::Request { id: 3, channel: channel.clone(), request };
        let subscribe = |wanted, since, patterns: &[&str]| {
            let patterns = patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
            FromClient::Subscribe { id: 3, wanted, subscribe: Subscribe { since, patterns } }
        };
        let named = || Wanted::Channel(channel.clone());
        for (text, expected) in [
            (
                r#"{"type":"hello","id":1,"protocol":1,"client":"x"}"#,
                FromClient::Hello { id: 1, protocol: 1 },
            ),
            (r#"{"type":"ping","time_us":5}"#, FromClient::Ping { time_us: 5 }),
            (r#"{"type":"subscribe","id":3,"channel":"builds"}"#, subscribe(named(), Since::Now, &[])),
            (
                r#"{"type":"subscribe","id":3,"exchange":"ci/x","match":["a.b"]}"#,
                subscribe(Wanted::Exchange("ci/x".into()), Since::Now, &["a.b"]),
            ),
            (
                r#"{"id":3,"channel":"builds","since":"earliest","match":["a.#"],"type":"subscribe","later":[]}"#,
                subscribe(named(), Since::Earliest, &["a.#"]),
            ),
            (
                r#"{"type":"unbind","id":3,"channel":"builds","match":["a"]}"#,
                request(Request::Unbind { patterns: vec!["a".into()] }),
            ),
            (r#"{"type":"pause","id":3,"channel":"builds"}"#, request(Request::Pause)),
        ] {
            assert_eq!(FromClient::parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_json_ends_the_session_and_the_rest_is_answered() {
        assert_eq!(refused("hello"), (None, Err(Code::MALFORMED)));
        assert_eq!(refused(r#"{"type":"dance","id":4}"#), (Some(4), Ok(Code::UNKNOWN_MESSAGE)));
        for text in [
            r#"{"type":"subscribe","id":4}"#,
            r#"{"type":"subscribe","id":4,"channel":"a b"}"#,
            r#"{"type":"subscribe","id":4,"channel":"a","since":"never"}"#,
            r#"{"type":"bind","id":4,"channel":"a"}"#,
            r#"{"type":"hello","id":4}"#,
        ] {
            assert_eq!(refused(text), (Some(4), Ok(Code::BAD_REQUEST)), "{text}");
        }
        assert_eq!(refused(r#"{"type":"pause","channel":"a"}"#), (None, Ok(Code::BAD_REQUEST)));
        assert_eq!(refused("[]"), (None, Ok(Code::UNKNOWN_MESSAGE)));
    }
}
