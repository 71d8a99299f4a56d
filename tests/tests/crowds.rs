//! Crowds of clients at a server that is a program of its own: they get everything once, and what they cost it is bounded.
//! `cargo run --release -p tiercast-tests --example clients` measures the same with many.

use anyhow::{Result, ensure};
use tiercast_tests::{
    broker::URL_VARIABLE,
    measure::{comeback, slow, transports},
    wire::Transport,
};

fn say(line: String) {
    println!("{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_that_comes_back_to_a_killed_server_gets_all_from_the_broker_and_from_memory() -> Result<()> {
    if std::env::var(URL_VARIABLE).is_ok() {
        return Ok(());
    }
    let transports = Transport::ALL.to_vec();
    let figures =
        comeback::run(&comeback::Options { clients: 40, behind: 3_000, bytes: 600, transports }, say).await?;
    println!("{figures}");
    figures.check()
}

#[tokio::test(flavor = "multi_thread")]
async fn regression_slow_readers_cost_little_and_are_told_what_they_miss() -> Result<()> {
    let options = slow::Options {
        slow: 10,
        slow_rate: 10_000,
        fast: 3,
        rate: 400,
        bytes: 2_000,
        before: 2,
        with: 9,
        stall_ms: 4_000,
    };
    let figures = slow::run(&options, say).await?;
    println!("{figures}");
    figures.check()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_each_transport_costs_can_be_measured() -> Result<()> {
    let transports = Transport::ALL.to_vec();
    let options = transports::Options { clients: 20, rate: 50, bytes: 600, seconds: 1, idle: 0, transports };
    let costs = transports::run(&options, say).await?;
    println!("{}", transports::table(&costs));
    ensure!(costs.len() == 5 && costs[1..].iter().all(|cost| cost.tally.events == 20 * 50), "{costs:?}");
    transports::check(&costs)
}
