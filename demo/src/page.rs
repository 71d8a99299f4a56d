//! The demo with its page: a server and native peers as processes, the page's buttons, and a card for each incident.

use std::{io, net::SocketAddr, process::ExitCode, time::Duration};

use clap::Args;
use tiercast_platform::{print_line, told_to_stop};
use tokio::net::TcpListener;

use crate::experiment::{ExperimentOptions, Task, stage::Stage, state_folder};

mod cards;
mod director;
mod front;
mod guard;
mod refusal;
mod routes;

use director::Director;

/// The channel of the demo.
const CHANNEL: &str = "builds";
/// Bytes of an event's body.
const EVENT_BYTES: u64 = 600;
/// Most native peers: each costs about a quarter of a megabyte and a little CPU.
const PEERS_MAX: usize = 200;
/// Most processes of native peers: each costs about three megabytes. As long as there are no more peers than that, each
/// has one of its own and can be frozen alone.
const PROCESSES_MAX: u64 = 40;
/// Most events a second.
const RATE_MAX: u64 = 500;
/// Most children of a native peer in the demo: few, so that the tree has something to show.
const CHILDREN_MAX: u16 = 4;
/// How long a peer is frozen.
const FREEZE: Duration = Duration::from_secs(5);

/// What the demo starts with.
#[derive(Debug, Clone, Args)]
pub(crate) struct PageOptions {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:8780", value_name = "ADDRESS", value_parser = address)]
    listen: SocketAddr,
    /// Native peers to start with, at most 200.
    #[arg(long, default_value_t = 24, value_name = "N", value_parser = clap::value_parser!(u64).range(0..=PEERS_MAX as u64))]
    peers: u64,
    /// Events a second, 1 to 500.
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=RATE_MAX))]
    rate: u64,
    /// Peers that the server feeds.
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=PEERS_MAX as u64))]
    tier1: u64,
}

/// Runs the demo until ctrl-c.
pub(crate) async fn run(options: PageOptions) -> anyhow::Result<ExitCode> {
    let stop = told_to_stop()?;
    let listener = listen(options.listen).await?;
    let addr = listener.local_addr()?;
    let state = state_folder()?;
    let task = Task::new(experiment(&options), CHANNEL, "", state.path());
    let (director, desk) = Director::new(Stage::start(task).await?);
    let router = routes::router(desk);
    tracing::info!(%addr, "started");
    print_line(format_args!("Tiercast demo: open http://{addr}/ in a browser; ctrl-c ends it."))?;
    tokio::select! {
        () = stop => Ok(ExitCode::SUCCESS),
        served = front::serve(listener, router) => served.map(|()| ExitCode::SUCCESS).map_err(Into::into),
        ended = director.run() => ended.map(|()| ExitCode::SUCCESS),
    }
}

fn address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| "write an address and a port, such as 127.0.0.1:8780 or [::]:8780")
}

async fn listen(addr: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(addr).await.map_err(|error| {
        let fix = match error.kind() {
            io::ErrorKind::AddrInUse => "stop what listens there, or choose another address",
            _ => "choose another address",
        };
        anyhow::anyhow!("--listen {addr}: {error}: {fix}")
    })
}

/// The page is an experiment that has no end.
fn experiment(options: &PageOptions) -> ExperimentOptions {
    let mut experiment = ExperimentOptions::default();
    experiment.peers = options.peers;
    experiment.tier1 = Some(options.tier1);
    experiment.rate = options.rate;
    experiment.size = EVENT_BYTES;
    experiment.events = Some(u64::MAX);
    experiment.max_children = CHILDREN_MAX;
    experiment.processes = Some(PROCESSES_MAX);
    experiment.seed = rand::random();
    experiment
}
