//! A cluster of three RabbitMQ nodes, for tests in other languages: prints the nodes' URLs as a line of JSON, and does what the
//! lines of its input say: `kill N`, `start N`, and `leader N STREAM`, which asks node N who leads a stream. Nodes are numbered
//! from 0 on. To the first line it answers `1: done`, or `1: 2` where the answer is a node. Ends with its input.

use anyhow::{Context, bail};
use tiercast_platform::print_line;
use tiercast_tests::cluster::Cluster;
use tokio::io::{AsyncBufReadExt, BufReader, stdin};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut cluster = Cluster::start().await?;
    let urls: Vec<_> = cluster.nodes.iter().map(|node| node.url()).collect();
    print_line(serde_json::to_string(&urls)?)?;
    let mut lines = BufReader::new(stdin()).lines();
    let mut nth = 0;
    while let Some(line) = lines.next_line().await? {
        nth += 1;
        print_line(format!("{nth}: {}", answer(&mut cluster, &line).await?))?;
    }
    Ok(())
}

async fn answer(cluster: &mut Cluster, line: &str) -> anyhow::Result<String> {
    let words: Vec<_> = line.split(' ').collect();
    let number = words.get(1).context("no node is named")?.parse::<usize>()?;
    let node = cluster.nodes.get_mut(number).context("nodes are 0, 1 and 2")?;
    match words[..] {
        ["kill", _] => node.kill().await?,
        ["start", _] => node.start_again().await?,
        ["leader", _, stream] => return Ok(cluster.leader(number, stream).await?.to_string()),
        _ => bail!("`{line}`: `kill N`, `start N` or `leader N STREAM`"),
    }
    Ok("done".to_owned())
}
