//! Channels that are published to over HTTP, and a server that is killed: with a data folder nothing that was confirmed is
//! lost, and without one what is lost is an explicit gap.

use std::{net::SocketAddr, ops::Range};

use anyhow::Result;
use serde_json::{Value, json};
use tiercast_tests::{
    audience::{Audience, SILENCE},
    gate::Gate,
    http_publisher::API_KEY,
    plain::post,
    server_program::ServerProgram,
};
use tokio::time::sleep;

use crate::{ONE_ROOT, PARTS, Publishing, SMALL_LOG, USUALLY, events};

/// The channel that a server has to which none is given.
const CHANNEL: &str = "events";

/// Publishes in the background. What is not confirmed is published again, under the same message ids.
fn publish(server: SocketAddr, events: usize) -> Publishing {
    crate::publish(events, USUALLY, async move |mut course| {
        while let Some(numbers) = course.next().await? {
            publish_part(server, numbers).await;
        }
        Ok(())
    })
}

async fn publish_part(server: SocketAddr, numbers: Range<usize>) {
    let items = numbers.map(|number| json!({ "message_id": number.to_string(), "text": number.to_string() }));
    let (path, body) = (format!("/v1/publish/{CHANNEL}/batch"), Value::Array(items.collect()));
    while post(&server.to_string(), &path, API_KEY, &body).await.is_err() {
        sleep(USUALLY / PARTS as u32).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_data_folder_across_kill_9() -> Result<()> {
    let (folder, events) = (tempfile::tempdir()?, events()?);
    let config = format!("data_dir = {:?}\n{ONE_ROOT}{SMALL_LOG}", folder.path());
    let mut server = ServerProgram::start(&config).await?;
    let audience = Audience::start(&[server.addr], CHANNEL, SILENCE).await?;
    let publishing = publish(server.addr, events);
    audience.wait_for(events / 4).await?;
    server.kill().await?;
    publishing.go_on();
    server.start_again().await?;
    publishing.end().await?;
    let published: Vec<_> = (0..events).map(|number| number.to_string()).collect();
    for had in audience.had_until(&(events - 1).to_string()).await? {
        had.is_exactly(&published)?;
        println!("data folder, kill -9: {}: {} events", had.who, had.bodies.len());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn in_memory_across_a_server_that_is_killed() -> Result<()> {
    let events = events()?;
    let mut server = ServerProgram::start(ONE_ROOT).await?;
    let gate = Gate::to(server.addr.to_string()).await?;
    let audience = Audience::start(&[gate.addr()], CHANNEL, SILENCE).await?;
    let publishing = publish(server.addr, events);
    audience.wait_for(events / 2).await?;
    gate.close();
    audience.wait_until_connected(false).await?;
    // Nobody but the server has these, and nothing is under way when it is killed.
    publishing.go_on_to(events * 3 / 4).await?;
    server.kill().await?;
    server.start_again().await?;
    gate.open();
    publishing.end().await?;
    crate::check_gaps("in memory", &audience, &(events - 1).to_string(), events / 5).await
}
