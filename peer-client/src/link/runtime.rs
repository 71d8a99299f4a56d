//! The runtime of one PeerConnection: tokio, plus a nudge after every received packet, and silence on demand.
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
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
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
    ears: Arc<Ears>,
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

    /// The connection hears nothing for as long as what is returned lives: what comes waits in the sockets.
    pub(super) fn cover_ears(&self) -> CoveredEars<'_> {
        self.ears.cover();
        CoveredEars(&self.ears)
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
        Ok(Arc::new(LinkSocket { inner, received: self.received.clone(), ears: self.ears.clone() }))
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
struct LinkSocket {
    inner: Arc<dyn AsyncUdpSocket>,
    received: Arc<AtomicBool>,
    ears: Arc<Ears>,
}

impl AsyncUdpSocket for LinkSocket {
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
        if self.ears.are_covered(cx) {
            return Poll::Pending;
        }
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

/// Whether the sockets of a connection may be read. Few read them, and the lock is held for a few instructions.
#[derive(Debug, Default)]
struct Ears(Mutex<Cover>);

#[derive(Debug, Default)]
struct Cover {
    hands: u32,
    readers: Vec<Waker>,
}

impl Ears {
    fn cover(&self) {
        self.lock().hands += 1;
    }

    fn uncover(&self) {
        let mut cover = self.lock();
        cover.hands -= 1;
        if cover.hands == 0 {
            cover.readers.drain(..).for_each(Waker::wake);
        }
    }

    /// Whoever asks while they are is woken when they are not.
    fn are_covered(&self, cx: &Context<'_>) -> bool {
        let mut cover = self.lock();
        let are_covered = cover.hands > 0;
        if are_covered && !cover.readers.iter().any(|reader| reader.will_wake(cx.waker())) {
            cover.readers.push(cx.waker().clone());
        }
        are_covered
    }

    fn lock(&self) -> MutexGuard<'_, Cover> {
        // Nothing that holds the lock can panic half way through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// See [`LinkRuntime::cover_ears`].
pub(super) struct CoveredEars<'a>(&'a Ears);

impl Drop for CoveredEars<'_> {
    fn drop(&mut self) {
        self.0.uncover();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    async fn receive(socket: &dyn AsyncUdpSocket) -> usize {
        let mut bytes = [0; 16];
        std::future::poll_fn(|cx| {
            socket.poll_recv(cx, &mut [IoSliceMut::new(&mut bytes)], &mut [RecvMeta::default()])
        })
        .await
        .unwrap()
    }

    #[tokio::test]
    async fn what_comes_while_nothing_is_heard_is_heard_afterwards() {
        let runtime = LinkRuntime::default();
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let socket = runtime.wrap_udp_socket(socket).unwrap();
        let first = runtime.cover_ears();
        let second = runtime.cover_ears();
        std::net::UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"hello", address).unwrap();
        let mut heard = Box::pin(receive(&*socket));
        drop(first);
        assert!(tokio::time::timeout(Duration::from_millis(100), &mut heard).await.is_err());
        drop(second);
        tokio::time::timeout(Duration::from_secs(60), heard).await.expect("it is woken");
    }
}
