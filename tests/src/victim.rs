//! A server that can be killed.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use tiercast_signaling_server::{Config, Server};
use tokio::{runtime::Runtime, task::spawn_blocking};

use crate::listener::PATIENCE;

/// A server that can be killed: it has threads of its own.
pub struct Victim {
    runtime: Option<Runtime>,
    addr: SocketAddr,
}

impl Victim {
    /// Starts one.
    pub async fn start(config: Config) -> Result<Self> {
        let runtime = Runtime::new()?;
        // It lives until the runtime ends.
        let running = async {
            let server = Server::start(config).await?;
            let addr = server.addr();
            tokio::spawn(async move {
                let _server = server;
                std::future::pending::<()>().await;
            });
            anyhow::Ok(addr)
        };
        match runtime.spawn(running).await? {
            Ok(addr) => Ok(Self { runtime: Some(runtime), addr }),
            Err(error) => {
                runtime.shutdown_background();
                Err(error)
            }
        }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Ends it. Nothing of it runs after this, nobody is told, and its address is free.
    pub async fn kill(mut self) -> Result<SocketAddr> {
        let runtime = self.runtime.take().context("it runs")?;
        spawn_blocking(move || runtime.shutdown_timeout(PATIENCE)).await?;
        Ok(self.addr)
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
