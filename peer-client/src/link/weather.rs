//! A network that loses, delays, narrows and cuts the links of a peer, for experiments: the kernel's own means (netem)
//! need rights and are not in every kernel.

use std::{
    io::{self, IoSliceMut},
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use rand::RngExt;
use serde::{Deserialize, Serialize};
use tokio::{sync::mpsc, time::Instant};
use webrtc::runtime::{AsyncUdpSocket, RecvMeta, Transmit};

/// Packets of a socket that are under way; more are lost, as in a router whose queue is full.
const UNDER_WAY_MAX: usize = 4_096;
/// What waits for a narrow uplink; more is lost. Home routers keep from a tenth of a second to a whole one.
const QUEUE_MAX: Duration = Duration::from_millis(200);

/// What happens to packets that leave a peer's links, and to those that arrive where the other end (a browser, say) has no
/// weather of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Weather {
    /// Of a million packets, how many are lost. Default 0.
    pub lost_per_million: u32,
    /// Of a million packets that arrive, how many are lost. Default 0.
    pub lost_arriving_per_million: u32,
    /// How much later those that leave arrive. Default 0.
    pub delay: Duration,
    /// How many bytes a second leave, over all links together. Default: as many as there are.
    pub uplink_bytes_per_s: Option<u64>,
    /// Nothing leaves and nothing arrives, and nobody is told. Default false.
    pub is_cut: bool,
}

/// The weather above all links of a peer; it may change.
#[derive(Debug, Clone, Default)]
pub(super) struct Sky(Arc<Mutex<Above>>);

#[derive(Debug, Default)]
struct Above {
    weather: Weather,
    /// When the uplink has sent what waits for it.
    free_at: Option<Instant>,
}

/// What becomes of a packet.
#[derive(Debug, PartialEq)]
enum Fate {
    Lost,
    /// It leaves now, as if nothing were.
    Now,
    Later(Instant),
}

impl Sky {
    pub(super) fn of(weather: Weather) -> Self {
        Self(Arc::new(Mutex::new(Above { weather, free_at: None })))
    }

    pub(super) fn set(&self, weather: Weather) {
        self.with(|above| above.weather = weather);
    }

    /// A socket whose packets have this weather.
    pub(super) fn over(&self, inner: Arc<dyn AsyncUdpSocket>) -> Arc<dyn AsyncUdpSocket> {
        let (later, due) = mpsc::channel(UNDER_WAY_MAX);
        // It ends with the socket.
        tokio::spawn(carry(inner.clone(), due));
        Arc::new(WeatherSocket { inner, sky: self.clone(), later })
    }

    fn fate(&self, bytes: usize) -> Fate {
        self.with(|above| above.fate(bytes, Instant::now()))
    }

    fn weather(&self) -> Weather {
        self.with(|above| above.weather)
    }

    fn with<T>(&self, change: impl FnOnce(&mut Above) -> T) -> T {
        // Nothing that holds the lock can panic half way through a change.
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Above {
    fn fate(&mut self, bytes: usize, now: Instant) -> Fate {
        let Weather { delay, uplink_bytes_per_s, is_cut, .. } = self.weather;
        if is_cut || loses(self.weather.lost_per_million) {
            return Fate::Lost;
        }
        let Some(rate) = uplink_bytes_per_s else {
            return if delay.is_zero() { Fate::Now } else { Fate::Later(now + delay) };
        };
        let begins = self.free_at.map_or(now, |free_at| free_at.max(now));
        if begins - now > QUEUE_MAX {
            return Fate::Lost;
        }
        let ends = begins + Duration::from_secs_f64(bytes as f64 / rate.max(1) as f64);
        self.free_at = Some(ends);
        Fate::Later(ends + delay)
    }
}

impl Weather {
    fn lets_in(self) -> bool {
        !self.is_cut && !loses(self.lost_arriving_per_million)
    }
}

fn loses(per_million: u32) -> bool {
    rand::rng().random_ratio(per_million.min(1_000_000), 1_000_000)
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
    sky: Sky,
    later: mpsc::Sender<Packet>,
}

impl WeatherSocket {
    /// Of so many packets that came, those that the weather lets in are put first. How many they are.
    fn let_in(&self, count: usize, buffers: &mut [IoSliceMut<'_>], meta: &mut [RecvMeta]) -> usize {
        let weather = self.sky.weather();
        let mut kept = 0;
        for next in (0..count).filter(|_| weather.lets_in()) {
            if kept < next {
                let (earlier, later) = buffers.split_at_mut(next);
                let bytes = meta[next].len;
                earlier[kept][..bytes].copy_from_slice(&later[0][..bytes]);
                meta[kept] = meta[next];
            }
            kept += 1;
        }
        kept
    }
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
        if transmit.segment_size.is_some() {
            // Several packets, put together while the weather was calm.
            return self.inner.poll_send(cx, transmit);
        }
        match self.sky.fate(transmit.contents.len()) {
            Fate::Lost => {}
            Fate::Now => return self.inner.poll_send(cx, transmit),
            Fate::Later(due) => {
                let (to, bytes) = (transmit.destination, transmit.contents.to_vec());
                // Too many: this one is lost.
                let _ = self.later.try_send(Packet { due, to, bytes });
            }
        }
        Poll::Ready(Ok(transmit.contents.len()))
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        loop {
            let count = ready!(self.inner.poll_recv(cx, buffers, meta))?;
            let kept = self.let_in(count, buffers, meta);
            if kept > 0 || count == 0 {
                return Poll::Ready(Ok(kept));
            }
        }
    }

    fn max_gso_segments(&self) -> usize {
        // Each packet is lost or delayed for itself.
        if self.sky.weather() == Weather::default() { self.inner.max_gso_segments() } else { 1 }
    }

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
        let (to, rough) = (receiver.local_addr()?, Sky::of(weather).over(sender.clone()));
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
        let weather = |lost_per_million| Weather { lost_per_million, ..Weather::default() };
        assert_eq!(arrivals(weather(0), 100).await?.0, 100);
        assert_eq!(arrivals(weather(1_000_000), 100).await?.0, 0);
        let (arrived, _) = arrivals(weather(500_000), 100).await?;
        assert!((10..90).contains(&arrived), "{arrived} of 100");
        Ok(())
    }

    #[tokio::test]
    async fn as_many_packets_that_arrive_are_lost_as_was_asked_for() -> io::Result<()> {
        let (sender, receiver, mut buffer) = (socket()?, socket()?, [0; 8]);
        let to = receiver.local_addr()?;
        let weather = Weather { lost_arriving_per_million: 500_000, ..Weather::default() };
        let rough = Sky::of(weather).over(receiver);
        for number in 0..200 {
            sender.send_to(&[number], to).await?;
        }
        let mut arrived = Vec::new();
        while arrived.last().is_none_or(|number| *number < 100) {
            assert_eq!(rough.recv_from(&mut buffer).await?.0, 1);
            arrived.push(buffer[0]);
        }
        assert!(arrived.is_sorted() && (10..90).contains(&arrived.len()), "{arrived:?}");
        Ok(())
    }

    #[tokio::test]
    async fn packets_arrive_no_earlier_than_the_delay() -> io::Result<()> {
        let delay = Duration::from_millis(30);
        let (_, took) = arrivals(Weather { delay, ..Weather::default() }, 1).await?;
        assert!(took >= delay, "{took:?}");
        Ok(())
    }

    #[test]
    fn a_narrow_uplink_sends_one_packet_after_the_other_and_loses_what_would_wait_too_long() {
        let weather = Weather { uplink_bytes_per_s: Some(10_000), ..Weather::default() };
        let (mut above, now) = (Above { weather, free_at: None }, Instant::now());
        let ms = |ms| Fate::Later(now + Duration::from_millis(ms));
        // The third finds more before it than may wait.
        let fates = [1_000, 1_500, 1_000].map(|bytes| above.fate(bytes, now));
        assert_eq!(fates, [ms(100), ms(250), Fate::Lost]);
        assert_eq!(above.fate(1_000, now + Duration::from_millis(400)), ms(500));
    }

    #[tokio::test]
    async fn a_socket_that_is_cut_neither_sends_nor_receives_until_it_is_no_more() -> io::Result<()> {
        let (here, there, mut buffer) = (socket()?, socket()?, [0; 8]);
        let sky = Sky::of(Weather { is_cut: true, ..Weather::default() });
        let cut = sky.over(here);
        there.send_to(b"lost", cut.local_addr()?).await?;
        cut.send_to(b"lost", there.local_addr()?).await?;
        // What the cut one is sent is seen to be thrown away.
        let receiving = cut.recv_from(&mut buffer);
        assert!(tokio::time::timeout(Duration::from_millis(100), receiving).await.is_err());
        sky.set(Weather::default());
        there.send_to(b"in", cut.local_addr()?).await?;
        assert_eq!(cut.recv_from(&mut buffer).await?.0, 2);
        cut.send_to(b"out", there.local_addr()?).await?;
        assert_eq!(there.recv_from(&mut buffer).await?.0, 3);
        Ok(())
    }
}
