//! A server that can be killed.

use std::net::SocketAddr;

use anyhow::Result;
use tiercast_signaling_server::{Config, Server};
use tokio::runtime::Runtime;

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
        let addr = runtime.spawn(running).await??;
        Ok(Self { runtime: Some(runtime), addr })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Nothing of it runs after this, and nobody is told.
    pub fn kill(self) -> SocketAddr {
        self.addr
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
