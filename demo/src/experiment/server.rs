//! The experiment's server process; with the embedded source it publishes as well.

use std::{collections::BTreeMap, process::ExitCode, time::Duration};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use tiercast_mesh::hub::{SourceState, Tier1};
use tiercast_platform::print_line;
use tiercast_signaling_server::{
    Config, EmbeddedPublisher, Server,
    source::amqp::{AmqpChannelConfig, AmqpConfig, BindingConfig},
};
use tokio::{task::JoinSet, time::Instant};

use super::{ExperimentOptions, Role, Task, process::words};
use crate::ci_events::ci_event;

/// A source that is not open by then never will be.
const SOURCE_PATIENCE: Duration = Duration::from_secs(30);

/// Says where the server is.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Ready {
    pub(super) url: String,
}

/// What the server counted.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ServerReport {
    pub(super) peers_by_tier: BTreeMap<u32, usize>,
    pub(super) frames: u64,
    pub(super) data_bytes: u64,
    pub(super) control_bytes: u64,
    pub(super) direct_data_bytes: u64,
    pub(super) links: u64,
    pub(super) links_lost: u64,
    pub(super) cpu_s: Option<f64>,
}

pub(crate) async fn run(role: Role) -> anyhow::Result<ExitCode> {
    let task = Task::of(&role)?;
    let server = Server::start(config(&task)?).await?;
    wait_for_source(&server).await?;
    say(&Ready { url: format!("ws://{}/v1/ws", server.addr()) })?;
    let mut publishing = JoinSet::new();
    let mut words = words();
    while let Some(word) = words.next_line().await? {
        match word.as_str() {
            "publish" => {
                let publisher = server.publisher(&task.channel)?;
                publishing.spawn(publish(publisher, task.options.clone()));
            }
            _ => say(&report(&server, &task).await?)?,
        }
    }
    publishing.shutdown().await;
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
    let mut config = Config { listen: ([127, 0, 0, 1], 0).into(), ..Config::default() };
    let tier1 = task.options.tier1();
    config.hub.tier1 = Tier1 { min: tier1, max: tier1 };
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

async fn publish(publisher: EmbeddedPublisher, options: ExperimentOptions) {
    let start = Instant::now();
    for number in 0..options.events {
        tokio::time::sleep_until(options.due(start, number)).await;
        if let Err(error) = publisher.publish(ci_event(number, options.size as usize)).await {
            tracing::error!(%error, number, "publishing failed");
            return;
        }
    }
}

async fn report(server: &Server, task: &Task) -> anyhow::Result<ServerReport> {
    let snapshot = server.handle().snapshot().await?;
    let channel = snapshot.channels.into_iter().find(|channel| channel.name.as_str() == task.channel);
    let channel = channel.context("the channel is gone")?;
    Ok(ServerReport {
        peers_by_tier: channel.peers_by_tier,
        frames: channel.stats.frames,
        data_bytes: channel.stats.data_bytes,
        control_bytes: channel.stats.control_bytes + snapshot.hub.control_bytes,
        direct_data_bytes: channel.stats.direct_data_bytes,
        links: channel.stats.links,
        links_lost: channel.stats.links_lost,
        cpu_s: tiercast_platform::cpu_seconds(),
    })
}
