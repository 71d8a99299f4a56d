//! The mesh across restarts of the broker and of the server, and behind a connection that changes a bit.

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc};

use anyhow::{Context, Result};
use lapin::message::Delivery;
use tiercast_mesh::hub::Tier1;
use tiercast_peer_client::{ClientOptions, Notification, ServerUrl, Standing};
use tiercast_signaling_server::{
    Config, Server,
    source::amqp::{AmqpChannelConfig, AmqpConfig, BindingConfig},
};
use tiercast_tests::{
    broker::{Broker, Outgoing},
    listener::Listener,
    server_program::{ServerProgram, broker_config},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

const CHANNEL: &str = "builds";
const EXCHANGE: &str = "ci";
const PEERS: usize = 8;

fn config(listen: SocketAddr) -> Config {
    let mut config =
        Config { listen, embedded_channels: vec![CHANNEL.parse().unwrap()], ..Config::default() };
    config.hub.tier1 = Tier1 { min: 2, max: 2 };
    config
}

fn amqp_config(listen: SocketAddr, broker: &Broker) -> Result<Config> {
    let channel = AmqpChannelConfig::new(CHANNEL.parse()?, vec![BindingConfig::new(EXCHANGE, ["#"])?]);
    let amqp = Some(AmqpConfig::new(broker.url().parse()?, vec![channel]));
    Ok(Config { embedded_channels: Vec::new(), amqp, ..config(listen) })
}

fn anywhere() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

async fn peers(addr: SocketAddr) -> Result<Vec<Listener>> {
    peers_of(&addr.to_string()).await
}

/// Peers of several servers, with commas between them.
async fn peers_of(servers: &str) -> Result<Vec<Listener>> {
    let mut peers = Vec::new();
    for _ in 0..PEERS {
        peers.push(Listener::start(servers, CHANNEL, ClientOptions::default()).await?);
    }
    Ok(peers)
}

/// Waits until the tree stands: two peers fed by the server, the others by peers.
async fn wait_for_tree(peers: &[Listener]) -> Result<()> {
    for peer in peers {
        peer.wait_until("placed in the tree", |standing| standing.tier > 0).await?;
    }
    let fed_by_peers = peers.iter().filter(|peer| peer.standing().parent.is_some()).count();
    assert_eq!(fed_by_peers, PEERS - 2);
    Ok(())
}

fn messages(range: std::ops::Range<usize>) -> Vec<Outgoing> {
    range.map(|number| Outgoing::new("build.done", &number.to_string(), number.to_string())).collect()
}

/// What the stream holds is what every peer must have got, in that order. Its last message must have been published by
/// itself: what was not confirmed while the broker was down may be there twice, in any order.
async fn check_against_stream(broker: &Broker, peers: &[Listener], published: usize) -> Result<()> {
    let numbers: Vec<usize> = (0..published).collect();
    let last = (published - 1).to_string();
    let is_last = |delivery: &Delivery| delivery.data == last.as_bytes();
    let stream = broker
        .read_stream_until(&format!("tiercast.{CHANNEL}"), |deliveries| {
            deliveries.last().is_some_and(is_last)
        })
        .await?;
    let in_stream: Vec<Vec<u8>> = stream.into_iter().map(|delivery| delivery.data.to_vec()).collect();
    for peer in peers {
        peer.wait_for(in_stream.len()).await?;
        let events = peer.events();
        assert!(peer.gaps().is_empty(), "{:?}", peer.gaps());
        assert!(events.is_sorted_by(|(one, _), (next, _)| one < next), "offsets ascend");
        let bodies: Vec<Vec<u8>> = events.into_iter().map(|(_, body)| body).collect();
        assert_eq!(bodies, in_stream, "every peer gets exactly what the stream holds");
    }
    let distinct: BTreeSet<usize> =
        in_stream.iter().map(|body| String::from_utf8_lossy(body).parse().unwrap()).collect();
    assert_eq!(
        distinct.into_iter().collect::<Vec<_>>(),
        numbers,
        "and it holds everything that was published"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_peer_gets_every_event_once_and_in_order_across_a_restart_of_the_broker() -> Result<()> {
    const MESSAGES: usize = 20_000;
    let mut broker = Broker::start().await?;
    assert!(broker.can_restart(), "this test needs a broker of its own: unset TIERCAST_TEST_AMQP_URL");
    broker.declare_topic_exchange(EXCHANGE).await?;
    let server = Server::start(amqp_config(anywhere(), &broker)?).await?;
    let peers = peers(server.addr()).await?;
    let mut publisher = broker.publisher(EXCHANGE);
    publisher.publish(&messages(0..100)).await?;
    for peer in &peers {
        peer.wait_for(100).await?;
    }
    wait_for_tree(&peers).await?;
    let publishing = tokio::spawn(async move {
        publisher.publish(&messages(100..MESSAGES - 1)).await?;
        publisher.publish(&messages(MESSAGES - 1..MESSAGES)).await
    });
    peers[0].wait_for(MESSAGES / 4).await?;
    broker.stop().await?;
    broker.start_again().await?;
    publishing.await??;
    check_against_stream(&broker, &peers, MESSAGES).await?;
    assert!(peers.iter().all(|peer| peer.standing().disconnects == 0), "no peer noticed");
    server.shutdown().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_stream_peers_go_on_from_their_position_when_the_server_restarts() -> Result<()> {
    const MESSAGES: usize = 3_000;
    let broker = Broker::start().await?;
    broker.declare_topic_exchange(EXCHANGE).await?;
    let server = Server::start(amqp_config(anywhere(), &broker)?).await?;
    let addr = server.addr();
    let peers = peers(addr).await?;
    let mut publisher = broker.publisher(EXCHANGE);
    publisher.publish(&messages(0..1_000)).await?;
    for peer in &peers {
        peer.wait_for(1_000).await?;
    }
    wait_for_tree(&peers).await?;
    server.shutdown().await;
    // Published while there is no server at all.
    publisher.publish(&messages(1_000..2_000)).await?;
    let server = Server::start(amqp_config(addr, &broker)?).await?;
    publisher.publish(&messages(2_000..MESSAGES)).await?;
    check_against_stream(&broker, &peers, MESSAGES).await?;
    assert!(peers.iter().all(|peer| peer.standing().disconnects == 1));
    server.shutdown().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_go_on_at_another_server_of_the_same_stream_when_theirs_is_killed_and_come_back() -> Result<()>
{
    go_on_at_another_server("").await
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_go_on_at_another_server_with_the_same_key_when_theirs_is_killed_and_come_back() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let key = folder.path().join("key");
    go_on_at_another_server(&format!("signing_key_file = {key:?}\nsigning_key_create = true\n")).await
}

async fn go_on_at_another_server(key_config: &str) -> Result<()> {
    const MESSAGES: usize = 4_000;
    let broker = Broker::start().await?;
    broker.declare_topic_exchange(EXCHANGE).await?;
    let channel = broker_config(&[broker.url()], CHANNEL, EXCHANGE, "stream");
    let config = format!("{channel}{key_config}hub.tier1_min = 2\nhub.tier1_max = 2\n");
    let mut one = ServerProgram::start(&config).await?;
    let mut other = ServerProgram::start(&config).await?;
    let servers = [one.addr, other.addr].map(|addr| addr.to_string());
    let peers = peers_of(&servers.join(",")).await?;
    let mut publisher = broker.publisher(EXCHANGE);
    publisher.publish(&messages(0..1_000)).await?;
    wait_for_all(&peers, 1_000).await?;
    one.kill().await?;
    publisher.publish(&messages(1_000..2_000)).await?;
    wait_for_server(&peers, &servers[1]).await?;
    wait_for_all(&peers, 2_000).await?;
    one.start_again().await?;
    other.kill().await?;
    publisher.publish(&messages(2_000..3_000)).await?;
    wait_for_server(&peers, &servers[0]).await?;
    publisher.publish(&messages(3_000..MESSAGES)).await?;
    check_against_stream(&broker, &peers, MESSAGES).await?;
    for peer in &peers {
        peer.wait_for_told(|told| matches!(told, Notification::Recovered { .. })).await?;
    }
    Ok(())
}

async fn wait_for_all(peers: &[Listener], events: usize) -> Result<()> {
    for peer in peers {
        peer.wait_for(events).await?;
    }
    Ok(())
}

async fn wait_for_server(peers: &[Listener], addr: &str) -> Result<()> {
    let url: ServerUrl = addr.parse()?;
    for peer in peers {
        let is_there = |standing: &Standing| standing.is_connected && standing.server.as_ref() == Some(&url);
        peer.wait_until("at the other server", is_there).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_broker_a_restart_of_the_server_is_one_explicit_gap() -> Result<()> {
    let publish = async |server: &Server, range: std::ops::Range<usize>| -> Result<()> {
        let publisher = server.publisher(CHANNEL)?;
        for number in range {
            let message = tiercast_codec::Message { body: number.to_string().into(), ..Default::default() };
            publisher.publish(message).await?;
        }
        Ok(())
    };
    let server = Server::start(config(anywhere())).await?;
    let addr = server.addr();
    let peers = peers(addr).await?;
    publish(&server, 0..500).await?;
    for peer in &peers {
        peer.wait_for(500).await?;
    }
    wait_for_tree(&peers).await?;
    server.shutdown().await;
    let server = Server::start(config(addr)).await?;
    publish(&server, 500..1_000).await?;
    for peer in &peers {
        peer.wait_for(1_000).await?;
        let offsets: Vec<i64> = peer.events().into_iter().map(|(offset, _)| offset).collect();
        assert_eq!(offsets, (0..500).chain(0..500).collect::<Vec<_>>(), "a new numbering");
        let bodies: Vec<usize> =
            peer.events().iter().map(|(_, body)| String::from_utf8_lossy(body).parse().unwrap()).collect();
        assert_eq!(bodies, (0..1_000).collect::<Vec<_>>());
        let gaps = peer.gaps();
        let [Notification::Gap { from, to, .. }] = gaps.as_slice() else { panic!("one gap, not {gaps:?}") };
        assert_eq!((from.offset, to.offset), (499, -1));
        assert_ne!(from.epoch, to.epoch);
    }
    server.shutdown().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_dies_in_mid_stream_costs_no_survivor_an_event() -> Result<()> {
    let server = Server::start(config(anywhere())).await?;
    let mut peers = peers(server.addr()).await?;
    let publisher = server.publisher(CHANNEL)?;
    let publish = tokio::spawn(async move {
        let mut tick = tokio::time::interval(std::time::Duration::from_millis(1));
        for number in 0..3_000 {
            tick.tick().await;
            let message = tiercast_codec::Message { body: number.to_string().into(), ..Default::default() };
            publisher.publish(message).await?;
        }
        anyhow::Ok(())
    });
    wait_for_tree(&peers).await?;
    // A tier-1 peer, which has children; later another one that was promoted, or had some.
    for events in [500, 1_500] {
        peers[0].wait_for(events).await?;
        let victim = peers.iter().position(|peer| peer.standing().children > 0).context("somebody relays")?;
        peers.remove(victim).kill();
    }
    publish.await??;
    for peer in &peers {
        peer.wait_for(3_000).await?;
        let offsets: Vec<i64> = peer.events().into_iter().map(|(offset, _)| offset).collect();
        assert_eq!(offsets, (0..3_000).collect::<Vec<_>>());
        assert!(peer.gaps().is_empty());
    }
    server.shutdown().await;
    Ok(())
}

/// Carries bytes both ways, and once changes a bit of what the server sends, in the middle of a large read.
async fn tamper(listener: TcpListener, server: SocketAddr, after: Arc<tokio::sync::Semaphore>) -> Result<()> {
    loop {
        let (peer, _) = listener.accept().await?;
        let upstream = TcpStream::connect(server).await?;
        let after = after.clone();
        tokio::spawn(async move {
            let ((mut from_peer, mut to_peer), (mut from_server, mut to_server)) =
                (peer.into_split(), upstream.into_split());
            let down = async {
                let mut buffer = vec![0; 64 << 10];
                loop {
                    let count = from_server.read(&mut buffer).await?;
                    if count == 0 {
                        return to_peer.shutdown().await;
                    }
                    if let Some(middle) = middle_of_a_large_message(&buffer[..count])
                        && let Ok(permit) = after.try_acquire()
                    {
                        permit.forget();
                        buffer[middle] ^= 1;
                    }
                    to_peer.write_all(&buffer[..count]).await?;
                }
            };
            // Either side may end the connection.
            let _ = tokio::join!(down, tokio::io::copy(&mut from_peer, &mut to_server));
        });
    }
}

/// Where payload is, if what was read begins with a whole binary message whose length takes two bytes (RFC 6455, 5.2).
fn middle_of_a_large_message(read: &[u8]) -> Option<usize> {
    let [0x82, 126, high, low, ..] = *read else { return None };
    let length = usize::from(u16::from_be_bytes([high, low]));
    (length > 1_000 && read.len() >= 4 + length).then_some(4 + length / 2)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bit_that_changes_on_the_way_is_noticed_and_nothing_is_lost() -> Result<()> {
    let server = Server::start(config(anywhere())).await?;
    let listener = TcpListener::bind(anywhere()).await?;
    let url = format!("ws://{}/v1/ws", listener.local_addr()?);
    let flips = Arc::new(tokio::sync::Semaphore::new(0));
    let proxy = tokio::spawn(tamper(listener, server.addr(), flips.clone()));
    let victim = Listener::start(&url, CHANNEL, ClientOptions::default()).await?;
    let child =
        Listener::start(&format!("ws://{}/v1/ws", server.addr()), CHANNEL, ClientOptions::default()).await?;
    let publisher = server.publisher(CHANNEL)?;
    let body = |number: usize| {
        // Does not compress, so that the middle of a read is payload.
        let mut state = number as u64 + 1;
        let bytes = std::iter::repeat_with(move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        });
        bytes.take(2_000).collect::<Vec<u8>>()
    };
    for number in 0..100 {
        if number == 50 {
            victim.wait_for(50).await?;
            flips.add_permits(1);
        }
        let message = tiercast_codec::Message { body: body(number).into(), ..Default::default() };
        publisher.publish(message).await?;
    }
    for peer in [&victim, &child] {
        peer.wait_for(100).await?;
        let expected: Vec<_> = (0..100).map(|number| (number as i64, body(number))).collect();
        assert_eq!(peer.events(), expected);
        assert!(peer.gaps().is_empty());
    }
    let standing = victim.standing();
    assert_eq!(standing.stats.bad_signatures, 1, "{standing:?}");
    assert_eq!(standing.disconnects, 1, "the connection was closed, and made again");
    assert_eq!(child.standing().stats.bad_signatures, 0);
    proxy.abort();
    server.shutdown().await;
    Ok(())
}
