//! The command line: `subscribe` prints events, `swarm` runs many peers at once.

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use tiercast_peer_client::{
    ClientOptions, Since,
    link::{CandidatePolicy, LinkSettings},
};

mod subscribe;
mod swarm;

/// A native Tiercast peer: takes part in the mesh that carries an event stream.
#[derive(Parser)]
#[command(name = "peer-client", version, after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  peer-client subscribe ws://127.0.0.1:8780/v1/ws builds
  peer-client subscribe ws://127.0.0.1:8780/v1/ws builds --since earliest --match 'build.*.failed' | jq .
  peer-client swarm ws://127.0.0.1:8780/v1/ws builds --peers 50

Environment:
  RUST_LOG=debug   log more, to stderr";

#[derive(Subcommand)]
enum Command {
    /// Print the events of a channel, one JSON object a line; status on stderr.
    Subscribe(subscribe::Subscribe),
    /// Run many peers in this process, each checking what it gets, with a live status line.
    Swarm(swarm::SwarmCommand),
}

/// How a peer takes part.
#[derive(Args)]
struct Taking {
    /// The server: ws://HOST:PORT/v1/ws; `http` and a missing path are mended.
    url: String,
    /// The channel.
    channel: String,
    /// Take no part in the mesh: the server feeds this peer, and no other peer learns its address.
    #[arg(long)]
    no_relay: bool,
    /// Most children to serve; 0: have a parent, but relay nothing.
    #[arg(long, default_value_t = 8, value_name = "N")]
    max_children: u16,
    /// Where to start: `now`, `earliest`, or a position such as 7331243921334-41.
    #[arg(long, default_value = "now", value_name = "POSITION")]
    since: Since,
    /// Connect to other peers through TURN relays only, so that they never learn this host's address.
    #[arg(long)]
    turn_only: bool,
}

impl Arguments {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Subscribe(subscribe) => subscribe.run().await,
            Command::Swarm(swarm) => swarm.run().await,
        }
    }
}

impl Taking {
    fn options(&self) -> ClientOptions {
        let candidates = if self.turn_only { CandidatePolicy::RelayOnly } else { CandidatePolicy::All };
        ClientOptions {
            children_max: self.max_children,
            relay: !self.no_relay,
            links: LinkSettings { candidates, ..LinkSettings::default() },
            ..ClientOptions::default()
        }
    }

    /// The address with what people leave out.
    fn url(&self) -> String {
        let url = self.url.replacen("http", "ws", usize::from(self.url.starts_with("http")));
        let url = if url.contains("://") { url } else { format!("ws://{url}") };
        let has_path =
            url.split_once("://").is_some_and(|(_, rest)| rest.trim_end_matches('/').contains('/'));
        if has_path { url } else { format!("{}/v1/ws", url.trim_end_matches('/')) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_mended() {
        let url = |text: &str| match Arguments::parse_from(["peer-client", "subscribe", text, "c"]).command {
            Command::Subscribe(subscribe) => subscribe.taking.url(),
            Command::Swarm(_) => unreachable!("asked for subscribe"),
        };
        for given in ["ws://h:1/v1/ws", "http://h:1/v1/ws", "http://h:1", "http://h:1/", "h:1"] {
            assert_eq!(url(given), "ws://h:1/v1/ws", "{given}");
        }
        assert_eq!(url("https://h/other"), "wss://h/other");
    }
}
