//! How late messages come on one link between two peers of this process, packets being lost and delayed below it: on the
//! ordered, reliable data channel and on the lossy one. Nothing is repaired but what SCTP repairs.
//!
//! ```text
//! cargo run --release -p tiercast-peer-client --features faults --example raw_channel -- --loss-percent 1
//! ```

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use clap::Parser;
use hdrhistogram::Histogram;
use tiercast_codec::FRAME_KIND;
use tiercast_peer_client::link::{LinkEvent, LinkHandle, LinkSettings, Links, Role, TrySendError, Weather};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};

/// What both ends call the link.
const LINK: u64 = 1;

/// Events on their way from a link; then it stops reading.
const EVENTS_MAX: usize = 1_024;

/// For connecting: where packets are lost it may have to try often.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(60);

/// A channel that has brought nothing for so long after the last message was handed over brings nothing more.
const QUIET: Duration = Duration::from_secs(60);

/// What is measured.
#[derive(Debug, Parser)]
#[command(about = "Measures how late messages come on the two data channels of a link that loses packets")]
struct Options {
    /// Packets lost in each direction, in percent
    #[arg(long, default_value_t = 1.0)]
    loss_percent: f64,
    /// How long a packet is under way in each direction
    #[arg(long, default_value_t = 25)]
    delay_ms: u64,
    /// Messages a second
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    rate: u32,
    /// Bytes of each; larger ones are never lossy
    #[arg(long, default_value_t = 520, value_parser = clap::value_parser!(u16).range(24..=4_640))]
    bytes: u16,
    /// How many messages
    #[arg(long, default_value_t = 6_000, value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    ensure!((0.0..100.0).contains(&options.loss_percent), "--loss-percent must be from 0 to below 100");
    // Each has a connection of its own, so neither knows of the other.
    let (reliable, lossy) = tokio::try_join!(measure(&options, false), measure(&options, true))?;
    println!(
        "{:<18}{:>9}{:>10}{:>10}{:>10}{:>10}",
        "latency in ms", "arrived", "p50", "p99", "p99.9", "longest"
    );
    print("ordered, reliable", &reliable);
    print("lossy", &lossy);
    Ok(())
}

fn print(channel: &str, latencies_us: &Histogram<u64>) {
    let ms = |us: u64| us as f64 / 1e3;
    let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|quantile| ms(latencies_us.value_at_quantile(quantile)));
    let (arrived, longest) = (latencies_us.len(), ms(latencies_us.max()));
    println!("{channel:<18}{arrived:>9}{p50:>10.0}{p99:>10.0}{p999:>10.0}{longest:>10.0}");
}

/// The latencies of the messages that arrived, in microseconds, from when each was due: what waits for leave to send is late.
async fn measure(options: &Options, is_lossy: bool) -> anyhow::Result<Histogram<u64>> {
    let (mut sender, mut receiver) = connect(options, is_lossy).await?;
    let mut latencies_us = Histogram::new(3)?;
    let (begun, mut next, mut has_room) = (Instant::now(), 0, true);
    let due = |number| begun + Duration::from_secs(1) * number / options.rate;
    while latencies_us.len() < u64::from(options.count) {
        tokio::select! {
            () = sleep_until(due(next)), if has_room && next < options.count => {
                match sender.link.try_send(message(next, options.bytes)) {
                    Ok(()) => next += 1,
                    Err(TrySendError::Full) => has_room = false,
                    Err(error) => bail!(error),
                }
            }
            event = sender.event() => has_room |= matches!(event?, LinkEvent::Writable { .. }),
            event = receiver.event() => if let LinkEvent::Data { bytes, .. } = event? {
                latencies_us.record(due(number(&bytes)?).elapsed().as_micros() as u64)?;
            },
            () = sleep(QUIET), if next == options.count => break,
        }
    }
    Ok(latencies_us)
}

/// Looks like a frame, since those may be lost where the link has a lossy channel.
fn message(number: u32, bytes: u16) -> Bytes {
    let mut message = BytesMut::with_capacity(bytes.into());
    message.put_u8(FRAME_KIND);
    message.put_u32(number);
    message.resize(bytes.into(), 0);
    message.freeze()
}

fn number(mut message: &[u8]) -> anyhow::Result<u32> {
    message.advance(1.min(message.len()));
    message.try_get_u32().context("a message without a number")
}

/// One end of the link.
struct End {
    link: LinkHandle,
    inbox: mpsc::Receiver<LinkEvent>,
}

impl End {
    fn open(settings: LinkSettings, role: Role) -> Self {
        let (events, inbox) = mpsc::channel(EVENTS_MAX);
        Self { link: Links::new(settings, events).open(LINK, role), inbox }
    }

    /// What happens next, unless it is the end. Cancel safe.
    async fn event(&mut self) -> anyhow::Result<LinkEvent> {
        match self.inbox.recv().await.context("the link says nothing more")? {
            LinkEvent::Closed { reason, .. } => bail!("the link has closed: {reason}"),
            event => Ok(event),
        }
    }
}

/// Two ends that are open. Without a lossy channel everything goes on the reliable one.
async fn connect(options: &Options, is_lossy: bool) -> anyhow::Result<(End, End)> {
    let settings = settings(options, is_lossy);
    let mut offerer = End::open(settings.clone(), Role::Offerer);
    let mut answerer = End::open(settings, Role::Answerer);
    let mut opened = 0;
    while opened < 2 {
        let (event, other) = tokio::select! {
            event = offerer.event() => (event?, &answerer.link),
            event = answerer.event() => (event?, &offerer.link),
        };
        match event {
            LinkEvent::Signal { signal, .. } => other.signal(signal),
            LinkEvent::Opened { .. } => opened += 1,
            _ => {}
        }
    }
    Ok((offerer, answerer))
}

fn settings(options: &Options, is_lossy: bool) -> LinkSettings {
    LinkSettings {
        bind: Some(vec![([127, 0, 0, 1], 0).into()]),
        connect_timeout: CONNECT_TIMEOUT,
        lossy: is_lossy,
        weather: Weather {
            lost_per_million: (options.loss_percent * 1e4) as u32,
            delay: Duration::from_millis(options.delay_ms),
            ..Weather::default()
        },
        ..LinkSettings::default()
    }
}
