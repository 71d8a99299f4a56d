//! Channels that are published to over HTTP, and a server that is killed: with a data folder nothing that was confirmed is
//! lost, and without one what is lost is an explicit gap.

use std::{net::SocketAddr, ops::Range};

use anyhow::Result;
use serde_json::{Value, json};
use tiercast_tests::{
    audience::{Audience, SILENCE},
    http_publisher::API_KEY,
    plain::post,
    server_program::ServerProgram,
};
use tokio::{net::TcpStream, time::sleep};

use crate::{ONE_ROOT, PARTS, Publishing, SMALL_LOG, USUALLY, events};

/// The channel that a server has to which none is given.
const CHANNEL: &str = "events";

/// What becomes of events that were not confirmed.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Unconfirmed {
    /// They are published again, under the same message ids.
    Again,
    /// They are left out: a server without a data folder does not know whether it had them before.
    LeftOut,
}

/// Publishes in the background. The last event is published until it is confirmed.
fn publish(server: SocketAddr, events: usize, unconfirmed: Unconfirmed) -> Publishing {
    crate::publish(events, USUALLY, async move |mut course| {
        while let Some(numbers) = course.next().await? {
            let unconfirmed = if numbers.end == events { Unconfirmed::Again } else { unconfirmed };
            publish_part(server, numbers, unconfirmed).await;
        }
        Ok(())
    })
}

async fn publish_part(server: SocketAddr, numbers: Range<usize>, unconfirmed: Unconfirmed) {
    let items = numbers.map(|number| json!({ "message_id": number.to_string(), "text": number.to_string() }));
    let (path, body) = (format!("/v1/publish/{CHANNEL}/batch"), Value::Array(items.collect()));
    loop {
        // Nothing was said to a server that is not there.
        while TcpStream::connect(server).await.is_err() {
            sleep(USUALLY / PARTS as u32).await;
        }
        let is_confirmed = post(&server.to_string(), &path, API_KEY, &body).await.is_ok();
        if is_confirmed || unconfirmed == Unconfirmed::LeftOut {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_data_folder_across_kill_9() -> Result<()> {
    let (folder, events) = (tempfile::tempdir()?, events()?);
    let config = format!("data_dir = {:?}\n{ONE_ROOT}{SMALL_LOG}", folder.path());
    let mut server = ServerProgram::start(&config).await?;
    let audience = Audience::start(&[server.addr], CHANNEL, SILENCE).await?;
    let publishing = publish(server.addr, events, Unconfirmed::Again);
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
    let audience = Audience::start(&[server.addr], CHANNEL, SILENCE).await?;
    let publishing = publish(server.addr, events, Unconfirmed::LeftOut);
    audience.wait_for(events / 4).await?;
    server.kill().await?;
    publishing.go_on();
    server.start_again().await?;
    publishing.end().await?;
    crate::check_gaps("in memory", &audience, &(events - 1).to_string()).await
}
