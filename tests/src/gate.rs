//! A way to a broker that can be closed, as a network can.

use std::{
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::{Context, Result};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::JoinHandle,
};

use crate::broker::Broker;

/// A TCP relay in front of a broker that can be closed, as a network can.
#[derive(Debug)]
pub struct Gate {
    /// Where it listens, on the loopback address.
    pub port: u16,
    closed: Arc<AtomicBool>,
    cut: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Gate {
    /// An open gate.
    pub async fn before(broker: &Broker) -> Result<Self> {
        let address = address_of(broker)?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let (closed, cut) = (Arc::new(AtomicBool::new(false)), Arc::new(Notify::new()));
        let (is_closed, on_cut) = (closed.clone(), cut.clone());
        let task = tokio::spawn(async move {
            while let Ok((mut inside, _)) = listener.accept().await {
                let (address, is_closed, on_cut) = (address.clone(), is_closed.clone(), on_cut.clone());
                tokio::spawn(async move {
                    let cut = on_cut.notified();
                    tokio::pin!(cut);
                    cut.as_mut().enable();
                    if is_closed.load(Ordering::SeqCst) {
                        return;
                    }
                    let Ok(mut outside) = TcpStream::connect(address).await else { return };
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut inside, &mut outside) => {}
                        () = cut => {}
                    }
                });
            }
        });
        Ok(Self { port, closed, cut, task })
    }

    /// The broker's URL, by way of the gate.
    pub fn url(&self, broker: &Broker) -> Result<String> {
        Ok(broker.url().replace(&address_of(broker)?, &format!("127.0.0.1:{}", self.port)))
    }

    /// Cuts every connection and lets no new one through.
    pub fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.cut.notify_waiters();
    }

    /// Lets new connections through.
    pub fn open(&self) {
        self.closed.store(false, Ordering::SeqCst);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.task.abort();
        self.cut.notify_waiters();
    }
}

/// `host:port` as it stands in the broker's URL.
pub fn address_of(broker: &Broker) -> Result<String> {
    let (_, rest) = broker.url().split_once("://").context("no scheme")?;
    let authority = rest.split('/').next().unwrap_or_default();
    Ok(authority.rsplit('@').next().unwrap_or_default().to_owned())
}
