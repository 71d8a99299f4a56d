//! A network that lets nothing through for ten seconds, and tells nobody.

use std::{fmt::Debug, ops::RangeBounds, time::Duration};

use anyhow::{Result, ensure};
use tiercast_tests::{
    audience::{Audience, SILENCE},
    broker::Broker,
    gate::Gate,
    server_program::ServerProgram,
};
use tokio::{time::sleep, try_join};

use crate::Feed;

const CUT: Duration = Duration::from_secs(10);

/// Events go on being published while nothing gets through, and after.
const PUBLISHING: Duration = Duration::from_secs(13);

/// Where both ends have to find out by themselves that they are cut off, they do so within three of these.
const HEARTBEAT: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_swallows_everything_for_ten_seconds() -> Result<()> {
    let (broker, hurried) = (Broker::shared().await?, hurried());
    try_join!(
        between_clients_and_server(&broker, "cut, connections stand", "", SILENCE, Gate::release, 1..=1),
        between_clients_and_server(
            &broker,
            "cut, connections dead",
            &hurried,
            HEARTBEAT * 4,
            Gate::release_new,
            2..
        ),
        between_server_and_broker(&broker, "broker cut, connection stands", 60, Gate::release, 0.0..=0.0),
        between_server_and_broker(&broker, "broker cut, connection dead", 2, Gate::release_new, 1.0..),
    )?;
    Ok(())
}

/// Lines of a server's configuration.
fn hurried() -> String {
    let heartbeat_ms = HEARTBEAT.as_millis();
    format!("hub.heartbeat_ms = {heartbeat_ms}\nlimits.reader_heartbeat_ms = {heartbeat_ms}\n")
}

async fn between_clients_and_server(
    broker: &Broker,
    cell: &str,
    more_config: &str,
    silence: Duration,
    after: impl Fn(&Gate),
    connections: impl RangeBounds<usize> + Debug,
) -> Result<()> {
    let feed = Feed::new("cut-clients", broker).await?;
    let server = ServerProgram::start(&(feed.config(&[broker.url()]) + more_config)).await?;
    let gate = Gate::to(server.addr.to_string()).await?;
    let audience = Audience::start(&[gate.addr()], &feed.name, silence).await?;
    cut(&feed, broker, cell, &audience, &gate, after, connections).await
}

async fn between_server_and_broker(
    broker: &Broker,
    cell: &str,
    heartbeat_s: u16,
    after: impl Fn(&Gate),
    reconnects: impl RangeBounds<f64> + Debug,
) -> Result<()> {
    let (feed, gate) = (Feed::new("cut-broker", broker).await?, Gate::before(broker).await?);
    let config = format!("{}amqp.heartbeat_s = {heartbeat_s}\n", feed.config(&[&gate.url(broker)?]));
    let server = ServerProgram::start(&config).await?;
    let audience = Audience::start(&[server.addr], &feed.name, SILENCE).await?;
    cut(&feed, broker, cell, &audience, &gate, after, 1..=1).await?;
    let has = server.metric("amqp_reconnects_total").await?;
    ensure!(reconnects.contains(&has), "{cell}: {has} reconnects, where there have to be {reconnects:?}");
    Ok(())
}

async fn cut(
    feed: &Feed,
    broker: &Broker,
    cell: &str,
    audience: &Audience,
    gate: &Gate,
    after: impl Fn(&Gate),
    connections: impl RangeBounds<usize> + Debug,
) -> Result<()> {
    let publishing = feed.publish(broker, PUBLISHING);
    audience.wait_for(feed.events / 20).await?;
    gate.hold();
    // By then, what was under way has come.
    sleep(CUT / 2).await;
    let (published, had) = (publishing.published(), audience.counts());
    publishing.go_on();
    sleep(CUT / 2).await;
    ensure!(publishing.published() > published, "{cell}: nothing was published meanwhile");
    ensure!(audience.counts() == had, "{cell}: something got through: {had:?}, {:?}", audience.counts());
    after(gate);
    publishing.end().await?;
    feed.check(cell, &[broker], audience, connections).await
}
