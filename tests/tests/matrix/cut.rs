//! A network that lets nothing through for ten seconds, and tells nobody.

use std::time::Duration;

use anyhow::Result;
use tiercast_tests::{
    audience::{Audience, SILENCE},
    broker::Broker,
    gate::Gate,
    victim::Victim,
};
use tokio::time::sleep;

use crate::{Feed, anywhere};

const CUT: Duration = Duration::from_secs(10);

/// Events go on being published while nothing gets through, and after.
const PUBLISHING: Duration = Duration::from_secs(13);

/// Connections still stand afterwards, and what was said in vain arrives.
#[tokio::test(flavor = "multi_thread")]
async fn between_clients_and_server_for_ten_seconds() -> Result<()> {
    between_clients_and_server("cut, connections stand", |_| {}, SILENCE, Gate::release).await
}

/// Connections are dead afterwards, and neither end is told: both have to find out.
#[tokio::test(flavor = "multi_thread")]
async fn between_clients_and_server_for_good() -> Result<()> {
    let heartbeat = Duration::from_secs(1);
    let hurried = |config: &mut tiercast_signaling_server::Config| {
        (config.hub.heartbeat, config.limits.reader_heartbeat) = (heartbeat, heartbeat);
    };
    between_clients_and_server("cut, connections dead", hurried, heartbeat * 4, Gate::release_new).await
}

async fn between_clients_and_server(
    cell: &str,
    configure: impl Fn(&mut tiercast_signaling_server::Config),
    silence: Duration,
    after: impl Fn(&Gate),
) -> Result<()> {
    let broker = Broker::shared().await?;
    let feed = Feed::new("cut-clients", &broker).await?;
    let mut config = feed.config(anywhere(), &[broker.url()])?;
    configure(&mut config);
    let server = Victim::start(config).await?;
    let gate = Gate::to(server.addr().to_string()).await?;
    let audience = Audience::start(&[gate.addr()], &feed.name, silence).await?;
    let publishing = feed.publish(&broker, PUBLISHING);
    audience.wait_for(feed.events / 20).await?;
    gate.hold();
    sleep(CUT).await;
    after(&gate);
    publishing.await??;
    feed.check(cell, &broker, &audience).await
}

/// The server's connection to the broker stands again afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn between_server_and_broker_for_ten_seconds() -> Result<()> {
    between_server_and_broker("broker cut, connection stands", 60, Gate::release).await
}

/// The server's connection is dead, and nobody tells it.
#[tokio::test(flavor = "multi_thread")]
async fn between_server_and_broker_for_good() -> Result<()> {
    between_server_and_broker("broker cut, connection dead", 2, Gate::release_new).await
}

async fn between_server_and_broker(cell: &str, heartbeat_s: u16, after: impl Fn(&Gate)) -> Result<()> {
    let broker = Broker::shared().await?;
    let (feed, gate) = (Feed::new("cut-broker", &broker).await?, Gate::before(&broker).await?);
    let mut config = feed.config(anywhere(), &[&gate.url(&broker)?])?;
    config.amqp.iter_mut().for_each(|amqp| amqp.heartbeat_s = heartbeat_s);
    let server = Victim::start(config).await?;
    let audience = Audience::start(&[server.addr()], &feed.name, SILENCE).await?;
    let publishing = feed.publish(&broker, PUBLISHING);
    audience.wait_for(feed.events / 20).await?;
    gate.hold();
    sleep(CUT).await;
    after(&gate);
    publishing.await??;
    feed.check(cell, &broker, &audience).await
}
