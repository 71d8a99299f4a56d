//! The command line: `subscribe` prints events, `swarm` runs many peers at once.

use std::process::ExitCode;

use clap::{
    Args, Parser, Subcommand,
    builder::{RangedI64ValueParser, RangedU64ValueParser},
};
use tiercast_peer_client::{
    ClientOptions, ServerUrls, Since,
    link::{CandidatePolicy, LinkSettings},
};

mod status;
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
    /// Print the events of a channel, one JSON object a line, for as long as they are read; status on stderr.
    Subscribe(subscribe::Subscribe),
    /// Run many peers in this process, each checking what it gets, with a live status line.
    Swarm(swarm::SwarmCommand),
}

/// How a peer takes part.
#[derive(Args)]
struct Taking {
    /// The server: ws://HOST:PORT/v1/ws, or HOST:PORT; with ?key=KEY behind it where a key is needed. Several with commas
    /// between them: one at a time is used, at first any of them.
    #[arg(value_name = "URL")]
    servers: ServerUrls,
    /// The channel.
    channel: String,
    /// Take no part in the mesh: the server feeds this peer, and no other peer learns its address.
    #[arg(long)]
    no_relay: bool,
    /// Most children to serve; 0: have a parent, but relay nothing.
    #[arg(long, default_value_t = 8, value_name = "N")]
    max_children: u16,
    /// Bytes of events to keep for children, and for a reader of the output that is slow [least: 65536].
    #[arg(long, default_value_t = ClientOptions::default().log_bytes as u64, value_name = "BYTES", value_parser = bytes())]
    log_bytes: u64,
    /// Bytes of events that may be under way to this peer: round trip times bandwidth. At most a quarter of the log
    /// counts [least: 4096].
    #[arg(long, default_value_t = ClientOptions::default().window_bytes, value_name = "BYTES", value_parser = window())]
    window_bytes: u32,
    /// Where to start: `now`, `earliest`, or a position such as 7331243921334-41.
    #[arg(long, default_value = "now", value_name = "POSITION")]
    since: Since,
    /// Connect to other peers through TURN relays only, so that they never learn this host's address.
    #[arg(long)]
    turn_only: bool,
    /// For experiments: of a million packets to other peers, how many are lost.
    #[cfg(feature = "faults")]
    #[arg(long, hide = true, default_value_t = 0, value_name = "N")]
    lost_per_million: u32,
    /// For experiments: of a million packets from other peers, how many are lost.
    #[cfg(feature = "faults")]
    #[arg(long, hide = true, default_value_t = 0, value_name = "N")]
    lost_arriving_per_million: u32,
    /// For experiments: how much later packets to other peers arrive.
    #[cfg(feature = "faults")]
    #[arg(long, hide = true, default_value_t = 0, value_name = "MS")]
    delay_ms: u32,
}

/// A log that is smaller than a few frames helps nobody.
fn bytes() -> RangedU64ValueParser {
    clap::value_parser!(u64).range(64 << 10..=1 << 40)
}

/// Every quarter of it costs a message.
fn window() -> RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(4_096..)
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
            log_bytes: self.log_bytes as usize,
            window_bytes: self.window_bytes,
            links: LinkSettings {
                candidates,
                #[cfg(feature = "faults")]
                weather: self.weather(),
                ..LinkSettings::default()
            },
            ..ClientOptions::default()
        }
    }

    #[cfg(feature = "faults")]
    fn weather(&self) -> tiercast_peer_client::link::Weather {
        tiercast_peer_client::link::Weather {
            lost_per_million: self.lost_per_million,
            lost_arriving_per_million: self.lost_arriving_per_million,
            delay: std::time::Duration::from_millis(self.delay_ms.into()),
            ..Default::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taking(arguments: &[&str]) -> Result<Taking, clap::Error> {
        let given = ["peer-client", "subscribe", "h:1", "c"].into_iter().chain(arguments.iter().copied());
        match Arguments::try_parse_from(given)?.command {
            Command::Subscribe(subscribe) => Ok(subscribe.taking),
            Command::Swarm(_) => unreachable!("asked for subscribe"),
        }
    }

    #[test]
    fn the_limits_of_the_command_line_reach_the_options() -> Result<(), clap::Error> {
        let options = taking(&["--log-bytes", "1000000", "--window-bytes", "500000"])?.options();
        assert_eq!((options.log_bytes, options.window_bytes), (1_000_000, 500_000));
        let (options, default) = (taking(&[])?.options(), ClientOptions::default());
        assert_eq!((options.log_bytes, options.window_bytes), (default.log_bytes, default.window_bytes));
        Ok(())
    }

    #[test]
    fn limits_that_are_too_small_to_be_useful_are_refused() {
        for (flag, least) in [("--log-bytes", 65_536), ("--window-bytes", 4_096)] {
            let less = (least - 1).to_string();
            let error = taking(&[flag, &less]).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(error.contains(flag) && error.contains(&least.to_string()), "{error}");
        }
    }
}
