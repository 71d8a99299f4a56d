//! The experiment's server process; with the embedded source it publishes as well.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::ExitCode,
    time::Duration,
};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use tiercast_codec::PeerId;
use tiercast_mesh::hub::{Place, SourceState, Tier1};
use tiercast_platform::print_line;
use tiercast_signaling_server::{
    Config, EmbeddedPublisher, KeySource, Server,
    source::amqp::{AmqpChannelConfig, AmqpConfig, BindingConfig},
};
use tokio::{sync::watch, task::JoinSet, time::Instant};

use super::{ExperimentOptions, Role, Task, process::words};
use crate::ci_events::ci_event;

/// A source that is not open by then never will be.
const SOURCE_PATIENCE: Duration = Duration::from_secs(30);

/// Longer than any experiment.
const NEVER: Duration = Duration::from_secs(3_600);

/// Says where the server is.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Ready {
    pub(super) addr: std::net::SocketAddr,
}

/// What the server is told, a line each.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) enum Order {
    /// Publish from this event on, so many a second.
    Publish { first: u64, rate: u64 },
    /// Publish so many events and no more, where that was not known before.
    End { events: u64 },
    /// Publish no more; answered with a look.
    Pause,
    /// Say how it is: answered with a [`ServerLook`].
    Look,
}

/// What the server has counted, and its tree.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct ServerLook {
    pub(crate) published: u64,
    pub(crate) nodes: Vec<Node>,
    pub(crate) counters: Counters,
    pub(crate) cpu_s: Option<f64>,
}

/// A peer of the tree.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Node {
    pub(crate) peer: PeerId,
    pub(crate) parent: Option<PeerId>,
    pub(crate) tier: u32,
    /// Whether it feeds anybody.
    pub(crate) has_children: bool,
    pub(crate) is_fed_by_server: bool,
}

/// What only grows, as long as the process lives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Counters {
    pub(crate) frames: u64,
    pub(crate) data_bytes: u64,
    pub(crate) control_bytes: u64,
    pub(crate) direct_data_bytes: u64,
    pub(crate) links: u64,
    pub(crate) links_lost: u64,
    pub(crate) accusations: u64,
    pub(crate) suspensions: u64,
}

pub(crate) async fn run(role: Role) -> anyhow::Result<ExitCode> {
    let task = Task::of(&role)?;
    let server = Server::start(config(&task)?).await?;
    wait_for_source(&server).await?;
    say(&Ready { addr: server.addr() })?;
    let publishing = Publishing::default();
    publishing.events.send_replace(task.options.events());
    let mut publishers = JoinSet::new();
    let mut words = words();
    while let Some(word) = words.next_line().await? {
        match serde_json::from_str(&word).context("an order")? {
            Order::Publish { first, rate } => {
                let publisher = server.publisher(&task.channel)?;
                let options = ExperimentOptions { rate, ..task.options.clone() };
                publishing.published.send_replace(first);
                publishers.spawn(publish(publisher, options, first, publishing.clone()));
            }
            Order::End { events } => drop(publishing.events.send_replace(Some(events))),
            Order::Pause => {
                publishing.is_paused.send_replace(true);
                while publishers.join_next().await.is_some() {}
                say(&look(&server, &task, &publishing).await?)?;
            }
            Order::Look => say(&look(&server, &task, &publishing).await?)?,
        }
    }
    publishers.shutdown().await;
    server.shutdown().await;
    Ok(ExitCode::SUCCESS)
}

/// Waits until events can arrive: before that nobody can subscribe, and there is nothing to measure.
async fn wait_for_source(server: &Server) -> anyhow::Result<()> {
    let mut often = tokio::time::interval(Duration::from_millis(20));
    let opening = async {
        loop {
            often.tick().await;
            let snapshot = server.handle().snapshot().await?;
            if snapshot.channels.iter().all(|channel| channel.source == SourceState::Open) {
                return anyhow::Ok(());
            }
        }
    };
    tokio::time::timeout(SOURCE_PATIENCE, opening)
        .await
        .context("the source did not open; see the log above")?
}

fn say(line: &impl Serialize) -> anyhow::Result<()> {
    print_line(serde_json::to_string(line)?)?;
    Ok(())
}

fn config(task: &Task) -> anyhow::Result<Config> {
    let mut config = Config { listen: task.listen, open_topology: true, ..Config::default() };
    // Who watches sees each change at once.
    config.limits.topology = Duration::ZERO;
    let tier1 = task.options.tier1();
    config.hub.tier1 = Tier1 { min: tier1, max: tier1 };
    if task.options.no_repair {
        config.hub.standby = NEVER;
    }
    config.signing_key = KeySource::File { path: task.state.join("key"), create: true };
    config.state_dir = Some(task.state.clone());
    if task.options.source == "embedded" {
        config.embedded_channels = vec![task.channel.parse()?];
    } else {
        config.embedded_channels.clear();
        let binding = BindingConfig::new(&task.exchange, ["#"])?;
        let channel = AmqpChannelConfig::new(task.channel.parse()?, vec![binding]);
        config.amqp = Some(AmqpConfig::new(task.options.source.parse()?, vec![channel]));
    }
    Ok(config)
}

/// How far the publisher is, how far it goes as far as that is known, and whether it is to stop.
#[derive(Debug, Clone, Default)]
struct Publishing {
    published: watch::Sender<u64>,
    events: watch::Sender<Option<u64>>,
    is_paused: watch::Sender<bool>,
}

async fn publish(
    publisher: EmbeddedPublisher,
    options: ExperimentOptions,
    first: u64,
    publishing: Publishing,
) {
    let (start, mut paused) = (Instant::now(), publishing.is_paused.subscribe());
    let is_published = |number: &u64| publishing.events.borrow().is_none_or(|events| *number < events);
    for number in (first..).take_while(is_published) {
        tokio::select! {
            () = tokio::time::sleep_until(options.due(start, number - first)) => {}
            _ = paused.changed() => return,
        }
        if let Err(error) = publisher.publish(ci_event(number, options.size as usize)).await {
            tracing::error!(%error, number, "publishing failed");
            return;
        }
        publishing.published.send_replace(number + 1);
    }
}

async fn look(server: &Server, task: &Task, publishing: &Publishing) -> anyhow::Result<ServerLook> {
    let snapshot = server.handle().snapshot().await?;
    let channel = snapshot.channels.into_iter().find(|channel| channel.name.as_str() == task.channel);
    let channel = channel.context("the channel is gone")?;
    let nodes = server.handle().topology(&channel.name).await?.unwrap_or_default();
    let parents: BTreeSet<_> = nodes.iter().filter_map(|node| node.parent).collect();
    let node = |node: &tiercast_mesh::hub::TreeNode| Node {
        peer: node.peer,
        parent: node.parent,
        tier: node.tier,
        has_children: parents.contains(&node.peer),
        is_fed_by_server: !matches!(node.place, Place::Child(_)),
    };
    Ok(ServerLook {
        published: *publishing.published.borrow(),
        nodes: nodes.iter().map(node).collect(),
        counters: Counters {
            frames: channel.stats.frames,
            data_bytes: channel.stats.data_bytes,
            control_bytes: channel.stats.control_bytes + snapshot.hub.control_bytes,
            direct_data_bytes: channel.stats.direct_data_bytes,
            links: channel.stats.links,
            links_lost: channel.stats.links_lost,
            accusations: channel.stats.accusations,
            suspensions: channel.stats.suspensions,
        },
        cpu_s: tiercast_platform::cpu_seconds(),
    })
}

/// Peers by tier; tier 0 are those without a place.
pub(super) fn by_tier(nodes: &[Node]) -> BTreeMap<u32, usize> {
    let mut tiers = BTreeMap::new();
    for node in nodes {
        *tiers.entry(node.tier).or_insert(0) += 1;
    }
    tiers
}
