//! The experiment's swarm process: all peers, and a report twice a second.

use std::{process::ExitCode, time::Duration};

use serde::{Deserialize, Serialize};
use tiercast_peer_client::{
    ClientOptions, Since,
    swarm::{Swarm, SwarmOptions, SwarmReport},
};

use super::{Role, Task, process::words};

/// What the swarm has seen.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Line {
    pub(super) report: SwarmReport,
    pub(super) cpu_s: Option<f64>,
    pub(super) is_last: bool,
}

pub(crate) async fn run(role: Role) -> anyhow::Result<ExitCode> {
    let task = Task::of(&role)?;
    let client = ClientOptions {
        children_max: task.options.max_children,
        relay: !task.options.no_relay,
        ..ClientOptions::default()
    };
    let channel = task.channel.clone();
    let mut swarm =
        Swarm::new(SwarmOptions { url: task.url.parse()?, channel, since: Since::Earliest, client });
    for _ in 0..task.options.peers {
        swarm.add().await?;
    }
    let mut often = tokio::time::interval(Duration::from_millis(500));
    let mut words = words();
    loop {
        tokio::select! {
            _ = often.tick() => say(&swarm, false)?,
            _ = words.next_line() => break,
        }
    }
    say(&swarm, true)?;
    Ok(ExitCode::SUCCESS)
}

fn say(swarm: &Swarm, is_last: bool) -> anyhow::Result<()> {
    let line = Line { report: swarm.report(), cpu_s: tiercast_platform::cpu_seconds(), is_last };
    tiercast_platform::print_line(serde_json::to_string(&line)?)?;
    Ok(())
}
