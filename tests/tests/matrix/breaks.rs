//! Connections, servers and brokers that go and come back.

use anyhow::{Result, ensure};
use tiercast_tests::{
    audience::{Audience, SILENCE},
    broker::Broker,
    gate::Gate,
    server_program::ServerProgram,
};

use crate::{Feed, USUALLY};

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_connect_again() -> Result<()> {
    let broker = Broker::shared().await?;
    let feed = Feed::new("reconnect", &broker).await?;
    let server = ServerProgram::start(&feed.config(&[broker.url()])).await?;
    let gate = Gate::to(server.addr.to_string()).await?;
    let audience = Audience::start(&[gate.addr()], &feed.name, SILENCE).await?;
    let publishing = feed.publish(&broker, USUALLY);
    for part in [8, 4, 2] {
        audience.wait_for(feed.events / part).await?;
        gate.close();
        audience.wait_until_connected(false).await?;
        gate.open();
        audience.wait_until_connected(true).await?;
    }
    publishing.end().await?;
    feed.check("client reconnect", &[&broker], &audience, 4..).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_and_comes_back() -> Result<()> {
    let broker = Broker::shared().await?;
    let feed = Feed::new("server-killed", &broker).await?;
    let mut server = ServerProgram::start(&feed.config(&[broker.url()])).await?;
    let audience = Audience::start(&[server.addr], &feed.name, SILENCE).await?;
    let publishing = feed.publish(&broker, USUALLY);
    audience.wait_for(feed.events / 4).await?;
    server.kill().await?;
    publishing.go_on();
    server.start_again().await?;
    publishing.end().await?;
    feed.check("server killed", &[&broker], &audience, 2..).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_to_another_server() -> Result<()> {
    let broker = Broker::shared().await?;
    let feed = Feed::new("second-server", &broker).await?;
    let config = feed.config(&[broker.url()]);
    let mut one = ServerProgram::start(&config).await?;
    let mut other = ServerProgram::start(&config).await?;
    // It is not there yet, so that all begin at the first one.
    other.kill().await?;
    let audience = Audience::start(&[one.addr, other.addr], &feed.name, SILENCE).await?;
    other.start_again().await?;
    let publishing = feed.publish(&broker, USUALLY);
    audience.wait_for(feed.events / 4).await?;
    one.kill().await?;
    publishing.go_on();
    publishing.end().await?;
    feed.check("second server", &[&broker], &audience, 2..).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_killed_and_comes_back() -> Result<()> {
    let mut broker = Broker::start().await?;
    let feed = Feed::new("broker-killed", &broker).await?;
    let server = ServerProgram::start(&feed.config(&[broker.url()])).await?;
    let audience = Audience::start(&[server.addr], &feed.name, SILENCE).await?;
    let publishing = feed.publish(&broker, USUALLY);
    audience.wait_for(feed.events / 4).await?;
    broker.kill().await?;
    publishing.go_on();
    broker.start_again().await?;
    publishing.end().await?;
    feed.check("broker restart", &[&broker], &audience, 1..=1).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause() -> Result<()> {
    let broker = Broker::shared().await?;
    let feed = Feed::new("pause", &broker).await?;
    let server = ServerProgram::start(&feed.config(&[broker.url()])).await?;
    let audience = Audience::start(&[server.addr], &feed.name, SILENCE).await?;
    let publishing = feed.publish(&broker, USUALLY);
    audience.wait_for(feed.events / 4).await?;
    let paused = audience.pause().await?;
    publishing.end().await?;
    let resumed = audience.resume().await?;
    ensure!(paused == resumed, "events came during the pause: {paused:?}, {resumed:?}");
    feed.check("pause", &[&broker], &audience, 1..=1).await
}
