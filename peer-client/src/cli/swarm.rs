//! `peer-client swarm`: many peers in one process, with a live status line.

use std::{pin::pin, process::ExitCode, time::Duration};

use clap::Args;
use serde_json::json;
use tiercast_peer_client::swarm::{Swarm, SwarmOptions, SwarmReport};
use tiercast_platform::{end_progress, print_line, say, say_progress, stdout_unread, told_to_stop};

use super::Taking;

#[derive(Args)]
pub(super) struct SwarmCommand {
    #[command(flatten)]
    taking: Taking,
    /// How many peers.
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    peers: u64,
    /// Print a JSON object a second to stdout instead of the status line.
    #[arg(long)]
    json: bool,
    /// End after this many seconds.
    #[arg(long, value_name = "S")]
    seconds: Option<u64>,
}

impl SwarmCommand {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let mut options = SwarmOptions::new(self.taking.servers.clone(), &self.taking.channel);
        options.since = self.taking.since;
        options.client = self.taking.options();
        let mut swarm = Swarm::new(options);
        for _ in 0..self.peers {
            swarm.add().await?;
        }
        let mut second = tokio::time::interval(Duration::from_secs(1));
        let end = tokio::time::Instant::now() + self.seconds.map_or(Duration::MAX / 4, Duration::from_secs);
        let mut before = 0;
        let (mut unread, mut stop) = (pin!(stdout_unread()), pin!(told_to_stop()?));
        let mut was_connected = false;
        let is_over = loop {
            tokio::select! {
                _ = second.tick() => {
                    was_connected |= is_connected(&swarm);
                    let report = swarm.report();
                    if !self.show(&swarm, &report, report.delivered - before)? {
                        break false;
                    }
                    before = report.delivered;
                    if report.peers == 0 {
                        break false;
                    }
                }
                () = &mut unread, if self.json => break false,
                () = tokio::time::sleep_until(end) => break true,
                () = &mut stop => break false,
            }
        };
        was_connected |= is_connected(&swarm);
        let report = swarm.report();
        self.show(&swarm, &report, report.delivered - before)?;
        end_progress();
        swarm.close().await;
        if report.peers == 0 {
            anyhow::bail!("every peer was refused: check the channel's name and the address");
        }
        if is_over && !was_connected {
            say("failed: no peer was ever connected: check the address, and that the server runs");
            return Ok(ExitCode::FAILURE);
        }
        let is_clean = report.missing + report.duplicates + report.out_of_order + report.wrong == 0;
        Ok(if is_clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// False if nobody reads it any more.
    fn show(&self, swarm: &Swarm, report: &SwarmReport, per_second: u64) -> std::io::Result<bool> {
        if self.json {
            let mut line = json!(report);
            line["tiers"] = json!(swarm.tiers());
            return print_line(line);
        }
        let tiers: Vec<_> = swarm.tiers().iter().map(|(tier, count)| format!("{tier}:{count}")).collect();
        let trouble = match swarm.trouble() {
            Some((count, reason)) => format!(" | {count} not connected: {reason}"),
            None => String::new(),
        };
        let line = format!(
            "{} peers, {} have had an event, tiers {} | {} delivered, {per_second}/s | p50 {:.1} ms, p99 {:.1} ms | missing {}, twice {}, late {}, wrong {}{trouble}",
            report.peers,
            report.ready,
            tiers.join(" "),
            report.delivered,
            report.latency_ms.p50,
            report.latency_ms.p99,
            report.missing,
            report.duplicates,
            report.out_of_order,
            report.wrong,
        );
        Ok(say_progress(line))
    }
}

/// Whether the server has ever named one of those who are there now.
fn is_connected(swarm: &Swarm) -> bool {
    swarm.standings().values().any(|standing| standing.peer.is_some())
}
