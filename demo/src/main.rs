//! The Tiercast demo: a server, a publisher and a swarm of native peers in one program, with a page to watch
//! them and join; and the fan-out experiment, which is the same without a page and ends with figures.

use clap::{Parser, Subcommand};

mod ci_events;
mod experiment;
mod page;
mod villain;

/// Watch an audience carry an event stream: starts a server, a publisher of CI events and native peers, and
/// prints the address of a page that joins them.
#[derive(Parser)]
#[command(name = "tiercast-demo", version, args_conflicts_with_subcommands = true, after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    page: page::PageOptions,
}

const EXAMPLES: &str = "\
Examples:
  cargo run --release
  cargo run --release -- --peers 60 --rate 50
  cargo run --release -- experiment --peers 40 --tier1 4 --events 2000 --rate 200 --size 600
  cargo run --release -- experiment --kill 30%@5s --restart-server 12s --report report.html
  cargo run --release -- experiment --source amqp://guest:guest@127.0.0.1:5672/%2f --peers 40";

#[derive(Subcommand)]
enum Command {
    /// Measure the fan-out: server and peers as separate processes, faults as asked for, a table or JSON in the end.
    #[command(after_help = experiment::HELP)]
    Experiment(Box<experiment::ExperimentOptions>),
    /// The experiment's server process.
    #[command(hide = true)]
    ExperimentServer(experiment::Role),
    /// The experiment's swarm process.
    #[command(hide = true)]
    ExperimentSwarm(experiment::Role),
}

#[tokio::main]
async fn main() -> std::process::ExitCode {
    let arguments = Arguments::parse();
    let default = if arguments.command.is_some() { "warn,lapin=off" } else { "info,webrtc=warn,rtc=warn" };
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| default.into());
    let _log = tiercast_platform::start_log(filter, tiercast_platform::LOG_LINES_MAX);
    let result = match arguments.command {
        None => page::run(arguments.page).await,
        Some(Command::Experiment(options)) => experiment::run(*options).await,
        Some(Command::ExperimentServer(role)) => experiment::server::run(role).await,
        Some(Command::ExperimentSwarm(role)) => experiment::swarm::run(role).await,
    };
    result.unwrap_or_else(|error| {
        tiercast_platform::say(format_args!("error: {error:#}"));
        std::process::ExitCode::from(2)
    })
}
