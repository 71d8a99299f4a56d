//! The command line.

use std::{io::IsTerminal, process::ExitCode, time::Instant};

use anyhow::Result;
use clap::Parser;

use crate::{scenario::Scenario, simulation};

/// Plays a scenario with the production hub and peers on a simulated network, checks what must hold, and measures.
#[derive(Debug, Parser)]
#[command(name = "tiercast-sim", version, after_help = EXAMPLES)]
pub struct Args {
    /// A scenario that comes with the program, or a file.
    #[arg(long)]
    scenario: String,
    /// How many peers; default as the scenario says.
    #[arg(long)]
    peers: Option<u64>,
    /// Names the course of events: the same seed, the same output.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Prints the figures as JSON.
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  tiercast-sim --scenario churn --peers 10000 --seed 1
  tiercast-sim --scenario ./mine.toml --json
Scenarios: steady, churn, vanish, close, mass-kill, blink, restart, leaves";

/// Runs the program.
pub fn main() -> Result<ExitCode> {
    let args = Args::parse();
    let mut scenario = Scenario::load(&args.scenario)?;
    scenario.peers = args.peers.unwrap_or(scenario.peers);
    let began = Instant::now();
    let is_watched = std::io::stderr().is_terminal();
    let outcome = simulation::run(&scenario, args.seed, &mut |at_s, second| {
        if is_watched {
            eprint!(
                "\r{at_s:.0} s, {} peers, {} bytes/s from the server  ",
                second.peers, second.server_bytes
            );
        }
    });
    if is_watched {
        eprintln!("\rplayed in {:.1} s{:40}", began.elapsed().as_secs_f64(), "");
    }
    if args.json {
        println!("{}", serde_json::to_string_pretty(&outcome.figures)?);
    } else {
        println!("{}", outcome.figures);
    }
    let Some(wrong) = outcome.wrong else { return Ok(ExitCode::SUCCESS) };
    eprintln!("WRONG: {wrong}");
    let (name, peers, seed) = (&args.scenario, scenario.peers, args.seed);
    eprintln!(
        "replay: cargo run --release -p tiercast-sim -- --scenario {name} --peers {peers} --seed {seed}"
    );
    Ok(ExitCode::FAILURE)
}
