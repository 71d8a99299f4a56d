//! A cluster of three RabbitMQ nodes for tests.

use std::sync::Arc;

use anyhow::{Context, Result};
use tokio::try_join;

use crate::broker::{Broker, Home};

/// Three nodes, of which two are enough.
#[derive(Debug)]
pub struct Cluster {
    /// The nodes.
    pub nodes: [Broker; 3],
}

impl Cluster {
    /// A cluster of the test's own, ready for use.
    pub async fn start() -> Result<Self> {
        let home = Arc::new(Home::prepare()?);
        let mut first = Broker::prepare(home.clone(), "")?;
        let joins = format!(
            "cluster_formation.peer_discovery_backend = classic_config\n\
             cluster_formation.classic_config.nodes.1 = {}\n\
             cluster_formation.randomized_startup_delay_range.min = 0\n\
             cluster_formation.randomized_startup_delay_range.max = 1\n",
            first.name()?
        );
        let mut second = Broker::prepare(home.clone(), &joins)?;
        let mut third = Broker::prepare(home, &joins)?;
        first.start_again().await?;
        try_join!(second.start_again(), third.start_again())?;
        Ok(Self { nodes: [first, second, third] })
    }

    /// The number of the node that leads a stream, as a node that lives sees it.
    pub async fn leader(&self, asked: usize, stream: &str) -> Result<usize> {
        let queues = self.nodes[asked].control(&["list_queues", "name", "leader"]).await?;
        let leader = queues.lines().find_map(|line| line.strip_prefix(stream)?.strip_prefix('\t'));
        let leader = leader.with_context(|| format!("{stream} is not among {queues}"))?;
        let names: Vec<_> = self.nodes.iter().map(Broker::name).collect::<Result<_>>()?;
        names.iter().position(|name| name == leader).with_context(|| format!("{leader} leads"))
    }
}
