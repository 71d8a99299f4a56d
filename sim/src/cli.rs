//! The command line.

use std::{
    fs,
    io::{self, IsTerminal},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

use anyhow::{Context, Result, bail};
use clap::{Parser, ValueEnum};

use crate::{
    earth::Known,
    page,
    regression::{Regression, Regressions},
    report_file::ReportFile,
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
    /// How many peers, 1 to 1,000,000; default as the scenario says.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
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
    /// Adds those of --seeds that go wrong to this list.
    #[arg(long, value_name = "FILE", requires = "seeds")]
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
    format!("{EXIT_CODES}\n{EXAMPLES}\nScenarios: {}", names.join(", "))
}

const COMMAND: &str = "cargo run --release -p tiercast-sim --";

const EXIT_CODES: &str = "\
Exit code:
  0  everything that was checked held
  1  something that must hold did not; it is said with the command that plays it again
  2  it could not be run
";

const EXAMPLES: &str = "\
Examples:
  tiercast-sim --scenario churn --peers 10000 --seed 1
  tiercast-sim --scenario vanish --report vanish.html
  tiercast-sim --scenario ./mine.toml --json
  tiercast-sim --scenario mixed --seeds 1-1000
  tiercast-sim --scenario mixed --seeds 1001- --regressions sim/regressions.toml
";

/// Runs the program.
pub fn main() -> ExitCode {
    match play(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// True if nothing was wrong.
fn play(args: &Args) -> Result<bool> {
    let scenario = scenario(args)?;
    match &args.seeds {
        Some(seeds) => seeds.play(&scenario, &mut |outcome| tell(args, &scenario, outcome)),
        None => play_one(args, &scenario),
    }
}

/// The scenario as the flags change it.
fn scenario(args: &Args) -> Result<Scenario> {
    let mut scenario = Scenario::load(&args.scenario)?;
    scenario.peers = args.peers.unwrap_or(scenario.peers);
    match (&mut scenario.network.earth, args.known) {
        (Some(earth), Some(known)) => earth.known = known,
        (None, Some(_)) => {
            bail!(
                "--known: scenario {} does not say where peers are: choose one with network.earth, such as near, or leave it out",
                args.scenario
            );
        }
        (_, None) => {}
    }
    Ok(scenario)
}

fn play_one(args: &Args, scenario: &Scenario) -> Result<bool> {
    let report_file = args.report.clone().map(ReportFile::open).transpose()?;
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
    if let Some(file) = report_file {
        file.write(&page::html(&args.scenario, &outcome, &replay(args, scenario, args.seed))?)?;
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
        let file = keep(&smaller, &std::env::temp_dir(), &args.scenario, seed)?;
        eprintln!("smaller: {COMMAND} --scenario {} --seed {seed}", file.display());
    }
    Ok(())
}

/// Writes a scenario into a new file, named after the one that it was made from and the seed.
fn keep(smaller: &Scenario, folder: &Path, scenario: &str, seed: u64) -> Result<PathBuf> {
    let text = toml::to_string(smaller)?;
    let name = Path::new(scenario).file_stem().unwrap_or_default().to_string_lossy();
    for number in 1_u64.. {
        let number = if number == 1 { String::new() } else { format!("-{number}") };
        let path = folder.join(format!("tiercast-sim-{name}-{seed}{number}.toml"));
        match fs::File::create_new(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            created => {
                created
                    .and_then(|mut file| io::Write::write_all(&mut file, text.as_bytes()))
                    .with_context(|| path.display().to_string())?;
                return Ok(path);
            }
        }
    }
    bail!("{}: no name is free", folder.display())
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

#[cfg(test)]
mod tests {
    use super::*;

    fn args(arguments: &[&str]) -> Result<Args, String> {
        Args::try_parse_from(["tiercast-sim"].iter().chain(arguments)).map_err(|error| error.to_string())
    }

    #[test]
    fn regression_flags_that_come_to_nothing_are_refused() {
        for (arguments, words) in [
            (&["--scenario", "steady", "--peers", "0"][..], "--peers"),
            (&["--scenario", "steady", "--peers", "1000001"], "1000000"),
            (&["--scenario", "steady", "--regressions", "x.toml"], "--seeds"),
        ] {
            let error = args(arguments).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
        let known = |name| scenario(&args(&["--scenario", name, "--known", "nothing"]).unwrap());
        let error = known("steady").unwrap_err().to_string();
        assert!(error.contains("--known") && error.contains("such as near"), "{error}");
        assert_eq!(known("near").unwrap().network.earth.unwrap().known, Known::Nothing);
    }

    #[test]
    fn a_smaller_scenario_takes_nobodys_file() {
        let folder = std::env::temp_dir().join(format!("tiercast-sim-keep-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let scenario = Scenario::load("steady").unwrap();
        let keep = || keep(&scenario, &folder, "./mine.toml", 7).unwrap();
        let kept = [keep(), keep()];
        assert_eq!(
            kept,
            ["tiercast-sim-mine-7.toml", "tiercast-sim-mine-7-2.toml"].map(|name| folder.join(name))
        );
        assert_eq!(Scenario::load(kept[1].to_str().unwrap()).unwrap(), scenario);
        fs::remove_dir_all(folder).unwrap();
    }
}
