//! A crowd that comes back at once: a server is killed and started again, and everybody reads what was published meanwhile,
//! part of it from the broker, since it is more than the server has in memory.

use std::{fmt, sync::atomic::Ordering, time::Duration};

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde::Serialize;
use tiercast_codec::Since;
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use super::{MIB, Progress};
use crate::{
    broker::{Broker, Outgoing},
    crowd::{self, Check, Scene, Spread, Tally, all},
    listener::PATIENCE,
    server_program::{ServerProgram, broker_config},
    wire::{Ended, Transport},
};

const CHANNEL: &str = "builds";
const EXCHANGE: &str = "ci";

/// Events that everybody has before the server is killed.
const BEFORE: u64 = 100;

/// Events that are published while everybody comes back.
const AFTER: u64 = 100;

/// Events that share a frame at most.
const FRAME_EVENTS: u64 = 64;

/// What the server may need for all who come back: the log, pages of the past, and how they are written.
const SHARED_MIB_MAX: f64 = 64.0;

/// What it may need for each of them.
const CLIENT_MIB_MAX: f64 = 0.1;

/// Connections after which a client gives up.
const CONNECTIONS_MAX: u64 = 100;

/// Time between two looks at the server.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What is measured.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// How many come back; as many of each transport, in turns.
    #[arg(long, default_value_t = 500)]
    pub clients: usize,
    /// Events that are published while there is no server. Its memory takes half of them.
    #[arg(long, default_value_t = 5_000)]
    pub behind: u64,
    /// Bytes of an event's body.
    #[arg(long, default_value_t = 600)]
    pub bytes: usize,
    /// What they speak.
    #[arg(long, value_delimiter = ',', default_value = "session,json,sse,poll")]
    pub transports: Vec<Transport>,
}

/// What was measured.
#[derive(Debug, Serialize)]
pub struct Figures {
    /// How many came back.
    pub clients: usize,
    /// Events that each lacked.
    pub behind: u64,
    /// What they got, from the first event on.
    pub tally: Tally,
    /// From the start of the program until it was ready.
    pub start_s: f64,
    /// From then until each had everything.
    pub caught_up: Spread,
    /// Resident memory of the server when it was ready, in MiB.
    pub rss_ready_mib: f64,
    /// The most that it ever was (VmHWM).
    pub rss_peak_mib: f64,
    /// Bytes of the bodies that each lacked, in MiB.
    pub behind_mib: f64,
    /// CPU time of the server from ready to the end.
    pub cpu_s: f64,
    /// Pages of the past that the server fetched.
    pub pages: f64,
    /// Pages that it could not have at first.
    pub pages_failed: f64,
    /// Most pages that it fetched at a time, by its metric.
    pub fetching_max: f64,
    /// How many it may.
    pub fetching_bound: f64,
    /// Most consumers of the stream, by the broker.
    pub consumers_max: usize,
    /// How often the server and the broker were asked.
    pub looks: (usize, usize),
}

impl Figures {
    /// Whether everybody got everything once, within the server's bounds.
    pub fn check(&self) -> Result<()> {
        let Self { tally, clients, .. } = self;
        let events = (BEFORE + self.behind + AFTER) * *clients as u64;
        ensure!(tally.keeps_the_promise() && tally.gaps == 0 && tally.events == events, "{tally:?}");
        let rss = self.rss_peak_mib - self.rss_ready_mib;
        let rss_max = SHARED_MIB_MAX + *clients as f64 * CLIENT_MIB_MAX;
        ensure!(rss <= rss_max, "{rss:.1} MiB more than {rss_max:.1}");
        ensure!(self.pages > 0.0, "nothing came from the broker");
        ensure!(self.fetching_max <= self.fetching_bound, "{} readers of the broker", self.fetching_max);
        // One reads what is new; and one that has ended may still be counted when the next one has begun.
        let consumers = 2 * self.fetching_bound as usize + 1;
        ensure!(
            self.consumers_max <= consumers,
            "{} consumers in {:?} looks",
            self.consumers_max,
            self.looks
        );
        Ok(())
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Spread { p50_s, p99_s, max_s } = self.caught_up;
        writeln!(f, "{} clients, {} events ({:.1} MiB) behind", self.clients, self.behind, self.behind_mib)?;
        writeln!(f, "the server was ready after        {:.2} s", self.start_s)?;
        writeln!(
            f,
            "clients had everything after      p50 {p50_s:.2} s, p99 {p99_s:.2} s, last {max_s:.2} s"
        )?;
        writeln!(
            f,
            "resident memory of the server     {:.1} MiB when ready, {:.1} MiB at most",
            self.rss_ready_mib, self.rss_peak_mib
        )?;
        writeln!(f, "its CPU time                      {:.2} s", self.cpu_s)?;
        writeln!(
            f,
            "pages fetched                     {}, {} of them at first in vain",
            self.pages, self.pages_failed
        )?;
        writeln!(
            f,
            "fetched at a time                 {} (bound {}), {} consumers of the stream; looked {} and {} times",
            self.fetching_max, self.fetching_bound, self.consumers_max, self.looks.0, self.looks.1
        )?;
        write!(f, "{:?}", self.tally)
    }
}

fn config(broker: &Broker, behind: u64) -> String {
    let log_frames = (behind / 2 / FRAME_EVENTS).max(1);
    broker_config(&[broker.url()], CHANNEL, EXCHANGE, "stream") + &format!("hub.log_frames = {log_frames}\n")
}

/// Measures.
pub async fn run(options: &Options, progress: Progress) -> Result<Figures> {
    let Options { clients, behind, bytes, transports } = options;
    progress("starting a broker and a server".to_owned());
    let broker = Broker::start().await?;
    broker.declare_topic_exchange(EXCHANGE).await?;
    let mut server = ServerProgram::start(&config(&broker, *behind)).await?;
    let mut publisher = broker.publisher(EXCHANGE);
    let messages = |numbers: std::ops::Range<u64>| -> Vec<_> {
        let body = |number| super::event(number, *bytes)["text"].as_str().unwrap_or_default().to_owned();
        numbers.map(|number| Outgoing::new("build.done", &number.to_string(), body(number))).collect()
    };
    publisher.publish(&messages(0..BEFORE)).await?;

    let scene = Scene::new(server.addr, CHANNEL)?;
    let (open, gate) = watch::channel(false);
    let mut members = JoinSet::new();
    let last = BEFORE + behind + AFTER - 1;
    for transport in crowd::mixed(*clients, transports) {
        let (scene, gate) = (scene.clone(), gate.clone());
        members.spawn(async move { member(&scene, transport, gate, last).await });
    }
    let everybody = *clients as u64 * BEFORE;
    let arriving = async {
        while scene.events.load(Ordering::Relaxed) < everybody {
            sleep(LOOK_EVERY).await;
        }
    };
    timeout(PATIENCE, arriving).await.context("not everybody gets the first events")?;

    progress(format!("{clients} clients are there: the server is killed, and {behind} events are published"));
    server.kill().await?;
    publisher.publish(&messages(BEFORE..BEFORE + behind)).await?;
    let begun = Instant::now();
    server.start_again().await?;
    let (start_s, ready) = (begun.elapsed().as_secs_f64(), server.usage()?);
    progress(format!("the server is back after {start_s:.1} s, and so is everybody"));
    let begun = Instant::now();
    open.send_replace(true);
    let (mut server_looks, mut broker_looks) = (Looks::default(), Looks::default());
    let coming = async {
        publisher.publish(&messages(BEFORE + behind..last + 1)).await?;
        all(&mut members).await
    };
    let looking = async {
        loop {
            server_looks.saw(server.metric("past_fetching").await?);
            let (got, all) = (scene.events.load(Ordering::Relaxed), *clients as u64 * (last + 1));
            progress(format!("{got} of {all} events after {:.1} s", begun.elapsed().as_secs_f64()));
            sleep(LOOK_EVERY).await;
        }
    };
    let asking = async {
        loop {
            broker_looks.saw(broker.consumers(&format!("tiercast.{CHANNEL}")).await? as f64);
        }
    };
    let members: Vec<(Tally, Instant)> = tokio::select! {
        came = coming => came?,
        failed = looking => return failed,
        failed = asking => return failed,
    };
    let end = server.usage()?;
    Ok(Figures {
        clients: *clients,
        behind: *behind,
        tally: members.iter().map(|(tally, _)| *tally).sum(),
        start_s,
        caught_up: Spread::of(members.iter().map(|(_, at)| *at - begun).collect()),
        rss_ready_mib: ready.resident_bytes as f64 / MIB,
        rss_peak_mib: end.peak_bytes as f64 / MIB,
        behind_mib: (*behind as usize * bytes) as f64 / MIB,
        cpu_s: end.cpu_seconds - ready.cpu_seconds,
        pages: server.metric("channel_pages_total").await?,
        pages_failed: server.metric("channel_pages_failed_total").await?,
        fetching_max: server_looks.most,
        fetching_bound: server.metric("config_hub_past_fetches_max").await?,
        consumers_max: broker_looks.most as usize,
        looks: (server_looks.count, broker_looks.count),
    })
}

/// What was seen when something was looked at again and again.
#[derive(Debug, Default)]
struct Looks {
    count: usize,
    most: f64,
}

impl Looks {
    fn saw(&mut self, value: f64) {
        self.count += 1;
        self.most = self.most.max(value);
    }
}

/// Reads until everything has come; when its connection ends it waits for the gate, and goes on where it was. Says when it had
/// everything.
async fn member(
    scene: &Scene,
    transport: Transport,
    mut gate: watch::Receiver<bool>,
    last: u64,
) -> Result<(Tally, Instant)> {
    let (mut check, mut since) = (Check::default(), Since::Earliest);
    loop {
        let Err(error) = read(scene, transport, &mut since, &mut check, last).await else {
            return Ok((check.tally, Instant::now()));
        };
        ensure!(check.tally.connections < CONNECTIONS_MAX, "{error}");
        let told = error.downcast_ref::<Ended>().map(|ended| ended.retry);
        let is_open = *gate.borrow();
        if is_open {
            sleep(told.unwrap_or(LOOK_EVERY)).await;
        } else {
            // By the time that there is a server again, everybody has waited for long enough.
            gate.wait_for(|open| *open).await?;
        }
    }
}

async fn read(
    scene: &Scene,
    transport: Transport,
    since: &mut Since,
    check: &mut Check,
    last: u64,
) -> Result<()> {
    let mut wire = scene.open(transport, *since, check).await?;
    let read = scene.read_to(&mut wire, check, last, |_| ()).await;
    *since = wire.since();
    read
}
