//! The command line.

use std::{fs, io::IsTerminal, path::PathBuf, process::ExitCode, time::Instant};

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};

use crate::{
    earth::Known,
    page,
    regression::{Regression, Regressions},
    scenario::{NAMED, Scenario},
    seeds::Seeds,
    shrink::shrink,
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
    /// What the hub knows of where peers are; default as the scenario says, if it says where they are.
    #[arg(long)]
    known: Option<Known>,
    /// Plays all of these seeds, such as 1-1000, or 1- until it is stopped, and says only which of them go wrong.
    #[arg(long, value_name = "FIRST-[LAST]", conflicts_with_all = ["seed", "json"])]
    seeds: Option<Seeds>,
    /// Adds the seeds that go wrong to this list.
    #[arg(long, value_name = "FILE")]
    regressions: Option<PathBuf>,
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

const COMMAND: &str = "cargo run --release -p tiercast-sim --";

const EXAMPLES: &str = "\
Examples:
  tiercast-sim --scenario churn --peers 10000 --seed 1
  tiercast-sim --scenario vanish --report vanish.html
  tiercast-sim --scenario ./mine.toml --json
  tiercast-sim --scenario mixed --seeds 1-1000
  tiercast-sim --scenario mixed --seeds 1001- --regressions sim/regressions.toml
";

/// Runs the program.
pub fn main() -> Result<ExitCode> {
    let args = Args::parse();
    let mut scenario = Scenario::load(&args.scenario)?;
    scenario.peers = args.peers.unwrap_or(scenario.peers);
    if let (Some(earth), Some(known)) = (&mut scenario.network.earth, args.known) {
        earth.known = known;
    }
    let is_right = match &args.seeds {
        Some(seeds) => seeds.play(&scenario, &mut |outcome| tell(&args, &scenario, outcome))?,
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
    let cost = cost(&outcome, began.elapsed().as_secs_f64());
    eprintln!("{}{cost:60}", if is_watched { "\r" } else { "" });
    if args.json {
        println!("{}", serde_json::to_string_pretty(&outcome.figures)?);
    } else {
        println!("{}", outcome.figures);
    }
    if let Some(file) = &args.report {
        let page = page::html(&outcome, &replay(args, scenario, args.seed))?;
        fs::write(file, page).with_context(|| format!("--report {}", file.display()))?;
    }
    tell(args, scenario, &outcome)?;
    Ok(outcome.wrong.is_none())
}

/// Says what was wrong, and how to see it again, in a smaller scenario if there is one.
fn tell(args: &Args, scenario: &Scenario, outcome: &Outcome) -> Result<()> {
    let Some(wrong) = &outcome.wrong else { return Ok(()) };
    let seed = outcome.figures.seed;
    eprintln!("WRONG: {wrong}");
    eprintln!("replay: {}", replay(args, scenario, seed));
    if let Some(file) = &args.regressions {
        let (scenario, peers, found) = (args.scenario.clone(), scenario.peers, wrong.clone());
        Regressions::append(file, Regression { scenario, peers, seed, found })?;
    }
    if let Some(smaller) = shrink(scenario, seed, wrong) {
        let file = std::env::temp_dir().join(format!("tiercast-sim-{seed}.toml"));
        fs::write(&file, toml::to_string(&smaller)?).with_context(|| file.display().to_string())?;
        eprintln!("smaller: {COMMAND} --scenario {} --seed {seed}", file.display());
    }
    Ok(())
}

/// The command that plays a seed again.
fn replay(args: &Args, scenario: &Scenario, seed: u64) -> String {
    let (name, peers) = (&args.scenario, scenario.peers);
    let known =
        args.known.and_then(|known| Some(format!(" --known {}", known.to_possible_value()?.get_name())));
    format!("{COMMAND} --scenario {name} --peers {peers} --seed {seed}{}", known.unwrap_or_default())
}

/// What a run took, for people: it is another each time, so it is no figure.
fn cost(outcome: &Outcome, seconds: f64) -> String {
    let us = 1e6 * seconds / outcome.figures.events_delivered.max(1) as f64;
    let memory = peak_kib().map(|kib| format!(", {} KiB a peer", kib / outcome.figures.peers.max(1)));
    format!("played in {seconds:.1} s: {us:.1} us a delivery{}", memory.unwrap_or_default())
}

/// The most memory that this process has had, where the system tells.
fn peak_kib() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}
