//! The demo with its page: one process with server, publisher and native peers, and the page's buttons.

use std::{net::SocketAddr, process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context;
use clap::Args;
use tiercast_mesh::hub::Tier1;
use tiercast_peer_client::{
    ClientOptions,
    swarm::{Swarm, SwarmOptions},
};
use tiercast_platform::{print_line, told_to_stop};
use tiercast_signaling_server::{Config, EmbeddedPublisher, Server};
use tokio::{
    sync::{Mutex, OnceCell, watch},
    task::JoinSet,
    time::Instant,
};

use crate::ci_events::ci_event;

mod guard;
mod refusal;
mod routes;

use routes::Stage;

/// The channel of the demo.
const CHANNEL: &str = "builds";
/// Bytes of an event's body.
const EVENT_BYTES: usize = 600;
/// Most native peers: each costs about a quarter of a megabyte and a little CPU.
const PEERS_MAX: usize = 200;
/// Most events a second.
const RATE_MAX: u64 = 500;
/// Most children of a native peer in the demo: few, so that the tree has something to show.
const CHILDREN_MAX: u16 = 4;

/// What the demo starts with.
#[derive(Debug, Clone, Args)]
pub(crate) struct PageOptions {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:8780", value_name = "ADDRESS")]
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
    let mut config = Config { listen: options.listen, open_topology: true, ..Config::default() };
    config.embedded_channels = vec![CHANNEL.parse()?];
    config.hub.tier1 = Tier1 { min: options.tier1 as usize, max: options.tier1 as usize };
    // The audience is small, and the page shows each change at once.
    config.limits.topology = Duration::ZERO;
    let rate = watch::channel(options.rate).0;
    // The swarm needs the server's address, and the server the routes that steer the swarm.
    let stage = Arc::new(Stage { swarm: OnceCell::new(), rate });
    let mut server =
        Server::start_with(config, |handle| routes::router(stage.clone(), handle.clone())).await?;

    let client = ClientOptions { children_max: CHILDREN_MAX, ..ClientOptions::default() };
    let url = format!("ws://{}/v1/ws", server.addr());
    let mut asked = SwarmOptions::new(url.parse()?, CHANNEL);
    asked.client = client;
    let mut swarm = Swarm::new(asked);
    for _ in 0..options.peers {
        swarm.add().await?;
    }
    stage.swarm.set(Mutex::new(swarm)).ok().context("the swarm is set once")?;
    let mut tasks = JoinSet::new();
    tasks.spawn(publish(server.publisher(CHANNEL)?, stage.rate.subscribe()));
    tasks.spawn(keep_latency_recent(stage.clone()));

    let addr = server.addr();
    print_line(format_args!("Tiercast demo: open http://{addr}/ in a browser; ctrl-c ends it."))?;
    let failed = tokio::select! {
        _ = told_to_stop() => None,
        failed = server.failed() => failed,
    };
    tasks.shutdown().await;
    server.shutdown().await;
    match failed {
        Some(part) => anyhow::bail!("a part of the server ended: {part:?}"),
        None => Ok(ExitCode::SUCCESS),
    }
}

/// Publishes events at the rate that the page asks for.
async fn publish(publisher: EmbeddedPublisher, mut rate: watch::Receiver<u64>) {
    let mut due = Instant::now();
    for number in 0.. {
        due += std::time::Duration::from_secs(1) / u32::try_from(*rate.borrow_and_update()).unwrap_or(1);
        tokio::select! {
            () = tokio::time::sleep_until(due) => {}
            changed = rate.changed() => {
                if changed.is_err() {
                    return;
                }
                due = Instant::now();
            }
        }
        if let Err(error) = publisher.publish(ci_event(number, EVENT_BYTES)).await {
            tracing::error!(%error, "publishing failed");
            return;
        }
    }
}

/// Lets the latencies that the page shows be those of the last seconds.
async fn keep_latency_recent(stage: Arc<Stage>) {
    let mut often = tokio::time::interval(std::time::Duration::from_secs(10));
    loop {
        often.tick().await;
        if let Some(swarm) = stage.swarm.get() {
            swarm.lock().await.take_latencies();
        }
    }
}
