//! A cluster of three brokers of which one is killed while events flow: the one that the server is connected to, the one that
//! leads the stream, and both in one.

use std::time::Duration;

use anyhow::{Result, ensure};
use tiercast_peer_client::{ClientOptions, Notification};
use tiercast_tests::{
    audience::{Audience, SILENCE},
    cluster::Cluster,
    listener::Listener,
    server_program::ServerProgram,
};

use crate::Feed;

/// Long enough for nodes that go and come back.
const PUBLISHING: Duration = Duration::from_secs(6);

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_node_of_three_that_is_killed() -> Result<()> {
    let mut cluster = Cluster::start().await?;
    one_that_leads_and_is_connected_to(&mut cluster).await?;
    cluster.nodes[0].start_again().await?;
    one_that_is_connected_to_and_then_one_that_leads(&mut cluster).await
}

async fn one_that_leads_and_is_connected_to(cluster: &mut Cluster) -> Result<()> {
    let feed = Feed::new("leader-and-ours", &cluster.nodes[0]).await?;
    let server = ServerProgram::start(&config(&feed, cluster, [0, 1, 2])).await?;
    let audience = Audience::start(&[server.addr], &feed.name, SILENCE).await?;
    ensure!(cluster.leader(1, &feed.stream()).await? == 0, "the stream is led elsewhere");
    let publishing = feed.publish(&cluster.nodes[1], PUBLISHING);
    audience.wait_for(feed.events / 4).await?;
    cluster.nodes[0].kill().await?;
    publishing.go_on();
    publishing.end().await?;
    let [_, second, third] = &cluster.nodes;
    feed.check("node that leads and is connected to", &[second, third], &audience, 1..=1).await
}

async fn one_that_is_connected_to_and_then_one_that_leads(cluster: &mut Cluster) -> Result<()> {
    let feed = Feed::new("leader-or-ours", &cluster.nodes[1]).await?;
    make_stream(&feed, cluster, 1).await?;
    let server = ServerProgram::start(&config(&feed, cluster, [2, 0, 1])).await?;
    let audience = Audience::start(&[server.addr], &feed.name, SILENCE).await?;
    ensure!(cluster.leader(0, &feed.stream()).await? == 1, "the stream is led elsewhere");
    let publishing = feed.publish(&cluster.nodes[0], PUBLISHING);
    audience.wait_for(feed.events / 8).await?;
    cluster.nodes[2].kill().await?;
    audience.wait_for(feed.events / 4).await?;
    cluster.nodes[2].start_again().await?;
    cluster.nodes[1].kill().await?;
    publishing.go_on();
    publishing.end().await?;
    let [first, _, third] = &cluster.nodes;
    feed.check("node that is connected to, then node that leads", &[first, third], &audience, 1..=1).await
}

/// A server that is connected to the nodes in this order.
fn config(feed: &Feed, cluster: &Cluster, order: [usize; 3]) -> String {
    feed.config(&order.map(|node| cluster.nodes[node].url()))
}

/// Has the stream made by a server that is connected to this node, which leads it.
async fn make_stream(feed: &Feed, cluster: &Cluster, node: usize) -> Result<()> {
    let server = ServerProgram::start(&feed.config(&[cluster.nodes[node].url()])).await?;
    let peer = Listener::start(&server.addr.to_string(), &feed.name, ClientOptions::default()).await?;
    peer.wait_for_told(|told| matches!(told, Notification::Subscribed { .. })).await
}
