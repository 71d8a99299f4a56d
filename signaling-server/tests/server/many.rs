//! Many sessions at once: everybody receives everything, and an idle one costs little.

use anyhow::{Context, ensure};
use tiercast_codec::Since;
use tokio::task::JoinSet;

use crate::{client::Client, config, http_client, message, program::Program, start};

const SESSIONS: usize = 500;
const EVENTS: usize = 100;

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_sessions_receive_everything() -> anyhow::Result<()> {
    let server = start(config()).await?;
    let addr = server.addr();
    let mut connecting = JoinSet::new();
    for _ in 0..SESSIONS {
        connecting.spawn(Client::subscribed(addr, Since::Now));
    }
    let mut clients = Vec::new();
    while let Some(client) = connecting.join_next().await {
        clients.push(client??);
    }
    let mut receiving = JoinSet::new();
    for mut client in clients {
        receiving.spawn(async move { client.events(EVENTS).await });
    }
    let publisher = server.publisher("events")?;
    for number in 0..EVENTS {
        publisher.publish(message(format!("event {number}"))).await?;
    }
    let mut complete = 0;
    while let Some(events) = receiving.join_next().await {
        for (number, event) in events??.iter().enumerate() {
            ensure!(event.message == message(format!("event {number}")));
        }
        complete += 1;
    }
    ensure!(complete == SESSIONS);
    server.shutdown().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_session_costs_little_memory() -> anyhow::Result<()> {
    let program = Program::start(&[]).await?;
    let before = resident_bytes(&program).await?;
    let mut clients = Vec::new();
    for _ in 0..SESSIONS {
        clients.push(Client::subscribed(program.addr, Since::Now).await?);
    }
    let each = resident_bytes(&program).await?.saturating_sub(before) / SESSIONS as u64;
    println!("an idle session takes about {each} bytes of resident memory ({SESSIONS} sessions)");
    ensure!(each < 64 << 10, "{each} bytes a session");
    Ok(())
}

async fn resident_bytes(program: &Program) -> anyhow::Result<u64> {
    let page = http_client::get(program.addr, "/metrics", &[]).await?.body;
    let value = page.lines().find_map(|line| line.strip_prefix("tiercast_process_resident_bytes "));
    Ok(value.context("no such metric")?.parse()?)
}
