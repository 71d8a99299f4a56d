//! A cluster of three RabbitMQ nodes, for tests in other languages: prints the nodes' URLs as a line of JSON, and does what the
//! lines of its input say: `kill N` and `start N`, where nodes are numbered from 0 on. Says each line again when that is done, and
//! ends with its input.

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
    while let Some(line) = lines.next_line().await? {
        let (what, node) = line.split_once(' ').context("`kill N` or `start N`")?;
        let node = cluster.nodes.get_mut(node.parse::<usize>()?).context("nodes are 0, 1 and 2")?;
        match what {
            "kill" => node.kill().await?,
            "start" => node.start_again().await?,
            other => bail!("`{other}`: `kill N` or `start N`"),
        }
        print_line(line)?;
    }
    Ok(())
}
