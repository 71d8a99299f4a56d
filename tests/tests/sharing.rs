//! Two native peers with five channels and one connection.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tiercast_codec::{Message, PeerId};
use tiercast_mesh::hub::Tier1;
use tiercast_peer_client::{
    Client, ClientOptions, News, Notification, Since, Standing, SubscribeOptions, Subscription,
};
use tiercast_signaling_server::{Config, Server};
use tiercast_tests::listener::PATIENCE;
use tokio::{sync::broadcast, time::timeout};

const CHANNELS: [&str; 5] = ["a", "b", "c", "d", "e"];

/// A peer that has subscribed to all channels, and where it is in each.
struct Peer {
    client: Client,
    news: broadcast::Receiver<News>,
    subscriptions: Vec<Option<Subscription>>,
    next: i64,
}

impl Peer {
    async fn start(server: &Server, children_max: u16) -> Result<Self> {
        let url = format!("ws://{}/v1/ws", server.addr()).parse()?;
        let client = Client::connect(url, ClientOptions { children_max, ..ClientOptions::default() });
        let news = client.news();
        let mut subscriptions = Vec::new();
        for channel in CHANNELS {
            let options = SubscribeOptions { since: Since::Earliest, ..SubscribeOptions::default() };
            subscriptions.push(Some(client.subscribe(channel, options).await?));
        }
        Ok(Self { client, news, subscriptions, next: 0 })
    }

    async fn until(&self, what: &str, is_so: impl FnMut(&Standing) -> bool) -> Result<Standing> {
        let mut standing = self.client.standing();
        let waited =
            timeout(PATIENCE, standing.wait_for(is_so)).await.with_context(|| format!("not yet: {what}"));
        Ok(waited??.clone())
    }

    async fn shares(&self, links: usize) -> Result<Standing> {
        let what = format!("{links} links on one connection");
        self.until(&what, |standing| (standing.links, standing.connections) == (links, 1)).await
    }

    /// Waits until it is fed by another in so many channels; says how long after `begun` the last one was.
    async fn fed(&mut self, parent: PeerId, channels: usize, begun: Instant) -> Result<Duration> {
        let mut fed = std::collections::BTreeSet::new();
        while fed.len() < channels {
            if let News::Parent { channel, parent: Some(by) } = timeout(PATIENCE, self.news.recv()).await?? {
                ensure!(by == parent, "fed by {by}");
                fed.insert(channel);
            }
        }
        Ok(begun.elapsed())
    }

    /// The next events are those, in each channel.
    async fn takes(&mut self, count: i64) -> Result<()> {
        for subscription in self.subscriptions.iter_mut().flatten() {
            let mut offset = self.next;
            while offset < self.next + count {
                match timeout(PATIENCE, subscription.next()).await?.context("it ended")? {
                    Notification::Event { event, .. } => {
                        ensure!(event.offset == offset, "{} in place of {offset}", event.offset);
                        offset += 1;
                    }
                    Notification::Gap { .. } => anyhow::bail!("a gap"),
                    _ => {}
                }
            }
        }
        self.next += count;
        Ok(())
    }
}

async fn publish(server: &Server, count: usize) -> Result<()> {
    for channel in CHANNELS {
        let publisher = server.publisher(channel)?;
        for _ in 0..count {
            publisher.publish(Message { body: "body".into(), ..Message::default() }).await?;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn five_channels_cross_one_connection_and_each_has_a_life_of_its_own() -> Result<()> {
    let mut config = Config { listen: "127.0.0.1:0".parse()?, ..Config::default() };
    config.embedded_channels = CHANNELS.iter().map(|name| name.parse()).collect::<Result<_, _>>()?;
    config.hub.tier1 = Tier1 { min: 1, max: 1 };
    let server = Server::start(config).await?;
    let mut relay = Peer::start(&server, 8).await?;
    let parent = relay.until("in tier 1", |standing| standing.tier == 1).await?.peer.context("no name")?;
    publish(&server, 1).await?;
    relay.takes(1).await?;

    let begun = Instant::now();
    let mut child = Peer::start(&server, 0).await?;
    let took = child.fed(parent, 5, begun).await?;
    println!("fed by a peer in the fifth channel after {took:.1?}: {:?}", child.shares(5).await?);
    relay.shares(5).await?;
    publish(&server, 100).await?;
    child.takes(101).await?;
    relay.takes(100).await?;

    drop(child.subscriptions[0].take());
    child.shares(4).await?;
    relay.shares(4).await?;
    publish(&server, 100).await?;
    child.takes(100).await?;

    let (mut other, begun) = (Peer::start(&server, 8).await?, Instant::now());
    relay.client.kill();
    let heir = other.until("in tier 1", |standing| standing.tier == 1).await?.peer.context("no name")?;
    publish(&server, 100).await?;
    child.takes(100).await?;
    let took = child.fed(heir, 4, begun).await?;
    println!("fed by another one in the fourth after {took:.1?}");
    child.shares(4).await?;
    publish(&server, 100).await?;
    child.takes(100).await?;
    other.takes(401).await
}
