//! A mesh that outlives its server: with the same key, the next server takes the links over that the last one set up.

use std::{collections::BTreeSet, net::SocketAddr, path::Path, time::Duration};

use anyhow::{Context, Result};
use tiercast_codec::Message;
use tiercast_mesh::hub::{Place, Tier1};
use tiercast_peer_client::{ClientOptions, News};
use tiercast_signaling_server::{Config, KeySource, Server};
use tiercast_tests::listener::{Listener, PATIENCE};
use tokio::time::{sleep, timeout};

const CHANNEL: &str = "builds";
const PEERS: usize = 24;
const ROOTS: usize = 2;

fn config(listen: SocketAddr, key: &Path) -> Config {
    let mut config =
        Config { listen, embedded_channels: vec![CHANNEL.parse().unwrap()], ..Config::default() };
    config.signing_key = KeySource::File { path: key.to_owned(), create: true };
    config.hub.tier1 = Tier1 { min: ROOTS, max: ROOTS };
    config
}

async fn publish(server: &Server, range: std::ops::Range<usize>) -> Result<()> {
    let publisher = server.publisher(CHANNEL)?;
    for number in range {
        publisher.publish(Message { body: number.to_string().into(), ..Default::default() }).await?;
    }
    Ok(())
}

/// How many peers the server feeds, once all are there.
async fn fed_by_server(server: &Server) -> Result<usize> {
    let look = async {
        loop {
            let tree = server.handle().topology(&CHANNEL.parse()?).await?.context("the channel")?;
            let is_fed_by_peer = |place: Place| matches!(place, Place::Child(_));
            let settled = tree.iter().filter(|node| is_fed_by_peer(node.place) || node.place == Place::Root);
            if settled.count() == PEERS {
                return anyhow::Ok(tree.iter().filter(|node| !is_fed_by_peer(node.place)).count());
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, look).await.context("the tree does not stand")?
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_with_the_same_key_costs_no_link_and_no_event() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let key = folder.path().join("key");
    let server = Server::start(config(([127, 0, 0, 1], 0).into(), &key)).await?;
    let addr = server.addr();
    let mut peers = Vec::new();
    for _ in 0..PEERS {
        let url = format!("ws://{addr}/v1/ws");
        peers.push(Listener::start(&url, CHANNEL, ClientOptions::default()).await?);
    }
    publish(&server, 0..500).await?;
    for peer in &peers {
        peer.wait_for(500).await?;
    }
    assert_eq!(fed_by_server(&server).await?, ROOTS);
    let names = |peers: &[Listener]| peers.iter().map(|peer| peer.standing().peer).collect::<Vec<_>>();
    let (before, mut news) = (names(&peers), peers.iter().map(Listener::news).collect::<Vec<_>>());
    server.shutdown().await;

    let server = Server::start(config(addr, &key)).await?;
    for peer in &peers {
        peer.wait_until("connected again", |standing| standing.disconnects == 1 && standing.is_connected)
            .await?;
    }
    assert_eq!(fed_by_server(&server).await?, ROOTS);
    publish(&server, 500..1_000).await?;
    for peer in &peers {
        peer.wait_for(1_000).await?;
        let bodies: Vec<usize> =
            peer.events().iter().map(|(_, body)| String::from_utf8_lossy(body).parse().unwrap()).collect();
        assert_eq!(bodies, (0..1_000).collect::<Vec<_>>());
        assert_eq!(peer.gaps().len(), 1, "the numbering of a channel without a broker begins anew");
    }
    assert_eq!(names(&peers), before);
    assert_eq!(before.iter().collect::<BTreeSet<_>>().len(), PEERS);
    for news in &mut news {
        while let Ok(news) = news.try_recv() {
            assert!(!matches!(news, News::LinkLost { .. }), "{news:?}");
        }
    }
    let snapshot = server.handle().snapshot().await?;
    assert_eq!(snapshot.hub.resumed as usize, PEERS);
    assert_eq!(snapshot.channels[0].stats.adopted as usize, PEERS - ROOTS);
    assert_eq!(snapshot.channels[0].stats.links, 0, "none was set up");
    server.shutdown().await;
    Ok(())
}
