//! The whole server, driven from outside: real sockets, real signatures, every behaviour a sentence.

mod api;
mod broker;
mod client;
mod closing;
mod configuration;
mod documentation;
mod draining;
mod dynamic;
mod http_api;
mod http_client;
mod json_sessions;
mod keys;
mod killed;
mod lagging;
mod many;
mod mmdb;
mod near;
mod origins;
mod program;
mod publishing;
mod readers;
mod sessions;
mod shutdown;
mod storing;
mod watching;

use tiercast_codec::Message;
use tiercast_signaling_server::{ApiKey, Config, Server};

/// The key that publishers of these tests show.
const API_KEY: &str = "correct-horse-battery";

/// A configuration for a server of its own: a free port, a channel `events`, an API key.
fn config() -> Config {
    Config {
        listen: "127.0.0.1:0".parse().expect("an address"),
        api_keys: vec![API_KEY.parse::<ApiKey>().expect("a key")],
        ..Config::default()
    }
}

async fn start(config: Config) -> anyhow::Result<Server> {
    Ok(Server::start(config).await?)
}

/// A message with this body.
fn message(body: impl Into<Vec<u8>>) -> Message {
    Message { routing_key: "test".to_owned(), body: body.into().into(), ..Message::default() }
}

/// Bytes that do not compress, the same for the same seed.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..length).map(|_| next()).collect()
}
