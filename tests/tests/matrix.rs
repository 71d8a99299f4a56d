//! Every transport through every kind of break: each event once and in order, and no gap. The server keeps so little in
//! memory that whoever comes back reads the stream's past.
//!
//! `TIERCAST_MATRIX=20000 cargo test --release --test matrix -- --nocapture` takes more events than the test does unasked.

use std::{collections::BTreeSet, net::SocketAddr};

use anyhow::{Context, Result, ensure};
use tiercast_peer_client::ClientOptions;
use tiercast_signaling_server::{
    Config, KeySource, LogLimits,
    source::amqp::{AmqpChannelConfig, AmqpConfig, BindingConfig},
};
use tiercast_tests::{
    broker::{Broker, Outgoing},
    listener::Listener,
    plain::{Order, Plain, Speech},
    victim::Victim,
};

const EXCHANGE: &str = "ci";
const CHANNEL: &str = "builds";

/// How many events a cell takes.
fn events() -> Result<usize> {
    let given = std::env::var("TIERCAST_MATRIX").ok().map(|count| count.parse()).transpose()?;
    Ok(given.unwrap_or(2_000))
}

/// A server that has nearly nothing in memory.
fn config(listen: SocketAddr, broker: &Broker) -> Result<Config> {
    let channel = AmqpChannelConfig::new(CHANNEL.parse()?, vec![BindingConfig::new(EXCHANGE, ["#"])?]);
    let amqp = AmqpConfig::new(broker.url().parse()?, vec![channel]);
    let mut config = Config {
        listen,
        embedded_channels: Vec::new(),
        amqp: Some(amqp),
        signing_key: KeySource::Random,
        ..Config::default()
    };
    config.hub.log = LogLimits { bytes: 64 << 10, entries: 64 };
    Ok(config)
}

/// A broker with an exchange, and clients of all transports at these servers.
struct Scene {
    broker: Broker,
    plain: Vec<(Speech, Plain)>,
    peer: Listener,
    events: usize,
}

impl Scene {
    async fn set(broker: Broker, servers: &[SocketAddr]) -> Result<Self> {
        let servers: Vec<_> = servers.iter().map(SocketAddr::to_string).collect();
        let start = |speech| (speech, Plain::start(speech, servers.clone(), CHANNEL, &[]));
        let plain: Vec<_> = Speech::ALL.into_iter().map(start).collect();
        let peer = Listener::start(&servers.join(","), CHANNEL, ClientOptions::default()).await?;
        for (speech, client) in &plain {
            client.wait_until(&format!("{speech:?} connected"), |got| got.connections > 0).await?;
        }
        Ok(Self { broker, plain, peer, events: events()? })
    }

    /// Publishes in the background. The last event comes by itself, when all others are there.
    fn publish(&self) -> tokio::task::JoinHandle<Result<()>> {
        let (mut publisher, events) = (self.broker.publisher(EXCHANGE), self.events);
        tokio::spawn(async move {
            let message =
                |number: usize| Outgoing::new("build.done", &number.to_string(), number.to_string());
            let messages: Vec<_> = (0..events).map(message).collect();
            publisher.publish(&messages[..events - 1]).await?;
            publisher.publish(&messages[events - 1..]).await
        })
    }

    /// Waits until every client has so large a part of the events.
    async fn wait_for(&self, part: usize) -> Result<()> {
        let events = self.events / part;
        for (speech, client) in &self.plain {
            client.wait_until(&format!("{speech:?} at {events}"), |got| got.bodies.len() >= events).await?;
        }
        self.peer.wait_for(events).await
    }

    /// Each client has what the stream holds, and the stream holds what was published.
    async fn check(&self, cell: &str) -> Result<()> {
        let last = (self.events - 1).to_string();
        let stream = self
            .broker
            .read_stream_until(&format!("tiercast.{CHANNEL}"), |stream| {
                stream.last().is_some_and(|delivery| delivery.data == last.as_bytes())
            })
            .await?;
        let held: Vec<_> =
            stream.iter().map(|delivery| String::from_utf8_lossy(&delivery.data).into_owned()).collect();
        let distinct: BTreeSet<usize> = held.iter().map(|body| body.parse()).collect::<Result<_, _>>()?;
        ensure!(distinct.into_iter().eq(0..self.events), "the stream does not hold what was published");
        for (speech, client) in &self.plain {
            let got = client
                .wait_until(&format!("{speech:?} at the end"), |got| got.bodies.last() == Some(&last))
                .await?;
            ensure!(got.gaps.is_empty(), "{speech:?}: {:?}", got.gaps);
            ensure!(got.bodies == held, "{speech:?} has {} of {}", got.bodies.len(), held.len());
            println!("{cell}: {speech:?}: {} events, {} connections", got.bodies.len(), got.connections);
        }
        self.peer.wait_for(held.len()).await?;
        ensure!(self.peer.gaps().is_empty(), "the peer: {:?}", self.peer.gaps());
        let bodies: Vec<_> = self
            .peer
            .events()
            .into_iter()
            .map(|(_, body)| String::from_utf8_lossy(&body).into_owned())
            .collect();
        ensure!(bodies == held, "the peer has {} of {}", bodies.len(), held.len());
        println!("{cell}: a native peer: {} events", bodies.len());
        Ok(())
    }
}

async fn broker() -> Result<Broker> {
    let broker = Broker::start().await?;
    broker.declare_topic_exchange(EXCHANGE).await?;
    Ok(broker)
}

fn anywhere() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_connect_again() -> Result<()> {
    let broker = broker().await?;
    let server = Victim::start(config(anywhere(), &broker)?).await?;
    let scene = Scene::set(broker, &[server.addr()]).await?;
    let publishing = scene.publish();
    for part in [8, 4, 2] {
        scene.wait_for(part).await?;
        for (_, client) in &scene.plain {
            client.order(Order::Reconnect).await?;
        }
    }
    publishing.await??;
    scene.check("client reconnect").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_and_comes_back() -> Result<()> {
    let broker = broker().await?;
    let server = Victim::start(config(anywhere(), &broker)?).await?;
    let scene = Scene::set(broker, &[server.addr()]).await?;
    let publishing = scene.publish();
    scene.wait_for(4).await?;
    let addr = server.kill().await?;
    let _server = Victim::start(config(addr, &scene.broker)?).await?;
    publishing.await??;
    scene.check("server killed").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_to_another_server() -> Result<()> {
    let broker = broker().await?;
    let one = Victim::start(config(anywhere(), &broker)?).await?;
    let other = Victim::start(config(anywhere(), &broker)?).await?;
    let scene = Scene::set(broker, &[one.addr(), other.addr()]).await?;
    let publishing = scene.publish();
    scene.wait_for(4).await?;
    one.kill().await?;
    publishing.await??;
    scene.check("second server").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_killed_and_comes_back() -> Result<()> {
    let broker = broker().await?;
    let server = Victim::start(config(anywhere(), &broker)?).await?;
    let mut scene = Scene::set(broker, &[server.addr()]).await?;
    let publishing = scene.publish();
    scene.wait_for(4).await?;
    scene.broker.kill().await?;
    scene.broker.start_again().await?;
    publishing.await??;
    scene.check("broker restart").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause() -> Result<()> {
    let broker = broker().await?;
    let server = Victim::start(config(anywhere(), &broker)?).await?;
    let scene = Scene::set(broker, &[server.addr()]).await?;
    let (_, json) = scene.plain.iter().find(|(speech, _)| *speech == Speech::Json).context("JSON")?;
    let publishing = scene.publish();
    scene.wait_for(4).await?;
    json.order(Order::Pause).await?;
    publishing.await??;
    json.order(Order::Resume).await?;
    scene.check("pause (JSON)").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_across_a_server_that_is_killed() -> Result<()> {
    let broker = broker().await?;
    let server = Victim::start(config(anywhere(), &broker)?).await?;
    let servers = vec![server.addr().to_string()];
    let start = |speech| (speech, Plain::start(speech, servers.clone(), CHANNEL, &["even.*"]));
    let plain: Vec<_> = Speech::ALL.into_iter().map(start).collect();
    let (events, mut publisher) = (events()?, broker.publisher(EXCHANGE));
    let message = |number: usize| {
        let key = if number.is_multiple_of(2) { "even.x" } else { "odd.x" };
        Outgoing::new(key, &number.to_string(), number.to_string())
    };
    let messages: Vec<_> = (0..=events).map(message).collect();
    publisher.publish(&messages[..events / 2]).await?;
    for (speech, client) in &plain {
        client.wait_until(&format!("{speech:?} half way"), |got| got.bodies.len() >= events / 4).await?;
    }
    let addr = server.kill().await?;
    publisher.publish(&messages[events / 2..]).await?;
    let _server = Victim::start(config(addr, &broker)?).await?;
    let wanted: Vec<_> = (0..=events).step_by(2).map(|number| number.to_string()).collect();
    for (speech, client) in &plain {
        let got = client
            .wait_until(&format!("{speech:?} at the end"), |got| got.bodies.len() >= wanted.len())
            .await?;
        ensure!(got.bodies == wanted && got.gaps.is_empty(), "{speech:?}: {:?}", got.gaps);
        println!("filter: {speech:?}: {} events, {} connections", got.bodies.len(), got.connections);
    }
    Ok(())
}
