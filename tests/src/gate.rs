//! A way to a broker that can be closed, as a network can.

use std::{
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Notify, mpsc},
    task::JoinHandle,
    time::{Instant, sleep, sleep_until},
};

use crate::broker::Broker;

/// More is not read from the broker before some of it has come.
const CHUNKS_ON_THEIR_WAY: usize = 1_024;

/// A TCP relay in front of a broker that can be closed, as a network can.
#[derive(Debug)]
pub struct Gate {
    /// Where it listens, on the loopback address.
    pub port: u16,
    closed: Arc<AtomicBool>,
    /// Bytes that the broker can send in a second.
    rate: Arc<AtomicU64>,
    /// How much later than that they come, in milliseconds.
    late_ms: Arc<AtomicU64>,
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
        let (rate, late_ms) = (Arc::new(AtomicU64::new(u64::MAX)), Arc::new(AtomicU64::new(0)));
        let (is_closed, on_cut) = (closed.clone(), cut.clone());
        let (at_rate, so_late) = (rate.clone(), late_ms.clone());
        let task = tokio::spawn(async move {
            while let Ok((mut inside, _)) = listener.accept().await {
                let (address, is_closed, on_cut) = (address.clone(), is_closed.clone(), on_cut.clone());
                let (at_rate, so_late) = (at_rate.clone(), so_late.clone());
                tokio::spawn(async move {
                    let cut = on_cut.notified();
                    tokio::pin!(cut);
                    cut.as_mut().enable();
                    if is_closed.load(Ordering::SeqCst) {
                        return;
                    }
                    let Ok(mut outside) = TcpStream::connect(address).await else { return };
                    let (mut from_broker, mut to_broker) = outside.split();
                    let (mut from_server, mut to_server) = inside.split();
                    // The first side to end ends both.
                    tokio::select! {
                        _ = tokio::io::copy(&mut from_server, &mut to_broker) => {}
                        _ = trickle(&mut from_broker, &mut to_server, &at_rate, &so_late) => {}
                        () = cut => {}
                    }
                });
            }
        });
        Ok(Self { port, closed, rate, late_ms, cut, task })
    }

    /// The broker's URL, by way of the gate.
    pub fn url(&self, broker: &Broker) -> Result<String> {
        Ok(broker.url().replace(&address_of(broker)?, &format!("127.0.0.1:{}", self.port)))
    }

    /// Makes the broker slow: it can send so many bytes in a second.
    pub fn narrow(&self, bytes_per_s: u64) {
        self.rate.store(bytes_per_s, Ordering::SeqCst);
    }

    /// Makes the broker distant: what it sends comes so much later.
    pub fn delay(&self, delay: Duration) {
        self.late_ms.store(delay.as_millis() as u64, Ordering::SeqCst);
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

/// Copies what a broker sends, no faster than `rate` bytes in a second and by `late_ms` later.
async fn trickle(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    rate: &AtomicU64,
    late_ms: &AtomicU64,
) -> std::io::Result<()> {
    let (sent, mut on_its_way) = mpsc::channel::<(Instant, Vec<u8>)>(CHUNKS_ON_THEIR_WAY);
    let reading = async {
        let mut buffer = vec![0; 8 << 10];
        loop {
            let count = from.read(&mut buffer).await?;
            if count == 0 {
                return Ok(());
            }
            sleep(Duration::from_secs_f64(count as f64 / rate.load(Ordering::SeqCst) as f64)).await;
            let due = Instant::now() + Duration::from_millis(late_ms.load(Ordering::SeqCst));
            if sent.send((due, buffer[..count].to_vec())).await.is_err() {
                return Ok(());
            }
        }
    };
    let writing = async {
        while let Some((due, bytes)) = on_its_way.recv().await {
            sleep_until(due).await;
            to.write_all(&bytes).await?;
        }
        Ok(())
    };
    tokio::select! {
        read = reading => read,
        written = writing => written,
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
