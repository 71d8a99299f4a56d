//! A native peer that changes what it offers while it is subscribed.

use anyhow::Result;
use tiercast_mesh::hub::Tier1;
use tiercast_peer_client::ClientOptions;
use tiercast_signaling_server::{Config, Message, Server};
use tiercast_tests::listener::Listener;

const CHANNEL: &str = "builds";

fn config() -> Config {
    let listen = ([127, 0, 0, 1], 0).into();
    let mut config =
        Config { listen, embedded_channels: vec![CHANNEL.parse().unwrap()], ..Config::default() };
    config.hub.tier1 = Tier1 { min: 1, max: 1 };
    config
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_gives_back_its_children_makes_room_for_one_that_takes_some() -> Result<()> {
    let server = Server::start(config()).await?;
    let url = format!("ws://{}/v1/ws", server.addr());
    let first = Listener::start(&url, CHANNEL, ClientOptions::default()).await?;
    first.wait_until("in tier 1", |standing| standing.tier == 1).await?;
    let second = Listener::start(&url, CHANNEL, ClientOptions::default()).await?;
    second.wait_until("fed by the first", |standing| standing.parent.is_some()).await?;
    first.offer(0).await?;
    first.wait_until("fed by the second", |standing| standing.parent.is_some()).await?;
    second.wait_until("fed by the server", |standing| standing.tier == 1).await?;
    server.publisher(CHANNEL)?.publish(Message { body: "{}".into(), ..Message::default() }).await?;
    first.wait_for(1).await?;
    second.wait_for(1).await?;
    server.shutdown().await;
    Ok(())
}
