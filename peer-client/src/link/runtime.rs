//! The runtime of one PeerConnection: tokio, plus a nudge after every received packet.
//!
//! webrtc's driver writes, handles events, delivers, then sleeps until its next timer. What events
//! and deliveries cause to be written therefore waits for that timer: a handshake step takes an ICE
//! tick. So the sleep that follows a receive is no sleep at all, and the driver goes round once
//! more. Measured for the set-up of a pair: 605 ms without, 9 ms with a sleep of a millisecond, 3 ms
//! so, at the same CPU per message.

use std::future::Future;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use webrtc::runtime::{
    AsyncInterval, AsyncTcpListener, AsyncTcpStream, AsyncUdpSocket, JoinHandle, RecvMeta, Runtime,
    TokioRuntime, Transmit,
};

/// Receive buffer of a link's socket, in bytes. Bursts of 16 KiB messages overflow the system's
/// default, and each overflow costs an SCTP timeout of a second.
const RECEIVE_BUFFER_BYTES: usize = 1 << 20;

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One per PeerConnection: its state belongs to that connection's driver.
#[derive(Debug, Default)]
pub(super) struct LinkRuntime {
    received: Arc<AtomicBool>,
    /// The first task that a PeerConnection spawns is its driver.
    driver: Arc<OnceLock<tokio::task::Id>>,
    #[cfg(feature = "faults")]
    sky: super::Sky,
}

impl LinkRuntime {
    /// One whose sockets have the weather of this sky.
    #[cfg(feature = "faults")]
    pub(super) fn under(sky: super::Sky) -> Self {
        Self { sky, ..Self::default() }
    }

    fn is_driver(&self) -> bool {
        self.driver.get().is_some_and(|id| tokio::task::try_id() == Some(*id))
    }
}

impl Runtime for LinkRuntime {
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        // Others sleep here too, such as a sender that waits for room: the nudge is not for them.
        if self.is_driver() && self.received.swap(false, Ordering::Relaxed) {
            TokioRuntime.yield_now()
        } else {
            TokioRuntime.sleep(duration)
        }
    }

    fn wrap_udp_socket(&self, socket: std::net::UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        if let Err(error) = socket2::SockRef::from(&socket).set_recv_buffer_size(RECEIVE_BUFFER_BYTES) {
            tracing::debug!(%error, "receive buffer stays at the system's default");
        }
        let inner = TokioRuntime.wrap_udp_socket(socket)?;
        #[cfg(feature = "faults")]
        let inner = self.sky.over(inner);
        Ok(Arc::new(NudgingSocket { inner, received: self.received.clone() }))
    }

    fn spawn(&self, future: BoxFuture<'static, ()>) -> Box<dyn JoinHandle> {
        let driver = self.driver.clone();
        TokioRuntime.spawn(Box::pin(async move {
            // Fails for every task but the first, as it should.
            let _ = driver.set(tokio::task::id());
            future.await;
        }))
    }

    fn wrap_tcp_listener(&self, listener: std::net::TcpListener) -> io::Result<Arc<dyn AsyncTcpListener>> {
        TokioRuntime.wrap_tcp_listener(listener)
    }

    fn connect_tcp<'a>(&'a self, address: SocketAddr) -> BoxFuture<'a, io::Result<Arc<dyn AsyncTcpStream>>> {
        Box::pin(async move { TokioRuntime.connect_tcp(address).await })
    }

    fn resolve_host<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        Box::pin(async move { TokioRuntime.resolve_host(host).await })
    }

    fn interval(&self, period: Duration) -> Box<dyn AsyncInterval> {
        TokioRuntime.interval(period)
    }

    fn block_on(&self, future: Pin<Box<dyn Future<Output = ()> + '_>>) {
        TokioRuntime.block_on(future);
    }

    fn yield_now(&self) -> BoxFuture<'static, ()> {
        TokioRuntime.yield_now()
    }
}

#[derive(Debug)]
struct NudgingSocket {
    inner: Arc<dyn AsyncUdpSocket>,
    received: Arc<AtomicBool>,
}

impl AsyncUdpSocket for NudgingSocket {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    fn poll_send(&self, cx: &mut Context<'_>, transmit: &Transmit<'_>) -> Poll<io::Result<usize>> {
        self.inner.poll_send(cx, transmit)
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let polled = self.inner.poll_recv(cx, buffers, meta);
        if matches!(polled, Poll::Ready(Ok(_))) {
            self.received.store(true, Ordering::Relaxed);
        }
        polled
    }

    fn max_gso_segments(&self) -> usize {
        self.inner.max_gso_segments()
    }

    fn max_gro_segments(&self) -> usize {
        self.inner.max_gro_segments()
    }
}
