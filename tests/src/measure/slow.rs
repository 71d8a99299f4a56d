//! Slow readers beside fast ones: what they cost the server, whether they make the others late, and what they are told.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use clap::Args;
use hdrhistogram::Histogram;
use serde::Serialize;
use tiercast_codec::Since;
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{MIB, Progress, publish};
use crate::{
    crowd::{self, Check, Scene, Tally, Times, all},
    listener::PATIENCE,
    server_program::ServerProgram,
    wire::{Transport, Wire, position},
};

const CHANNEL: &str = "builds";

/// Slow readers read so often.
const SIP_EVERY: Duration = Duration::from_millis(100);

/// What the kernel holds for a slow reader, about.
const SLOW_BUFFER_BYTES: u32 = 4 << 10;

/// A slow reader may cost so much, and as much again in the kernel.
const SLOW_KIB_MAX: f64 = 512.0;

/// Time between two looks at the server.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// The fast ones.
const FAST: [Transport; 3] = [Transport::Session, Transport::Json, Transport::Sse];

/// What is measured.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Slow readers of each kind: SSE that reads a little, JSON that reads nothing, a binary session that reads nothing.
    #[arg(long, default_value_t = 100)]
    pub slow: usize,
    /// Bytes a second that slow readers by SSE read.
    #[arg(long, default_value_t = 1_000)]
    pub slow_rate: usize,
    /// Fast readers of each of SSE, JSON and binary session.
    #[arg(long, default_value_t = 10)]
    pub fast: usize,
    /// Events a second.
    #[arg(long, default_value_t = 200)]
    pub rate: u64,
    /// Bytes of an event's body.
    #[arg(long, default_value_t = 1_000)]
    pub bytes: usize,
    /// Seconds without slow readers.
    #[arg(long, default_value_t = 20)]
    pub before: u64,
    /// Seconds with slow readers: some more than it takes to cut off those that read nothing.
    #[arg(long, default_value_t = 50)]
    pub with: u64,
    /// Who takes no byte for so many milliseconds is cut off (`limits.write_stall_ms`).
    #[arg(long, default_value_t = 30_000)]
    pub stall_ms: u64,
}

/// How late events were, in milliseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Delay {
    /// The middle.
    pub p50_ms: f64,
    /// The 99th of a hundred.
    pub p99_ms: f64,
    /// The longest.
    pub max_ms: f64,
    /// How many deliveries that is.
    pub deliveries: u64,
}

/// Slow readers of one kind.
#[derive(Debug, Serialize)]
pub struct SlowOnes {
    /// What they got, when they read on in the end, and where they came back after they had been cut off.
    pub tally: Tally,
    /// How many were cut off.
    pub cut_off: usize,
    /// How many were told of a gap.
    pub told: usize,
    /// With what their first connection ended, if it did, and of how many.
    pub ends: BTreeMap<String, usize>,
}

/// What was measured.
#[derive(Debug, Serialize)]
pub struct Figures {
    /// Slow readers, of all kinds together.
    pub slow: usize,
    /// Fast readers.
    pub fast: usize,
    /// How late the fast ones got events without slow ones.
    pub alone: Delay,
    /// The same beside slow ones.
    pub beside_slow: Delay,
    /// Second p99 by the first.
    pub p99_ratio: f64,
    /// Resident memory before there were slow ones, in MiB.
    pub rss_before_mib: f64,
    /// The most while there were.
    pub rss_most_mib: f64,
    /// The difference by slow reader, in KiB.
    pub kib_per_slow: f64,
    /// The most that the kernel held in the send queues of the server's connections, by slow reader, in KiB.
    pub kernel_kib_per_slow: f64,
    /// Sessions that the server counts as stalled.
    pub stalled: f64,
    /// What the fast ones got.
    pub fast_tally: Tally,
    /// SSE that reads a little.
    pub sse: SlowOnes,
    /// JSON over WebSocket that reads nothing.
    pub json: SlowOnes,
    /// A binary session that reads nothing.
    pub session: SlowOnes,
}

impl Figures {
    /// Whether nobody missed anything without being told.
    pub fn check(&self) -> Result<()> {
        ensure!(self.fast_tally.keeps_the_promise() && self.fast_tally.gaps == 0, "{:?}", self.fast_tally);
        let each = self.slow / 3;
        for (kind, ones) in [("sse", &self.sse), ("json", &self.json), ("session", &self.session)] {
            ensure!(ones.tally.keeps_the_promise(), "{kind}: {ones:?}");
            ensure!(ones.told == each, "{} of {each} {kind} were told of a gap: {ones:?}", ones.told);
        }
        for (kind, ones) in [("json", &self.json), ("session", &self.session)] {
            ensure!(ones.cut_off == each, "{} of {each} {kind} were cut off: {ones:?}", ones.cut_off);
        }
        ensure!(self.sse.cut_off == 0, "who reads slowly is not cut off: {:?}", self.sse);
        ensure!(self.kib_per_slow < SLOW_KIB_MAX, "{} KiB for each", self.kib_per_slow);
        ensure!(
            self.kernel_kib_per_slow < SLOW_KIB_MAX,
            "{} KiB in the kernel for each",
            self.kernel_kib_per_slow
        );
        Ok(())
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, delay) in [("alone", self.alone), ("beside slow ones", self.beside_slow)] {
            let Delay { p50_ms, p99_ms, max_ms, deliveries } = delay;
            writeln!(
                f,
                "delay of {} fast ones {what:<18} p50 {p50_ms:.2} ms, p99 {p99_ms:.2} ms, longest {max_ms:.2} ms ({deliveries} deliveries)",
                self.fast
            )?;
        }
        writeln!(f, "p99 beside slow ones by p99 alone    {:.2}", self.p99_ratio)?;
        writeln!(
            f,
            "resident memory of the server        {:.1} MiB before, {:.1} MiB at most beside {} slow ones: {:.1} KiB each, and {:.1} KiB in the kernel",
            self.rss_before_mib, self.rss_most_mib, self.slow, self.kib_per_slow, self.kernel_kib_per_slow
        )?;
        writeln!(f, "connections that it counts stalled   {}", self.stalled)?;
        for (kind, ones) in [("sse", &self.sse), ("json", &self.json), ("session", &self.session)] {
            let SlowOnes { tally, cut_off, told, ends } = ones;
            writeln!(f, "{kind:<8} {told} told of a gap, {cut_off} cut off {ends:?}; {tally:?}")?;
        }
        write!(f, "fast     {:?}", self.fast_tally)
    }
}

/// So little is kept in memory that the slow ones fall behind it within seconds.
fn config(stall_ms: u64) -> String {
    format!(
        "[hub]\nlog_bytes = {}\n[limits]\nwrite_stall_ms = {stall_ms}\nsheets_bytes = {}\n\
         [[channels]]\nname = \"{CHANNEL}\"\n",
        1 << 20,
        4 << 20
    )
}

/// Measures.
pub async fn run(options: &Options, progress: Progress) -> Result<Figures> {
    let Options { slow, fast, rate, bytes, .. } = *options;
    let server = ServerProgram::start(&config(options.stall_ms)).await?;
    let mut publisher = server.publisher(CHANNEL).await?;
    let (alone, with) = (rate * options.before, rate * options.with);
    let last = alone + with - 1;
    let (times, delays) = (Times::new(last + 1), Arc::new(Delays::new(alone, rate)?));
    let scene = Scene::new(server.addr, CHANNEL)?;
    let since = Since::Position(position(server.addr, &scene.channel).await?);
    let mut fast_ones = JoinSet::new();
    for transport in crowd::mixed(fast * FAST.len(), &FAST) {
        let (scene, times, delays) = (scene.clone(), times.clone(), delays.clone());
        fast_ones.spawn(async move {
            let mut check = Check::default();
            let mut wire = scene.open(transport, since, &mut check).await?;
            let came = |number| delays.add(number, times.age_us(number));
            scene.read_to(&mut wire, &mut check, last, came).await?;
            anyhow::Ok(check.tally)
        });
    }
    progress(format!("{} fast readers alone, for {} s", fast * FAST.len(), options.before));
    publish(&mut publisher, 0..alone, (rate, bytes), &times).await?;

    let before = server.usage()?.resident_bytes;
    let (done, is_done) = watch::channel(false);
    let mut slow_ones = JoinSet::new();
    let now = Since::Position(position(server.addr, &scene.channel).await?);
    for transport in crowd::mixed(slow * FAST.len(), &FAST) {
        let (scene, is_done) = (scene.clone(), is_done.clone());
        let sip_bytes = options.slow_rate * SIP_EVERY.as_millis() as usize / 1_000;
        slow_ones
            .spawn(async move { slow_one(&scene, transport, (now, alone, last), sip_bytes, is_done).await });
    }
    progress(format!("{} slow readers beside them, for {} s", slow * FAST.len(), options.with));
    let (mut most, mut queued) = (before, 0);
    let looking = async {
        loop {
            most = most.max(server.usage()?.resident_bytes);
            queued = queued.max(server.queued_bytes()?);
            sleep(LOOK_EVERY).await;
        }
    };
    tokio::select! {
        published = publish(&mut publisher, alone..last + 1, (rate, bytes), &times) => published?,
        failed = looking => return failed,
    }
    let stalled = server.metric("sessions_stalled_total").await?;
    let fast_tally = all(&mut fast_ones).await?.into_iter().sum();
    progress("the slow ones read on, or come back".to_owned());
    done.send_replace(true);
    let ones = all(&mut slow_ones).await?;
    let of = |transport| {
        let mine = ones.iter().filter(|one| one.transport == transport);
        let mut ends = BTreeMap::new();
        mine.clone().filter_map(|one| one.end.clone()).for_each(|end| *ends.entry(end).or_default() += 1);
        SlowOnes {
            tally: mine.clone().map(|one| one.tally).sum(),
            cut_off: mine.clone().filter(|one| one.end.is_some()).count(),
            told: mine.filter(|one| one.tally.gaps > 0).count(),
            ends,
        }
    };
    let (alone, beside_slow) = (delays.alone(), delays.beside_slow());
    let by_slow =
        |bytes: u64| if slow == 0 { 0.0 } else { bytes as f64 / 1_024.0 / (slow * FAST.len()) as f64 };
    Ok(Figures {
        slow: slow * FAST.len(),
        fast: fast * FAST.len(),
        p99_ratio: beside_slow.p99_ms / alone.p99_ms,
        alone,
        beside_slow,
        rss_before_mib: before as f64 / MIB,
        rss_most_mib: most as f64 / MIB,
        kib_per_slow: by_slow(most - before),
        kernel_kib_per_slow: by_slow(queued),
        stalled,
        fast_tally,
        sse: of(Transport::Sse),
        json: of(Transport::Json),
        session: of(Transport::Session),
    })
}

/// How late the fast ones were, without slow ones and beside them.
#[derive(Debug)]
struct Delays {
    /// The first event beside slow ones.
    border: u64,
    /// Events that are not counted at the beginning of either part.
    warm_up: u64,
    by_part: [Mutex<Histogram<u64>>; 2],
}

impl Delays {
    fn new(border: u64, warm_up: u64) -> Result<Self> {
        let histogram = || anyhow::Ok(Mutex::new(histogram()?));
        Ok(Self { border, warm_up, by_part: [histogram()?, histogram()?] })
    }

    fn add(&self, number: u64, age_us: u64) {
        let part = usize::from(number >= self.border);
        if number - self.border * part as u64 >= self.warm_up {
            self.by_part[part].lock().expect("nobody panics").saturating_record(age_us);
        }
    }

    fn alone(&self) -> Delay {
        delay(&self.by_part[0].lock().expect("nobody panics"))
    }

    fn beside_slow(&self) -> Delay {
        delay(&self.by_part[1].lock().expect("nobody panics"))
    }
}

/// A histogram of microseconds, up to a minute.
pub(super) fn histogram() -> Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, 60_000_000, 3)?)
}

/// What a histogram of microseconds says.
pub(super) fn delay(histogram: &Histogram<u64>) -> Delay {
    let at = |share| histogram.value_at_quantile(share) as f64 / 1_000.0;
    Delay { p50_ms: at(0.5), p99_ms: at(0.99), max_ms: at(1.0), deliveries: histogram.len() }
}

/// What became of a slow reader.
#[derive(Debug)]
struct SlowOne {
    transport: Transport,
    tally: Tally,
    /// With what its first connection ended, if it did.
    end: Option<String>,
}

/// Reads slowly, or not at all, until it is told; then as fast as it can to the end. If it was cut off it comes back.
async fn slow_one(
    scene: &Scene,
    transport: Transport,
    (since, first, last): (Since, u64, u64),
    sip_bytes: usize,
    mut is_done: watch::Receiver<bool>,
) -> Result<SlowOne> {
    let mut check = Check::from(first);
    let buffer = Some(SLOW_BUFFER_BYTES);
    let mut wire = Wire::open(transport, scene.server, &scene.channel, since, buffer).await?;
    check.tally.connections += 1;
    let mut sipped = Ok(());
    while transport == Transport::Sse && sipped.is_ok() && !*is_done.borrow() {
        sipped = wire.read_at_most(sip_bytes, |told| _ = check.take(told)).await;
        sleep(SIP_EVERY).await;
    }
    is_done.wait_for(|done| *done).await?;
    let read = match sipped {
        Ok(()) => scene.read_to(&mut wire, &mut check, last, |_| ()).await,
        ended => ended,
    };
    let mut end = None;
    if let Err(error) = read {
        end = Some(error.to_string());
        let mut wire = scene.open(transport, wire.since(), &mut check).await?;
        let rest = scene.read_to(&mut wire, &mut check, last, |_| ());
        timeout(PATIENCE, rest).await.context("it does not come back")??;
    }
    Ok(SlowOne { transport, tally: check.tally, end })
}
