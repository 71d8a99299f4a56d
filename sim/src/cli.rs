//! The command line.

use std::{fs, io::IsTerminal, ops::RangeInclusive, path::PathBuf, process::ExitCode, time::Instant};

use anyhow::{Context, Result};
use clap::Parser;

use crate::{
    page,
    scenario::{NAMED, Scenario},
    simulation::{self, Outcome},
};

/// Plays a scenario with the production hub and peers on a simulated network, checks what must hold, and measures.
#[derive(Debug, Parser)]
#[command(name = "tiercast-sim", version, after_help = examples())]
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
    /// Plays all of these seeds, such as 1-1000, and says only which of them go wrong.
    #[arg(long, value_name = "FIRST-LAST", conflicts_with_all = ["seed", "json"], value_parser = seeds)]
    seeds: Option<RangeInclusive<u64>>,
    /// Writes a page with the figures and plots over time.
    #[arg(long, value_name = "FILE", conflicts_with = "seeds")]
    report: Option<PathBuf>,
    /// Prints the figures as JSON.
    #[arg(long)]
    json: bool,
}

fn examples() -> String {
    let names: Vec<_> = NAMED.iter().map(|(name, _)| *name).collect();
    format!("{EXAMPLES}Scenarios: {}", names.join(", "))
}

const EXAMPLES: &str = "\
Examples:
  tiercast-sim --scenario churn --peers 10000 --seed 1
  tiercast-sim --scenario vanish --report vanish.html
  tiercast-sim --scenario ./mine.toml --json
  tiercast-sim --scenario mixed --seeds 1-1000
";

fn seeds(text: &str) -> Result<RangeInclusive<u64>> {
    let (first, last) = text.split_once('-').context("two numbers with a dash between")?;
    Ok(first.parse()?..=last.parse()?)
}

/// Runs the program.
pub fn main() -> Result<ExitCode> {
    let args = Args::parse();
    let mut scenario = Scenario::load(&args.scenario)?;
    scenario.peers = args.peers.unwrap_or(scenario.peers);
    let is_right = match &args.seeds {
        Some(seeds) => play_many(&args, &scenario, seeds.clone()),
        None => play_one(&args, &scenario)?,
    };
    Ok(if is_right { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn play_one(args: &Args, scenario: &Scenario) -> Result<bool> {
    let began = Instant::now();
    let is_watched = std::io::stderr().is_terminal();
    let outcome = simulation::run(scenario, args.seed, &mut |at_s, second| {
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
    if let Some(file) = &args.report {
        let page = page::html(&outcome, &replay(args, scenario, args.seed))?;
        fs::write(file, page).with_context(|| format!("--report {}", file.display()))?;
    }
    Ok(tell(args, scenario, &outcome))
}

fn play_many(args: &Args, scenario: &Scenario, seeds: RangeInclusive<u64>) -> bool {
    let (mut played, mut wrong) = (0_u64, 0_u64);
    for seed in seeds {
        let outcome = simulation::run(scenario, seed, &mut |_, _| {});
        played += 1;
        wrong += u64::from(!tell(args, scenario, &outcome));
        if std::io::stderr().is_terminal() {
            eprint!("\rseed {seed}: {wrong} of {played} went wrong  ");
        }
    }
    println!("{played} seeds played, {wrong} went wrong");
    wrong == 0
}

/// Says what was wrong, and how to see it again. True if nothing was.
fn tell(args: &Args, scenario: &Scenario, outcome: &Outcome) -> bool {
    let Some(wrong) = &outcome.wrong else { return true };
    eprintln!("WRONG: {wrong}");
    eprintln!("replay: {}", replay(args, scenario, outcome.figures.seed));
    false
}

/// The command that plays a seed again.
fn replay(args: &Args, scenario: &Scenario, seed: u64) -> String {
    let (name, peers) = (&args.scenario, scenario.peers);
    format!("cargo run --release -p tiercast-sim -- --scenario {name} --peers {peers} --seed {seed}")
}
