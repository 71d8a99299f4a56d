//! A mesh whose server stands behind nginx: nginx is reloaded, and the server restarted, while 100 peers listen.

use std::{
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use tiercast_codec::{Message, PeerId};
use tiercast_mesh::hub::{Place, Tier1};
use tiercast_peer_client::{ClientOptions, News};
use tiercast_signaling_server::{Config, KeySource, Server};
use tiercast_tests::{
    listener::{Listener, PATIENCE},
    nginx::Nginx,
};
use tokio::{
    sync::broadcast,
    task::JoinHandle,
    time::{interval, sleep_until, timeout},
};

const CHANNEL: &str = "builds";
const PEERS: usize = 100;
const ROOTS: usize = 2;
/// Most peers that the server feeds once everybody is back.
const FED_MAX: usize = PEERS * 5 / 100;
/// How many events there are, half of them from before the incident.
const EVENTS: usize = 1_000;
/// Between two events.
const PAUSE: Duration = Duration::from_millis(10);

fn config(listen: SocketAddr, key: &Path) -> Config {
    let mut config =
        Config { listen, embedded_channels: vec![CHANNEL.parse().unwrap()], ..Config::default() };
    config.signing_key = KeySource::File { path: key.to_owned(), create: true };
    config.hub.tier1 = Tier1 { min: ROOTS, max: ROOTS };
    // However busy the machine, nobody comes back too late.
    config.hub.resume = PATIENCE;
    config
}

/// Publishes one after the other.
fn publish(server: &Server, range: std::ops::Range<usize>) -> Result<JoinHandle<Result<()>>> {
    let publisher = server.publisher(CHANNEL)?;
    Ok(tokio::spawn(async move {
        let mut often = interval(PAUSE);
        for number in range {
            often.tick().await;
            publisher.publish(Message { body: number.to_string().into(), ..Default::default() }).await?;
        }
        Ok(())
    }))
}

/// Peers that listen, and what is said of them since the tree stands.
struct Audience {
    peers: Vec<Listener>,
    names: Vec<Option<PeerId>>,
    news: Vec<broadcast::Receiver<News>>,
}

impl Audience {
    async fn gather(nginx: &Nginx, server: &Server) -> Result<Self> {
        let mut peers = Vec::new();
        for _ in 0..PEERS {
            peers.push(Listener::start(&nginx.url(), CHANNEL, ClientOptions::default()).await?);
        }
        timeout(PATIENCE, async {
            let mut often = interval(Duration::from_millis(50));
            while Tree::of(server).await? != (Tree { peers: PEERS, fed_by_server: ROOTS }) {
                often.tick().await;
            }
            anyhow::Ok(())
        })
        .await
        .context("the tree does not stand")??;
        let names = names(&peers);
        let news = peers.iter().map(Listener::news).collect();
        Ok(Self { peers, names, news })
    }

    async fn has(&self, events: usize) -> Result<()> {
        for peer in &self.peers {
            peer.wait_for(events).await?;
        }
        Ok(())
    }

    /// Waits until all have lost their connections and have others. Says how the tree stands then.
    async fn is_back(&self, server: &Server, since: Instant) -> Result<Tree> {
        for peer in &self.peers {
            peer.wait_until("connected again", |standing| standing.disconnects > 0 && standing.is_connected)
                .await?;
        }
        println!("all are back after {:?}", since.elapsed());
        Tree::of(server).await
    }

    /// Everybody is who it was, and no link was lost.
    fn check_names_and_links(&mut self) -> Result<()> {
        ensure!(names(&self.peers) == self.names, "others have come in the place of some");
        let lost = |news: &mut broadcast::Receiver<News>| {
            std::iter::from_fn(|| news.try_recv().ok())
                .filter(|news| matches!(news, News::LinkLost { .. }))
                .collect::<Vec<_>>()
        };
        let lost: Vec<_> = self.news.iter_mut().flat_map(lost).collect();
        ensure!(lost.is_empty(), "links were made anew: {lost:?}");
        Ok(())
    }

    /// Everybody has every event, once and in order, and was told of so many gaps.
    fn check_events(&self, gaps: usize) -> Result<()> {
        for peer in &self.peers {
            let bodies = peer.events().into_iter().map(|(_, body)| body);
            let all = (0..EVENTS).map(|number| number.to_string().into_bytes());
            ensure!(bodies.eq(all), "not every event, once and in order");
            ensure!(peer.gaps().len() == gaps, "{:?}", peer.gaps());
        }
        Ok(())
    }
}

fn names(peers: &[Listener]) -> Vec<Option<PeerId>> {
    peers.iter().map(|peer| peer.standing().peer).collect()
}

/// How many peers there are, and how many the server feeds.
#[derive(Debug, PartialEq)]
struct Tree {
    peers: usize,
    fed_by_server: usize,
}

impl Tree {
    async fn of(server: &Server) -> Result<Self> {
        let nodes = server.handle().topology(&CHANNEL.parse()?).await?.context("the channel")?;
        let fed_by_server = nodes.iter().filter(|node| !matches!(node.place, Place::Child(_))).count();
        Ok(Self { peers: nodes.len(), fed_by_server })
    }

    fn check(&self) -> Result<()> {
        ensure!(self.peers == PEERS && self.fed_by_server <= FED_MAX, "{self:?}");
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_is_reloaded_costs_no_link_and_no_event() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let server = Server::start(config(([127, 0, 0, 1], 0).into(), &folder.path().join("key"))).await?;
    let nginx = Nginx::before(server.addr()).await?;
    let mut audience = Audience::gather(&nginx, &server).await?;
    let publishing = publish(&server, 0..EVENTS)?;
    audience.has(EVENTS / 2).await?;

    nginx.reload()?;
    let since = Instant::now();
    audience.is_back(&server, since).await?.check()?;
    sleep_until((since + Duration::from_secs(2)).into()).await;
    let tree = Tree::of(&server).await?;
    println!("2 s after the reload: {tree:?}");
    tree.check()?;
    publishing.await??;
    audience.has(EVENTS).await?;
    audience.check_events(0)?;
    audience.check_names_and_links()?;
    let resumed = server.handle().snapshot().await?.hub.resumed as usize;
    ensure!(resumed == PEERS, "{resumed} were known again");
    server.shutdown().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_restarted_behind_a_proxy_costs_no_link_and_no_event() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let key = folder.path().join("key");
    let server = Server::start(config(([127, 0, 0, 1], 0).into(), &key)).await?;
    let addr = server.addr();
    let nginx = Nginx::before(addr).await?;
    let mut audience = Audience::gather(&nginx, &server).await?;
    publish(&server, 0..EVENTS / 2)?.await??;
    // What a server without a broker has published goes with it.
    audience.has(EVENTS / 2).await?;

    let since = Instant::now();
    server.shutdown().await;
    let server = Server::start(config(addr, &key)).await?;
    audience.is_back(&server, since).await?.check()?;
    sleep_until((since + Duration::from_secs(2)).into()).await;
    let tree = Tree::of(&server).await?;
    println!("2 s after the restart: {tree:?}");
    tree.check()?;
    publish(&server, EVENTS / 2..EVENTS)?.await??;
    audience.has(EVENTS).await?;
    // The numbering of a channel without a broker begins anew.
    audience.check_events(1)?;
    audience.check_names_and_links()?;
    let stats = server.handle().snapshot().await?.channels.remove(0).stats;
    println!("{} links were taken over, {} set up", stats.adopted, stats.links);
    ensure!(stats.adopted as usize >= PEERS - FED_MAX, "{stats:?}");
    server.shutdown().await;
    Ok(())
}
