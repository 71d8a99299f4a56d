//! The programs before a real `| head -1`: they end with it, and say nothing about it.

use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use tiercast_codec::Message;
use tiercast_signaling_server::{Config, Server};
use tiercast_tests::{listener::PATIENCE, programs::program};
use tokio::{process::Command, time::timeout};

/// Runs `PROGRAM ARGUMENTS | head -1` in a shell that shows how the program ends.
async fn head(name: &str, arguments: &str) -> Result<()> {
    let script = format!("set -o pipefail; '{}' {arguments} | head -1", program(name)?.display());
    let mut shell = Command::new("bash");
    shell.args(["-c", &script]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = shell.kill_on_drop(true).spawn()?;
    let output =
        timeout(PATIENCE, child.wait_with_output()).await.with_context(|| format!("no end: {script}"))??;
    let (stdout, stderr) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
    ensure!(output.status.code() == Some(0), "{script}: {:?} {stderr}", output.status);
    ensure!(stdout.starts_with('{') && stdout.lines().count() == 1, "{script}: {stdout}");
    ensure!(!stderr.contains("pipe") && !stderr.contains("panic"), "{script}: {stderr}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn regression_whoever_reads_one_line_gets_it_without_a_complaint() -> Result<()> {
    let server = Server::start(Config { listen: ([127, 0, 0, 1], 0).into(), ..Config::default() }).await?;
    let publisher = server.publisher("events")?;
    for number in 0..3 {
        let body = format!("{{\"number\":{number}}}").into();
        publisher.publish(Message { routing_key: "a.b".into(), body, ..Message::default() }).await?;
    }
    let addr = server.addr();
    // Nothing more is published: the end must not wait for a next event.
    head("peer-client", &format!("subscribe {addr} events --since earliest")).await?;
    head("peer-client", &format!("swarm {addr} events --since earliest --peers 2 --json")).await?;
    head("tiercast-demo", "experiment --peers 2 --events 5 --rate 100 --json").await?;
    server.shutdown().await;
    Ok(())
}
