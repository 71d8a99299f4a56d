//! What a delivery costs the server in CPU time, and an idle connection in memory, by transport.

use std::{
    sync::{Arc, Mutex, atomic::Ordering},
    time::Duration,
};

use anyhow::{Result, ensure};
use clap::Args;
use serde::Serialize;
use tiercast_codec::Since;
use tiercast_platform::cpu_seconds;
use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, sleep},
};

use super::{
    Progress, publish,
    slow::{Delay, delay, histogram},
};
use crate::{
    crowd::{Check, Scene, Tally, Times, all},
    server_program::ServerProgram,
    wire::{Transport, position},
};

const CHANNEL: &str = "builds";

/// Clients that connect at a time.
const CONNECTING_MAX: usize = 50;

/// Events that a server has before it is measured.
const WARM_UP: u64 = 200;

/// Time between two looks at how far a run is.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What is measured.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Connections.
    #[arg(long, default_value_t = 1_000)]
    pub clients: usize,
    /// Events a second.
    #[arg(long, default_value_t = 50)]
    pub rate: u64,
    /// Bytes of an event's body.
    #[arg(long, default_value_t = 600)]
    pub bytes: usize,
    /// Seconds of publishing.
    #[arg(long, default_value_t = 10)]
    pub seconds: u64,
    /// Seconds without events, before.
    #[arg(long, default_value_t = 5)]
    pub idle: u64,
    /// What they speak, each with a server of its own, one after the other.
    #[arg(long, value_delimiter = ',', default_value = "session,json,sse,poll")]
    pub transports: Vec<Transport>,
}

/// What one transport costs.
#[derive(Debug, Serialize)]
pub struct Cost {
    /// None: nobody is connected, and events are published all the same.
    pub transport: Option<Transport>,
    /// Connections.
    pub clients: usize,
    /// Resident memory by idle connection, in KiB.
    pub idle_kib: f64,
    /// CPU time of the server a second while all are idle, in milliseconds.
    pub idle_cpu_ms: f64,
    /// CPU time of the server while events were delivered, in seconds.
    pub cpu_s: f64,
    /// The same by delivery, in microseconds.
    pub delivery_us: f64,
    /// From the first event until all had the last.
    pub took_s: f64,
    /// CPU time of the clients meanwhile.
    pub clients_cpu_s: f64,
    /// How late events were.
    pub delay: Delay,
    /// What the clients got.
    pub tally: Tally,
}

/// The figures as a table.
pub fn table(costs: &[Cost]) -> String {
    let mut lines = vec![
        "            connections  KiB each  idle CPU ms/s   CPU us/delivery  delay p50 / p99 ms   took s  CPU of the clients s".to_owned(),
    ];
    lines.extend(costs.iter().map(|cost| {
        let name = cost.transport.map_or("nobody", Transport::name);
        let Delay { p50_ms, p99_ms, .. } = cost.delay;
        if cost.clients == 0 {
            return format!("nobody: the same events published took {:.2} s of CPU time", cost.cpu_s);
        }
        format!(
            "{name:<10} {:>12} {:>9.1} {:>14.1} {:>17.2} {:>9.1} / {:>7.1} {:>8.1} {:>21.1}",
            cost.clients,
            cost.idle_kib,
            cost.idle_cpu_ms,
            cost.delivery_us,
            p50_ms,
            p99_ms,
            cost.took_s,
            cost.clients_cpu_s
        )
    }));
    lines.join("\n")
}

/// Whether everybody got everything.
pub fn check(costs: &[Cost]) -> Result<()> {
    for Cost { transport, tally, .. } in costs {
        ensure!(tally.keeps_the_promise() && tally.gaps == 0, "{transport:?}: {tally:?}");
    }
    Ok(())
}

/// Measures each transport, and before that a server without clients.
pub async fn run(options: &Options, progress: Progress) -> Result<Vec<Cost>> {
    let mut costs = vec![cost(options, None, progress).await?];
    for transport in &options.transports {
        costs.push(cost(options, Some(*transport), progress).await?);
    }
    Ok(costs)
}

async fn cost(options: &Options, transport: Option<Transport>, progress: Progress) -> Result<Cost> {
    let Options { rate, bytes, seconds, .. } = *options;
    let server = ServerProgram::start(&format!("[[channels]]\nname = \"{CHANNEL}\"\n")).await?;
    let mut publisher = server.publisher(CHANNEL).await?;
    let last = WARM_UP + rate * seconds - 1;
    let times = Times::new(last + 1);
    publish(&mut publisher, 0..WARM_UP, (1_000, bytes), &times).await?;
    let scene = Scene::new(server.addr, CHANNEL)?;
    let since = Since::Position(position(server.addr, &scene.channel).await?);
    let clients = transport.map_or(0, |_| options.clients);
    let name = transport.map_or("nobody", Transport::name);
    let before = server.usage()?;

    progress(format!("{name}: connecting {clients}"));
    let delays = Arc::new(Mutex::new(histogram()?));
    let (connecting, mut members) = (Arc::new(Semaphore::new(CONNECTING_MAX)), JoinSet::new());
    for transport in transport.into_iter().cycle().take(clients) {
        let (scene, times, delays, connecting) =
            (scene.clone(), times.clone(), delays.clone(), connecting.clone());
        members.spawn(async move {
            let mut check = Check::from(WARM_UP);
            let permit = connecting.acquire().await?;
            let mut wire = scene.open(transport, since, &mut check).await?;
            drop(permit);
            let came = |number| {
                delays.lock().expect("nobody panics").saturating_record(times.age_us(number));
            };
            scene.read_to(&mut wire, &mut check, last, came).await?;
            anyhow::Ok(check.tally)
        });
    }
    while scene.opened.load(Ordering::Relaxed) < clients {
        sleep(Duration::from_millis(20)).await;
    }
    sleep(Duration::from_secs(1)).await;
    let settled = server.usage()?;
    sleep(Duration::from_secs(options.idle)).await;
    let idle = server.usage()?;

    let (begun, clients_before) = (Instant::now(), cpu_seconds().unwrap_or(0.0));
    let reading = async {
        publish(&mut publisher, WARM_UP..last + 1, (rate, bytes), &times).await?;
        all(&mut members).await
    };
    let looking = async {
        loop {
            sleep(LOOK_EVERY).await;
            let (got, all) = (scene.events.load(Ordering::Relaxed), clients as u64 * rate * seconds);
            progress(format!(
                "{name}: {got} of {all} deliveries after {:.0} s",
                begun.elapsed().as_secs_f64()
            ));
        }
    };
    let tallies: Vec<Tally> = tokio::select! {
        tallies = reading => tallies?,
        () = looking => unreachable!(),
    };
    let (took, end) = (begun.elapsed(), server.usage()?);
    let tally: Tally = tallies.into_iter().sum();
    let cpu_s = end.cpu_seconds - idle.cpu_seconds;
    let delay = delay(&delays.lock().expect("nobody panics"));
    Ok(Cost {
        transport,
        clients,
        idle_kib: idle.resident_bytes.saturating_sub(before.resident_bytes) as f64
            / 1_024.0
            / clients.max(1) as f64,
        idle_cpu_ms: (idle.cpu_seconds - settled.cpu_seconds) * 1_000.0 / options.idle.max(1) as f64,
        cpu_s,
        delivery_us: cpu_s * 1e6 / tally.events.max(1) as f64,
        took_s: took.as_secs_f64(),
        clients_cpu_s: cpu_seconds().unwrap_or(0.0) - clients_before,
        delay,
        tally,
    })
}
