//! A network that loses and delays the packets of links, for experiments: the kernel's own means (netem) need rights
//! and are not in every kernel.

use std::{
    io::{self, IoSliceMut},
    net::SocketAddr,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use rand::RngExt;
use tokio::{sync::mpsc, time::Instant};
use webrtc::runtime::{AsyncUdpSocket, RecvMeta, Transmit};

/// Packets of a socket that are under way; more are lost, as in a router whose queue is full.
const UNDER_WAY_MAX: usize = 4_096;

/// What happens to packets that leave a link's socket. Both ends of a link have their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Weather {
    /// Of a million packets, how many are lost. Default 0.
    pub lost_per_million: u32,
    /// How much later they arrive. Default 0.
    pub delay: Duration,
}

impl Weather {
    /// A socket whose packets have this weather.
    pub(super) fn over(self, inner: Arc<dyn AsyncUdpSocket>) -> Arc<dyn AsyncUdpSocket> {
        if self == Self::default() {
            return inner;
        }
        let (later, due) = mpsc::channel(UNDER_WAY_MAX);
        // It ends with the socket.
        tokio::spawn(carry(inner.clone(), due));
        Arc::new(WeatherSocket { inner, weather: self, later })
    }

    fn loses(self) -> bool {
        rand::rng().random_ratio(self.lost_per_million.min(1_000_000), 1_000_000)
    }
}

/// A packet under way.
struct Packet {
    due: Instant,
    to: SocketAddr,
    bytes: Vec<u8>,
}

#[derive(Debug)]
struct WeatherSocket {
    inner: Arc<dyn AsyncUdpSocket>,
    weather: Weather,
    later: mpsc::Sender<Packet>,
}

async fn carry(socket: Arc<dyn AsyncUdpSocket>, mut packets: mpsc::Receiver<Packet>) {
    // All are delayed alike, so they are due in their order.
    while let Some(packet) = packets.recv().await {
        tokio::time::sleep_until(packet.due).await;
        if let Err(error) = socket.send_to(&packet.bytes, packet.to).await {
            tracing::debug!(%error, "a delayed packet was not sent");
        }
    }
}

impl AsyncUdpSocket for WeatherSocket {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    fn poll_send(&self, cx: &mut Context<'_>, transmit: &Transmit<'_>) -> Poll<io::Result<usize>> {
        if self.weather.loses() {
            return Poll::Ready(Ok(transmit.contents.len()));
        }
        if self.weather.delay.is_zero() {
            return self.inner.poll_send(cx, transmit);
        }
        let due = Instant::now() + self.weather.delay;
        // Too many: this one is lost.
        let _ =
            self.later.try_send(Packet { due, to: transmit.destination, bytes: transmit.contents.to_vec() });
        Poll::Ready(Ok(transmit.contents.len()))
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        self.inner.poll_recv(cx, buffers, meta)
    }

    // A packet at a time, as each is lost or delayed for itself: `max_gso_segments` stays 1.

    fn max_gro_segments(&self) -> usize {
        self.inner.max_gro_segments()
    }
}

#[cfg(test)]
mod tests {
    use webrtc::runtime::{Runtime, TokioRuntime};

    use super::*;

    fn socket() -> io::Result<Arc<dyn AsyncUdpSocket>> {
        TokioRuntime.wrap_udp_socket(std::net::UdpSocket::bind("127.0.0.1:0")?)
    }

    /// How many of so many packets arrive before the first of the next kind, and how long the first took.
    async fn arrivals(weather: Weather, count: usize) -> io::Result<(usize, Duration)> {
        let (sender, receiver) = (socket()?, socket()?);
        let (to, rough) = (receiver.local_addr()?, weather.over(sender.clone()));
        let (begun, mut buffer) = (Instant::now(), [0; 8]);
        for _ in 0..count {
            rough.send_to(b"rough", to).await?;
        }
        if !weather.delay.is_zero() {
            receiver.recv_from(&mut buffer).await?;
            return Ok((1, begun.elapsed()));
        }
        sender.send_to(b"last", to).await?;
        let mut arrived = 0;
        while receiver.recv_from(&mut buffer).await?.0 == 5 {
            arrived += 1;
        }
        Ok((arrived, begun.elapsed()))
    }

    #[tokio::test]
    async fn as_many_packets_are_lost_as_was_asked_for() -> io::Result<()> {
        let weather = |lost_per_million| Weather { lost_per_million, delay: Duration::ZERO };
        assert_eq!(arrivals(weather(0), 100).await?.0, 100);
        assert_eq!(arrivals(weather(1_000_000), 100).await?.0, 0);
        let (arrived, _) = arrivals(weather(500_000), 100).await?;
        assert!((10..90).contains(&arrived), "{arrived} of 100");
        Ok(())
    }

    #[tokio::test]
    async fn packets_arrive_no_earlier_than_the_delay() -> io::Result<()> {
        let delay = Duration::from_millis(30);
        let (_, took) = arrivals(Weather { lost_per_million: 0, delay }, 1).await?;
        assert!(took >= delay, "{took:?}");
        Ok(())
    }
}
