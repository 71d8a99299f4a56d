//! The experiment: a server process, a swarm process, a publisher; progress while it runs, figures at the end.

use std::{collections::BTreeMap, process::ExitCode, time::Duration};

use anyhow::{Context, bail};
use clap::Args;
use serde::{Deserialize, Serialize};
use tiercast_peer_client::swarm::{Spread, SwarmReport};
use tiercast_platform::{end_progress, print_line, say, say_progress};
use tiercast_signaling_server::source::amqp::BrokerUrl;
use tokio::time::Instant;

mod broker;
mod process;
pub(crate) mod server;
pub(crate) mod swarm;

use broker::Broker;
use process::Child;
use server::ServerReport;

/// The experiment ends without success when nothing more has been delivered for this long.
const STALLED: Duration = Duration::from_secs(60);

/// How many peers the server feeds, unless there are fewer.
const TIER1: u64 = 4;

/// Reports without news before the experiment ends; there are two a second.
const QUIET_REPORTS: u32 = 3;

/// What `experiment --help` says after the options.
pub(crate) const HELP: &str = "\
Output:
  stderr       progress while it runs, a line twice a second, and what went wrong
  stdout       the figures when it ends, and nothing else: one JSON object, with --json on one line

Exit code:
  0            every peer got every event, once and in order
  1            something was missing, repeated or out of order; the figures are printed all the same
  2            it could not be run

Figures:
  source, peers, events       what was asked for
  tier1, peers_by_tier        peers that the server fed at the end; and how many peers stood in each tier
  frames                      frames that the server made: events are packed together, compressed and signed
  delivered                   events that applications got, over all peers: peers * events if all is well
  missing, duplicates, out_of_order
                              events that did not come, came again, or came after a later one
  gaps                        times that a peer was told that events are gone for good
  latency_ms                  from publishing an event to a peer's application: median, 99th percentile, largest
  join_ms                     from starting a peer to its first event: the same three
  server_data_bytes           bytes of frames that the server sent
  server_control_bytes        bytes of everything else that it sent: heads, places in the tree, signaling
  direct_data_bytes           bytes of frames that it would have sent if it fed every peer
  offload                     1 - server_data_bytes / direct_data_bytes: the share that the peers carried
  links, links_lost           links between peers that were asked for, and those that were given up or broke
  elapsed_s                   from the start of the peers to the end, a second and a half of silence included
  cpu_s                       CPU time of the server's and of the peers' process, where the system tells it

Examples:
  cargo run --release -- experiment
      40 peers, 4 of them fed by the server, 2,000 events.
  cargo run --release -- experiment --peers 200 --tier1 16 --events 1500 --rate 50 --json | jq .offload
      One figure of a larger audience.
  cargo run --release -- experiment --no-relay
      The server feeds everybody: what it costs without the mesh.
  cargo run --release -- experiment --source amqp://guest:guest@127.0.0.1:5672/%2f
      The events come from RabbitMQ.";

/// What to measure.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
pub(crate) struct ExperimentOptions {
    /// Where the events come from: `embedded`, or a broker, amqp://USER:PASSWORD@HOST:5672/%2f.
    #[arg(long, default_value = "embedded", value_name = "SOURCE")]
    source: String,
    /// How many native peers listen.
    #[arg(long, default_value_t = 40, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=5_000))]
    peers: u64,
    /// How many of them the server feeds, at most all [default: 4].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=5_000))]
    tier1: Option<u64>,
    /// How many events are published.
    #[arg(long, default_value_t = 2_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    events: u64,
    /// How many events a second.
    #[arg(long, default_value_t = 200, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000))]
    rate: u64,
    /// Bytes of an event's body.
    #[arg(long, default_value_t = 600, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(0..=1_000_000))]
    size: u64,
    /// Most children of a peer.
    #[arg(long, default_value_t = 8, value_name = "N")]
    max_children: u16,
    /// Take no part in the mesh: the server feeds everybody, for comparison.
    #[arg(long)]
    no_relay: bool,
    /// Print the figures as one JSON object on one line; otherwise the same object is indented over many.
    #[arg(long)]
    json: bool,
}

/// What a child process of the experiment does.
#[derive(Debug, Args)]
pub(crate) struct Role {
    /// A [`Task`] as JSON.
    task: String,
}

/// What a child process is told.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Task {
    options: ExperimentOptions,
    channel: String,
    /// Of the broker.
    exchange: String,
    /// Of the server.
    url: String,
}

/// What was measured.
#[derive(Debug, Serialize)]
struct Figures {
    source: &'static str,
    peers: u64,
    tier1: usize,
    peers_by_tier: BTreeMap<u32, usize>,
    events: u64,
    frames: u64,
    delivered: u64,
    missing: u64,
    duplicates: u64,
    out_of_order: u64,
    gaps: u64,
    latency_ms: Spread,
    join_ms: Spread,
    server_data_bytes: u64,
    server_control_bytes: u64,
    direct_data_bytes: u64,
    offload: f64,
    links: u64,
    links_lost: u64,
    elapsed_s: f64,
    cpu_s: Cpu,
}

/// CPU time of the processes; not known on every system.
#[derive(Debug, Serialize)]
struct Cpu {
    server: Option<f64>,
    peers: Option<f64>,
}

/// Runs the experiment.
pub(crate) async fn run(options: ExperimentOptions) -> anyhow::Result<ExitCode> {
    options.check()?;
    let json = options.json;
    let mut broker = Broker::prepare(&options.source).await?;
    let figures = measure(options, broker.as_mut()).await;
    // Whatever came of it, the broker is left as it was.
    if let Some(broker) = broker {
        broker.clean_up().await;
    }
    let figures = figures?;
    let text = if json { serde_json::to_string(&figures)? } else { serde_json::to_string_pretty(&figures)? };
    print_line(text)?;
    let faults = figures.missing + figures.duplicates + figures.out_of_order;
    if faults > 0 {
        say(format_args!("failed: {faults} events are missing, repeated or out of order"));
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

async fn measure(options: ExperimentOptions, broker: Option<&mut Broker>) -> anyhow::Result<Figures> {
    let (channel, exchange) = match &broker {
        Some(broker) => (broker.channel.clone(), broker.exchange.clone()),
        None => ("experiment".to_owned(), String::new()),
    };
    let mut task = Task { options: options.clone(), channel, exchange, url: String::new() };
    let mut server = Child::start("experiment-server", &task).await?;
    let ready: server::Ready = server.line().await.context("the server did not start")?;
    task.url = ready.url;
    let started = Instant::now();
    let mut swarm = Child::start("experiment-swarm", &task).await?;
    let publishing = async {
        match broker {
            Some(broker) => broker.publish(&options).await,
            None => server.tell("publish").await,
        }
    };
    let watching = watch(&mut swarm, &options);
    let (published, watched) = tokio::join!(publishing, watching);
    published?;
    watched?;
    let elapsed_s = started.elapsed().as_secs_f64();

    server.tell("report").await?;
    let on_server: ServerReport = server.line().await.context("the server did not report")?;
    swarm.tell("stop").await?;
    let on_swarm = loop {
        let line: swarm::Line = swarm.line().await.context("the swarm did not report")?;
        if line.is_last {
            break line;
        }
    };
    server.end().await?;
    swarm.end().await?;
    Ok(figures(&options, on_server, on_swarm, elapsed_s))
}

/// Shows progress until everything is delivered, or nothing more comes.
async fn watch(swarm: &mut Child, options: &ExperimentOptions) -> anyhow::Result<()> {
    let expected = options.peers * options.events;
    let mut progress = (0, Instant::now());
    // Once everything is there, a few reports more: a repeated event would come late.
    let mut quiet = 0;
    loop {
        let line: swarm::Line = swarm.line().await.context("the swarm ended early")?;
        let delivered = line.report.delivered;
        show(&line.report, options, expected);
        if delivered >= expected {
            quiet += 1;
        }
        if quiet == QUIET_REPORTS {
            return Ok(());
        }
        if delivered > progress.0 {
            progress = (delivered, Instant::now());
        } else if progress.1.elapsed() > STALLED {
            end_progress();
            say(format_args!("nothing was delivered for {} s: giving up", STALLED.as_secs()));
            return Ok(());
        }
    }
}

fn show(report: &SwarmReport, options: &ExperimentOptions, expected: u64) {
    let line = format!(
        "{}/{} peers ready, {} of {expected} delivered ({:.0} %), p50 {:.1} ms, p99 {:.1} ms",
        report.ready,
        options.peers,
        report.delivered,
        report.delivered as f64 * 100.0 / expected as f64,
        report.latency_ms.p50,
        report.latency_ms.p99,
    );
    // The figures are what counts, even if nobody follows.
    say_progress(line);
    if report.delivered >= expected {
        end_progress();
    }
}

fn figures(options: &ExperimentOptions, server: ServerReport, swarm: swarm::Line, elapsed_s: f64) -> Figures {
    let report = swarm.report;
    let is_embedded = options.source == "embedded";
    Figures {
        source: if is_embedded { "embedded" } else { "amqp" },
        peers: options.peers,
        tier1: server.peers_by_tier.get(&1).copied().unwrap_or(0),
        peers_by_tier: server.peers_by_tier,
        events: options.events,
        frames: server.frames,
        delivered: report.delivered,
        missing: (options.peers * options.events).saturating_sub(report.delivered),
        duplicates: report.duplicates,
        out_of_order: report.out_of_order,
        gaps: report.gaps,
        latency_ms: report.latency_ms,
        join_ms: report.join_ms,
        server_data_bytes: server.data_bytes,
        server_control_bytes: server.control_bytes,
        direct_data_bytes: server.direct_data_bytes,
        offload: 1.0 - server.data_bytes as f64 / server.direct_data_bytes.max(1) as f64,
        links: server.links,
        links_lost: server.links_lost,
        elapsed_s,
        cpu_s: Cpu { server: server.cpu_s, peers: swarm.cpu_s },
    }
}

impl Task {
    fn of(role: &Role) -> anyhow::Result<Self> {
        serde_json::from_str(&role.task).context("this is started by `experiment` only")
    }
}

impl ExperimentOptions {
    /// When the `number`th event is due.
    fn due(&self, start: Instant, number: u64) -> Instant {
        start + Duration::from_nanos(number * 1_000_000_000 / self.rate)
    }

    /// How many peers the server feeds.
    fn tier1(&self) -> usize {
        self.tier1.unwrap_or(TIER1.min(self.peers)) as usize
    }

    fn check(&self) -> anyhow::Result<()> {
        if let Some(tier1) = self.tier1
            && tier1 > self.peers
        {
            bail!("--tier1 {tier1} is more than --peers {}: lower one or raise the other", self.peers);
        }
        if self.source != "embedded" {
            // What was written may hold a password.
            self.source.parse::<BrokerUrl>().context("--source is neither `embedded` nor a broker's URL")?;
        }
        Ok(())
    }
}
