//! A process of the experiment with some of its peers: does what it is told, and answers what they have got.

use std::process::ExitCode;

use anyhow::Context;
use serde::{Deserialize, Serialize};
use tiercast_peer_client::{
    ClientOptions, Since,
    link::Weather,
    swarm::{Look, Swarm, SwarmOptions, SwarmReport},
};

use super::{Role, Task, process::words};
use crate::villain::Misdeed;

/// What the process is told, a line each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum Order {
    /// Say what the peers have got: the only one that is answered, with a [`Line`].
    Look,
    /// Kill these without a word.
    Kill(Vec<u64>),
    /// Add so many that start now.
    Add(usize),
    /// Let so many leave with a goodbye, the newest first.
    Remove(usize),
    /// Serve so many children each from now on.
    Offer(u16),
    /// Let this one misbehave.
    Spoil(u64, Misdeed),
    /// Give the links of these another weather.
    Weather(Vec<u64>, Weather),
}

/// What the peers have got. What is counted since the last line is so said.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) report: SwarmReport,
    pub(super) looks: Vec<Look>,
    /// Microseconds from publishing to the application, and how many deliveries took so long, since the last line.
    pub(super) latencies: Vec<(u64, u64)>,
    /// Microseconds from the start of a peer to its first event, since the last line.
    pub(super) joins: Vec<(u64, u64)>,
    pub(super) cpu_s: Option<f64>,
}

pub(crate) async fn run(role: Role) -> anyhow::Result<ExitCode> {
    let task = Task::of(&role)?;
    let mut swarm = Swarm::new(options(&task)?);
    for _ in 0..task.peers {
        swarm.add().await?;
    }
    for _ in 0..task.late {
        swarm.add_late().await?;
    }
    let mut children_max = task.options.max_children;
    let mut words = words();
    while let Some(word) = words.next_line().await? {
        match serde_json::from_str(&word).context("an order")? {
            Order::Look => say(&swarm)?,
            Order::Kill(members) => members.into_iter().for_each(|member| drop(swarm.kill(member))),
            Order::Add(count) => {
                for _ in 0..count {
                    let member = swarm.add_late().await?;
                    offer(&swarm, [member], children_max).await;
                }
            }
            Order::Remove(count) => {
                for _ in 0..count {
                    swarm.remove().await;
                }
            }
            Order::Offer(count) => {
                children_max = count;
                offer(&swarm, swarm.standings().into_keys(), children_max).await;
            }
            Order::Weather(members, weather) => {
                for client in members.into_iter().filter_map(|member| swarm.client(member)) {
                    client.set_weather(weather).await;
                }
            }
            Order::Spoil(member, misdeed) => {
                if let Some(client) = swarm.client(member) {
                    client.misbehave(misdeed.villain(member)).await;
                }
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn offer(swarm: &Swarm, members: impl IntoIterator<Item = u64>, children_max: u16) {
    for client in members.into_iter().filter_map(|member| swarm.client(member)) {
        // A peer that has ended serves nobody.
        let _ = client.offer(children_max).await;
    }
}

fn options(task: &Task) -> anyhow::Result<SwarmOptions> {
    let asked = &task.options;
    let mut client = ClientOptions {
        children_max: asked.max_children,
        relay: !asked.no_relay,
        ..ClientOptions::default()
    };
    client.links.weather = asked.weather();
    client.links.lossy = !asked.no_repair;
    let mut options = SwarmOptions::new(task.url.parse()?, &task.channel);
    options.since = Since::Earliest;
    options.first = Some(0);
    options.skip = asked.skip;
    options.client = client;
    Ok(options)
}

fn say(swarm: &Swarm) -> anyhow::Result<()> {
    let line = Line {
        report: swarm.report(),
        looks: swarm.look(),
        latencies: swarm.take_latencies(),
        joins: swarm.take_joins(),
        cpu_s: tiercast_platform::cpu_seconds(),
    };
    tiercast_platform::print_line(serde_json::to_string(&line)?)?;
    Ok(())
}
