//! A program that reads `peer-client`'s output slowly: what that costs the server.

use std::{process::Stdio, time::Duration};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tiercast_codec::Message;
use tiercast_signaling_server::{Config, Server};
use tiercast_tests::{listener::PATIENCE, programs::program};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
    time::timeout,
};

const EVENTS: usize = 4_000;
const EVENT_BYTES: usize = 1_000;
/// How long the reader takes for an event. What it is slow with, not what the test waits for.
const READING: Duration = Duration::from_millis(1);

/// A body that does not compress.
fn noise(number: usize) -> Vec<u8> {
    let mut state = (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..EVENT_BYTES).map(|_| next()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn regression_a_reader_that_is_slow_is_sent_its_backlog_once() -> Result<()> {
    let server = Server::start(Config { listen: "127.0.0.1:0".parse()?, ..Config::default() }).await?;
    let publisher = server.publisher("events")?;
    for number in 0..EVENTS {
        publisher.publish(Message { body: noise(number).into(), ..Message::default() }).await?;
    }
    let arguments = ["events", "--since", "earliest", "--log-bytes", "65536", "--quiet"];
    let mut child = Command::new(program("peer-client")?)
        .args(["subscribe", &format!("ws://{}/v1/ws", server.addr())])
        .args(arguments)
        .args(["--count", &EVENTS.to_string()])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut lines = BufReader::new(child.stdout.take().context("stdout is piped")?).lines();
    for number in 0..EVENTS {
        let line = timeout(PATIENCE, lines.next_line()).await.context("nothing comes")??;
        let event: Value = serde_json::from_str(&line.context("it ended")?)?;
        ensure!(event["offset"] == number, "{} instead of event {number}", event["offset"]);
        tokio::time::sleep(READING).await;
    }
    let stats = server.handle().snapshot().await?.channels.remove(0).stats;
    println!("{} bytes of events cost {} bytes, {} gaps", EVENTS * EVENT_BYTES, stats.data_bytes, stats.gaps);
    ensure!(stats.gaps == 0 && stats.data_bytes < 4_500_000, "{stats:?}");
    Ok(())
}
