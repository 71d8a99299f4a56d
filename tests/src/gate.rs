//! A way to a broker or a server that can be closed, or swallow what is said, as a network can.

use std::{
    net::{Ipv4Addr, SocketAddr},
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
    sync::{Notify, mpsc, watch},
    task::JoinHandle,
    time::{Instant, sleep, sleep_until},
};

use crate::broker::Broker;

/// More is not read from the broker before some of it has come.
const CHUNKS_ON_THEIR_WAY: usize = 1_024;

/// A TCP relay in front of a broker or a server that can be closed, or swallow what is said, as a network can.
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
    /// Whether nothing gets through.
    held: watch::Sender<bool>,
    stranded: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Gate {
    /// An open gate to a broker.
    pub async fn before(broker: &Broker) -> Result<Self> {
        Self::to(address_of(broker)?).await
    }

    /// An open gate to what listens there.
    pub async fn to(address: String) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let (closed, cut) = (Arc::new(AtomicBool::new(false)), Arc::new(Notify::new()));
        let (rate, late_ms) = (Arc::new(AtomicU64::new(u64::MAX)), Arc::new(AtomicU64::new(0)));
        let (is_closed, on_cut) = (closed.clone(), cut.clone());
        let (at_rate, so_late) = (rate.clone(), late_ms.clone());
        let (held, stranded) = (watch::Sender::new(false), Arc::new(Notify::new()));
        let (is_held, on_stranded) = (held.subscribe(), stranded.clone());
        let task = tokio::spawn(async move {
            while let Ok((mut inside, _)) = listener.accept().await {
                let (address, is_closed, on_cut) = (address.clone(), is_closed.clone(), on_cut.clone());
                let (at_rate, so_late) = (at_rate.clone(), so_late.clone());
                let (is_held, on_stranded) = (is_held.clone(), on_stranded.clone());
                tokio::spawn(async move {
                    let (cut, stranded) = (on_cut.notified(), on_stranded.notified());
                    tokio::pin!(cut, stranded);
                    cut.as_mut().enable();
                    stranded.as_mut().enable();
                    if is_closed.load(Ordering::SeqCst) {
                        return;
                    }
                    let Ok(mut outside) = TcpStream::connect(address).await else { return };
                    let (mut from_broker, mut to_broker) = outside.split();
                    let (mut from_server, mut to_server) = inside.split();
                    // The first side to end ends both.
                    tokio::select! {
                        _ = pass(&mut from_server, &mut to_broker, is_held.clone()) => {}
                        _ = trickle(&mut from_broker, &mut to_server, &at_rate, &so_late, is_held) => {}
                        () = &mut cut => {}
                        // Neither side is told.
                        () = stranded => cut.await,
                    }
                });
            }
        });
        Ok(Self { port, closed, rate, late_ms, cut, held, stranded, task })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
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

    /// Lets nothing through from now on, neither bytes nor the end of a connection. Nobody is told.
    pub fn hold(&self) {
        self.held.send_replace(true);
    }

    /// Lets what was held through, and all that follows: as TCP sends again what did not arrive.
    pub fn release(&self) {
        self.held.send_replace(false);
    }

    /// Lets new connections through. The others stay silent for good, and neither side is told: as when a router in between
    /// has forgotten them.
    pub fn release_new(&self) {
        self.stranded.notify_waiters();
        self.release();
    }

    /// Lets new connections through.
    pub fn open(&self) {
        self.closed.store(false, Ordering::SeqCst);
    }
}

/// Copies, except while it is held.
async fn pass(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    mut is_held: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let mut buffer = vec![0; 8 << 10];
    loop {
        let count = from.read(&mut buffer).await?;
        until_free(&mut is_held).await;
        if count == 0 {
            return Ok(());
        }
        to.write_all(&buffer[..count]).await?;
    }
}

async fn until_free(is_held: &mut watch::Receiver<bool>) {
    // An error means that the gate is gone, and with it who reads here.
    let _ = is_held.wait_for(|is_held| !is_held).await;
}

/// Copies what a broker sends, except while it is held, no faster than `rate` bytes in a second and by `late_ms` later.
async fn trickle(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    rate: &AtomicU64,
    late_ms: &AtomicU64,
    mut is_held: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let mut held_too = is_held.clone();
    let (sent, mut on_its_way) = mpsc::channel::<(Instant, Vec<u8>)>(CHUNKS_ON_THEIR_WAY);
    let reading = async move {
        let mut buffer = vec![0; 8 << 10];
        loop {
            let count = from.read(&mut buffer).await?;
            if count == 0 {
                until_free(&mut is_held).await;
                return std::io::Result::Ok(());
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
            until_free(&mut held_too).await;
            to.write_all(&bytes).await?;
        }
        std::io::Result::Ok(())
    };
    // What was read before the end arrives, too.
    tokio::try_join!(reading, writing).map(|_| ())
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
