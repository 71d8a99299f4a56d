//! The experiment: a server process, processes with peers, a publisher, and what goes wrong meanwhile; progress while
//! it runs, figures at the end.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail};
use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tiercast_platform::{print_line, say, told_to_stop};
use tiercast_sim::report_file::ReportFile;

mod broker;
pub(crate) mod crowd;
pub(crate) mod fault;
pub(crate) mod figures;
pub(crate) mod measure;
pub(crate) mod options;
mod process;
mod proxy;
mod report;
mod run;
pub(crate) mod server;
pub(crate) mod stage;
pub(crate) mod swarm;

use broker::Broker;
use figures::Figures;
pub(crate) use options::ExperimentOptions;
use run::Outcome;

/// What `experiment --help` says after the options.
pub(crate) const HELP: &str = "\
Faults:
  WHO          how many, as a number or a share, of peers, relays (those with children), leaves (those without) or tier1
               (those that the server feeds): 3, 30%, 3:relays, 50%:tier1. Where nobody relays, relays are any peers.
  WHEN, TIME   10s, 2.5s or 500ms; WHEN counts from when every peer has had its first event (ready_s), and so does
               --churn. All but --churn, --loss and --delay can be given again.

Output:
  stderr       progress while it runs, a line twice a second, on a terminal in one place; and what went wrong
  stdout       the figures when it ends, and nothing else: a table, or with --json one JSON object on one line.
               With --compare the object has two, `mesh` and `direct`.

Exit code:
  0            every peer got every event, once and in order
  1            something was missing, repeated or out of order; the figures are printed all the same
  2            it could not be run, or does not show what was asked for: a fault struck nobody, struck when every event
               was there or never came (so does --churn of which nobody came), or nobody was left

Figures:
  source, peers, events       what was asked for, or as many events as it took
  tier1, peers_by_tier        peers in tier 1 at the end; and how many peers stood in each tier, those without a
                              place in tier 0
  living                      peers that were not killed
  frames                      frames that the server made: events are packed together, compressed and signed
  delivered                   events that applications got, over all peers: peers * events if all is well and nobody
                              was killed
  missing, duplicates, out_of_order, wrong
                              events that did not come to those who live, came again, came after a later one, or
                              were not what was published
  gaps                        times that a peer was told that events are gone for good; with the embedded source also
                              at a restart of the server, where the numbering begins anew and nothing is gone
  nacks                       times that a peer asked those who feed it again for what had not come
  latency_ms                  from publishing an event to a peer's application: median (p50), 99th and 99.9th
                              percentile (p99, p999), largest (max)
  join_ms                     from starting a peer to its first event: the same
  stalls                      after incidents: how much later than the median latency the latest event came. hit,
                              hit_ms: to those who were fed by way of the victims, how many they are and the same
                              four; all, all_ms: to all who lived through it. An incident ends where the next begins.
                              Who is struck by several incidents counts in each. The victims' own pause (that of a
                              frozen peer) counts in latency_ms and not here.
  incidents                   each with what, at_s (from the start of the peers, so WHEN after ready_s), victims,
                              struck_nobody (why, if it did), too_late (if every event was there by then),
                              victims_by_tier, stalls, the share of peers that the server fed fed_by_server_before and
                              fed_by_server_2s_later, for those who misbehave victims_without_children_after_s, the
                              events lost to those who live, recovered_after_s (when nobody had waited half a second
                              for 2 s), server_away_s at a restart, and server_bytes_per_s in a usual second before,
                              the busiest, and the last of it (after)
  never_came                  what was to go wrong and did not, because it was over before
  server_data_bytes           bytes of frames that the server sent
  server_control_bytes        bytes of everything else that it sent: heads, places in the tree, signaling
  direct_data_bytes           bytes of frames that it would have sent if it fed every peer
  offload                     1 - server_data_bytes / direct_data_bytes: the share that the peers carried
  offload_after_joins         the same from when everybody had found a place
  server_bytes_per_s          from then on: median second and busiest
  links, links_lost           links between peers that were asked for, and those that were given up or broke
  accusations, suspensions    how often a peer said that its parent had sent what cannot be right, and how many relays were
                              taken out of service for that
  ready_s                     from the start of the peers to when each had had its first event
  elapsed_s                   from the start of the peers to the end, a second and a half of silence included
  cpu_s                       CPU time of the server's and of the peers' processes, where the system tells it

Examples:
  cargo run --release -- experiment
      40 peers, 4 of them fed by the server, 2,000 events.
  cargo run --release -- experiment --compare --report report.html
      With the mesh and without, side by side, and a page with plots.
  cargo run --release -- experiment --kill 30%@5s --kill 30%@10s --blink 15s
      Whoever lives loses nothing, whatever happens.
  cargo run --release -- experiment --peers 24 --freeze 2@5s+5s
      Two relays fall silent for five seconds; each peer is a process.
  cargo run --release -- experiment --withhold 1@4s --lie 4@8s
      Relays that keep events for themselves, forge, repeat, stall and accuse.
  cargo run --release -- experiment --peers 20 --slow-uplink 1@5s=200KB/s --cut 1@12s
      A relay whose uplink is too narrow for its children, and one whose links are cut without a close.
  cargo run --release -- experiment --peers 20 --rate 100 --loss 2% --delay 25ms
      Links as they are between homes; with --no-repair as they would be without our repair of losses.
  cargo run --release -- experiment --peers 200 --tier1 16 --events 1500 --rate 50 --json | jq .offload
      One figure of a larger audience.
  cargo run --release -- experiment --no-relay
      The server feeds everybody: what it costs without the mesh.
  cargo run --release -- experiment --source amqp://guest:guest@127.0.0.1:5672/%2f
      The events come from RabbitMQ.";

/// What a child process of the experiment does.
#[derive(Debug, Args)]
pub(crate) struct Role {
    /// A [`Task`] as JSON.
    task: String,
}

/// What a child process is told when it starts.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Task {
    options: ExperimentOptions,
    channel: String,
    /// Of the broker.
    exchange: String,
    /// Where the server listens.
    listen: SocketAddr,
    /// Where the server keeps its key and its state.
    state: PathBuf,
    /// Where peers find the server.
    url: String,
    /// How many peers a process starts with.
    peers: u64,
    /// How many more that begin where the others are.
    late: u64,
}

impl Task {
    /// Of a stage that keeps its state in this folder.
    pub(crate) fn new(options: ExperimentOptions, channel: &str, exchange: &str, state: &Path) -> Self {
        Self {
            options,
            channel: channel.to_owned(),
            exchange: exchange.to_owned(),
            listen: ([127, 0, 0, 1], 0).into(),
            state: state.to_owned(),
            url: String::new(),
            peers: 0,
            late: 0,
        }
    }

    fn of(role: &Role) -> anyhow::Result<Self> {
        serde_json::from_str(&role.task).context("this is started by `experiment` only")
    }
}

/// Runs the experiment.
pub(crate) async fn run(options: ExperimentOptions) -> anyhow::Result<ExitCode> {
    options.check()?;
    let report_file = options.report.clone().map(ReportFile::open).transpose()?;
    let stop = told_to_stop()?;
    let outcomes = tokio::select! {
        outcomes = measure(&options) => outcomes?,
        // Processes that are stopped would wait for ever: they are killed as this ends.
        () = stop => bail!("told to stop: no figures"),
    };
    let columns: Vec<_> = outcomes.iter().map(|(title, outcome)| (*title, &outcome.figures)).collect();
    print_line(text(&options, &columns)?)?;
    if let Some(file) = report_file {
        let name = file.to_string();
        file.write(&report::html(&options, &outcomes)?)?;
        say(format_args!("plots: {name}"));
    }
    let faults: u64 = columns.iter().map(|(_, figures)| figures.faults()).sum();
    if faults > 0 {
        say(format_args!("failed: {faults} events are missing, repeated, out of order or wrong"));
        return Ok(ExitCode::FAILURE);
    }
    let shortfalls: BTreeSet<_> = columns.iter().flat_map(|(_, figures)| figures.shortfalls()).collect();
    for shortfall in &shortfalls {
        say(format_args!("this does not show what was asked for: {shortfall}"));
    }
    Ok(if shortfalls.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(2) })
}

/// With the mesh, or without, or both, one after the other.
async fn measure(options: &ExperimentOptions) -> anyhow::Result<Vec<(&'static str, Outcome)>> {
    if !options.compare {
        let title = if options.no_relay { "direct" } else { "mesh" };
        return Ok(vec![(title, once(options.clone()).await?)]);
    }
    let mesh = once(options.clone()).await?;
    say("now without the mesh");
    let direct = once(ExperimentOptions { no_relay: true, ..options.clone() }).await?;
    Ok(vec![("mesh", mesh), ("direct", direct)])
}

async fn once(options: ExperimentOptions) -> anyhow::Result<Outcome> {
    let mut broker = Broker::prepare(&options.source).await?;
    let (channel, exchange) = match &broker {
        Some(broker) => (broker.channel.as_str(), broker.exchange.as_str()),
        None => ("experiment", ""),
    };
    let state = state_folder()?;
    let task = Task::new(options, channel, exchange, state.path());
    let outcome = run::run(task, broker.as_mut()).await;
    // Whatever came of it, the broker is left as it was.
    if let Some(broker) = broker {
        broker.clean_up().await;
    }
    outcome
}

/// A folder for the server's state, which is deleted in the end.
pub(crate) fn state_folder() -> anyhow::Result<tempfile::TempDir> {
    tempfile::Builder::new().prefix("tiercast-").tempdir().context("no folder for the server's state")
}

/// What is printed.
fn text(options: &ExperimentOptions, columns: &[(&str, &Figures)]) -> anyhow::Result<String> {
    Ok(match (options.json, columns) {
        (true, [(_, figures)]) => serde_json::to_string(figures)?,
        (true, _) => {
            let named = columns.iter().map(|(title, figures)| ((*title).to_owned(), json!(figures)));
            serde_json::Value::Object(named.collect()).to_string()
        }
        (false, _) => {
            let verdicts = verdicts(columns);
            format!("{}\n\n{}\n{verdicts}", figures::title(options, columns), Figures::table(columns))
        }
    })
}

/// What it comes to, a line for each run.
fn verdicts(columns: &[(&str, &Figures)]) -> String {
    let verdict = |(title, figures): &(&str, &Figures)| match columns.len() {
        1 => figures.verdict(),
        _ => format!("{title}: {}", figures.verdict()),
    };
    columns.iter().map(verdict).collect::<Vec<_>>().join("\n")
}
