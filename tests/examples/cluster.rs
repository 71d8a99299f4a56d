//! A cluster of three RabbitMQ nodes, for tests in other languages: prints the nodes' URLs as a line of JSON, and kills each node
//! whose number, from 0 on, is a line of its input. Ends with its input.

use anyhow::Context;
use tiercast_platform::print_line;
use tiercast_tests::cluster::Cluster;
use tokio::io::{AsyncBufReadExt, BufReader, stdin};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut cluster = Cluster::start().await?;
    let urls: Vec<_> = cluster.nodes.iter().map(|node| node.url()).collect();
    print_line(serde_json::to_string(&urls)?)?;
    let mut lines = BufReader::new(stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let node = cluster.nodes.get_mut(line.parse::<usize>()?).context("nodes are 0, 1 and 2")?;
        node.kill().await?;
        print_line(format!("killed {line}"))?;
    }
    Ok(())
}
