//! A child that reads a twentieth of what comes, next to fast ones: they do not notice, the relay's memory stays
//! bounded, and the slow one is told exactly what it has missed.

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use tiercast_codec::{Message, PeerId};
use tiercast_mesh::hub::Tier1;
use tiercast_peer_client::{Client, ClientOptions, Notification, Since, SubscribeOptions, Subscription};
use tiercast_signaling_server::{Config, Server};
use tiercast_tests::{
    listener::{Listener, PATIENCE},
    programs::program,
};
use tokio::{
    process::{Child, Command},
    time::{interval, sleep, timeout},
};

const CHANNEL: &str = "builds";
const EVENTS: usize = 2_400;
const EVENT_BYTES: usize = 2_000;
/// Between two events: the channel carries 200 KB/s, for forty seconds.
const PAUSE: Duration = Duration::from_millis(10);
/// What the slow application takes for each: it reads 10 KB/s.
const READING: Duration = Duration::from_millis(200);
const FAST: usize = 3;
/// What the server and the relay retain: two and a half seconds of the channel.
const LOG_BYTES: usize = 512 << 10;
/// How much larger the relay may become after the first tenth of the channel. What the slow child is behind is more than twice
/// that.
const GROWTH_BYTES_MAX: usize = 3 << 20;

/// A body that does not compress.
fn body(number: usize) -> Vec<u8> {
    let mut state = number as u64 + 1;
    let bytes = std::iter::repeat_with(move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    });
    bytes.take(EVENT_BYTES).collect()
}

/// A relay in a process of its own, so that its memory can be seen.
struct Relay {
    process: Child,
    peer: PeerId,
}

impl Relay {
    async fn start(server: &Server) -> Result<Self> {
        let process = Command::new(program("peer-client")?)
            .args(["subscribe", &url(server), CHANNEL, "--since", "earliest", "--quiet"])
            .args(["--max-children", "8", "--log-bytes", &LOG_BYTES.to_string()])
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let looking = async {
            let mut often = interval(Duration::from_millis(20));
            loop {
                often.tick().await;
                let nodes = server.handle().topology(&CHANNEL.parse()?).await?.unwrap_or_default();
                if let Some(node) = nodes.first().filter(|node| node.tier == 1) {
                    return anyhow::Ok(node.peer);
                }
            }
        };
        let peer = timeout(PATIENCE, looking).await.context("no relay")??;
        Ok(Self { process, peer })
    }

    /// The memory that it uses now.
    fn memory_bytes(&self) -> Result<usize> {
        let pid = self.process.id().context("the relay has ended")?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("no VmRSS")?;
        let kib = line.split_whitespace().nth(1).context("no number")?;
        Ok(kib.parse::<usize>()? << 10)
    }
}

/// What an application was given, checked as it came: what it was not given it was told of.
#[derive(Debug, Default)]
struct Told {
    events: usize,
    gaps: usize,
    /// Events within gaps.
    missed: usize,
}

impl Told {
    fn next(&self) -> usize {
        self.events + self.missed
    }

    fn take(&mut self, notification: Notification) -> Result<()> {
        match notification {
            Notification::Event { event, .. } => {
                ensure!(event.offset == self.next() as i64, "{event:?} after {self:?}");
                ensure!(event.message.body == body(self.next()), "another body");
                self.events += 1;
            }
            Notification::Gap { from, to, .. } => {
                ensure!(
                    from.offset == self.next() as i64 - 1 && to.offset > from.offset,
                    "{from}..{to}, {self:?}"
                );
                self.gaps += 1;
                self.missed += (to.offset - from.offset) as usize;
            }
            _ => {}
        }
        Ok(())
    }

    /// Reads as slowly as it is, to the end.
    async fn read_slowly(&mut self, subscription: &mut Subscription) -> Result<()> {
        while let Some(notification) = subscription.next().await {
            self.take(notification)?;
            sleep(READING).await;
        }
        bail!("it ended")
    }

    /// Reads until so many events have come or are known to be missed.
    async fn read(&mut self, subscription: &mut Subscription, until: usize) -> Result<()> {
        while self.next() < until {
            let notification = timeout(PATIENCE, subscription.next()).await.context("nothing comes")?;
            self.take(notification.context("it ended")?)?;
        }
        Ok(())
    }
}

/// Within what time 99 % of the events came before the slow one was slow, and then.
fn halves(latencies: Vec<Duration>) -> [Duration; 2] {
    let (before, beside) = latencies.split_at(EVENTS / 10);
    [before, beside].map(|latencies| {
        let mut latencies = latencies.to_vec();
        latencies.sort_unstable();
        latencies[latencies.len() * 99 / 100]
    })
}

fn url(server: &Server) -> String {
    format!("ws://{}/v1/ws", server.addr())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_child_costs_the_fast_ones_nothing_and_is_told_what_it_missed() -> Result<()> {
    let mut config = Config { listen: "127.0.0.1:0".parse()?, ..Config::default() };
    config.embedded_channels = vec![CHANNEL.parse()?];
    config.hub.tier1 = Tier1 { min: 1, max: 1 };
    config.hub.log.bytes = LOG_BYTES;
    let server = Server::start(config).await?;
    let relay = Relay::start(&server).await?;
    let leaf = ClientOptions { children_max: 0, log_bytes: LOG_BYTES, ..ClientOptions::default() };
    let mut fast = Vec::new();
    for _ in 0..FAST {
        fast.push(Listener::start(&url(&server), CHANNEL, leaf.clone()).await?);
    }
    let slow = Client::connect(url(&server).parse()?, ClientOptions { log_bytes: 256 << 10, ..leaf });
    let since = SubscribeOptions { since: Since::Earliest, ..SubscribeOptions::default() };
    let mut subscription = slow.subscribe(CHANNEL, since).await?;

    let publisher = server.publisher(CHANNEL)?;
    let publishing = tokio::spawn(async move {
        let (mut often, mut published) = (interval(PAUSE), Vec::new());
        for number in 0..EVENTS {
            often.tick().await;
            published.push(Instant::now());
            publisher.publish(Message { body: body(number).into(), ..Message::default() }).await?;
        }
        anyhow::Ok(published)
    });
    let mut standing = slow.standing();
    let is_fed = |parent: Option<PeerId>| parent == Some(relay.peer);
    let mut told = Told::default();
    told.read(&mut subscription, EVENTS / 10).await?;
    timeout(PATIENCE, standing.wait_for(|standing| is_fed(standing.parent))).await.context("no link")??;
    for peer in &fast {
        peer.wait_until("fed by the relay", |standing| is_fed(standing.parent)).await?;
    }
    let (memory_bytes, began) = (relay.memory_bytes()?, Instant::now());

    let all_have_all = async {
        for peer in &fast {
            peer.wait_for(EVENTS).await?;
        }
        anyhow::Ok(())
    };
    tokio::select! {
        read = told.read_slowly(&mut subscription) => read?,
        all = all_have_all => all?,
    }
    let (events, took) = (told.events - EVENTS / 10, began.elapsed());
    let growth_bytes = relay.memory_bytes()?.saturating_sub(memory_bytes);
    let published = publishing.await??;
    ensure!(events < EVENTS / 4, "it was not slow: {events} events in {took:?}");
    ensure!(growth_bytes < GROWTH_BYTES_MAX, "the relay took {growth_bytes} bytes more");
    for peer in &fast {
        let (events, stats) = (peer.events(), peer.standing().stats);
        let all = (0..EVENTS).map(|number| (number as i64, body(number)));
        ensure!(events.into_iter().eq(all) && peer.gaps().is_empty(), "not every event, once and in order");
        ensure!(stats.feeds == 0 && stats.stalls == 0, "it noticed: {stats:?}");
        let latencies = published.iter().zip(peer.arrivals()).map(|(published, came)| came - *published);
        let [before, beside] = halves(latencies.collect());
        println!("99 % of the events came to a fast one within {before:?}, beside the slow one {beside:?}");
        ensure!(beside < before * 4 + Duration::from_secs(1), "it came late: {beside:?}, {before:?} before");
    }
    told.read(&mut subscription, EVENTS).await?;
    let stats = slow.standing().borrow().stats;
    println!(
        "{took:?}: the slow one read {events} events; relay + {growth_bytes} bytes; in the end {told:?}, {stats:?}"
    );
    ensure!(stats.stalls > 0 && told.gaps > 0, "it held nobody up, or was told nothing: {told:?}, {stats:?}");
    Ok(())
}
