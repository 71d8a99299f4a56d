//! Many peers in one process, each checking what it gets: for experiments and the demo.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use tokio::{sync::watch, task::JoinHandle, time::Instant};

use crate::{
    Client, ClientError, ClientOptions, Notification, PeerId, ServerUrls, Since, Standing, SubscribeOptions,
};

mod checker;

use checker::Checker;
pub use checker::{DIGEST_HEADER, NUMBER_HEADER, SENT_HEADER, digest};

/// What a swarm does.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SwarmOptions {
    /// The server.
    pub servers: ServerUrls,
    /// The channel.
    pub channel: String,
    /// Where each peer starts. Default: now.
    pub since: Since,
    /// The number of the first event that each peer must get. Default: whatever comes first.
    pub first: Option<u64>,
    /// How each peer takes part.
    pub client: ClientOptions,
    /// The number of an event that is not counted, to see that this is noticed.
    #[cfg(feature = "faults")]
    pub skip: Option<u64>,
}

/// A swarm: peers that can be added, removed and killed.
#[derive(Debug)]
pub struct Swarm {
    options: SwarmOptions,
    members: BTreeMap<u64, Member>,
    /// How many there have been: the number of the next.
    added: u64,
    totals: Arc<Totals>,
}

#[derive(Debug)]
struct Member {
    client: Client,
    standing: watch::Receiver<Standing>,
    reader: JoinHandle<()>,
    progress: Arc<Mutex<Progress>>,
}

/// What a member's application has got.
#[derive(Debug)]
struct Progress {
    checker: Checker,
    /// The latest event since somebody looked: how long after its publication it came.
    latest_us: u64,
}

/// A member of a swarm, as seen from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Look {
    /// Its number in the swarm; no two ever have the same.
    pub member: u64,
    /// What the server calls it.
    pub peer: Option<PeerId>,
    /// The number that its application waits for; `None` before the first event.
    pub next: Option<u64>,
    /// Smaller numbers that were skipped and have not come since.
    pub missing: u64,
    /// The latest event since the last look: how long after its publication it came, in microseconds.
    pub latest_us: u64,
}

impl Look {
    /// Whether it has had its first event.
    pub fn is_ready(&self) -> bool {
        self.next.is_some_and(|next| next > 0)
    }
}

#[derive(Debug)]
struct Totals {
    counts: Mutex<Counts>,
    changed: watch::Sender<u64>,
}

#[derive(Debug)]
struct Counts {
    report: SwarmReport,
    latency_us: Histogram<u64>,
    join_us: Histogram<u64>,
}

/// What a swarm has seen so far.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SwarmReport {
    /// Peers that are there now.
    pub peers: usize,
    /// Peers that have had their first event.
    pub ready: usize,
    /// Numbered events given to applications, repeated ones not counted.
    pub delivered: u64,
    /// Numbers that were skipped and have not come since, over all peers that are there now.
    pub missing: u64,
    /// Numbers that a peer was given more than once.
    pub duplicates: u64,
    /// Numbers that came after a larger one.
    pub out_of_order: u64,
    /// Numbered events whose body is not what was published, as far as they say what that was.
    pub wrong: u64,
    /// Explicit gaps.
    pub gaps: u64,
    /// Times that a peer lost the server.
    pub disconnects: u64,
    /// Times that a peer that is there now asked those who feed it again for what had not come.
    pub nacks: u64,
    /// From publishing to the application, over all deliveries.
    pub latency_ms: Spread,
    /// From starting a peer to its first event.
    pub join_ms: Spread,
}

/// How a time is spread, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Median.
    pub p50: f64,
    /// 99th percentile.
    pub p99: f64,
    /// 99.9th percentile.
    pub p999: f64,
    /// Largest.
    pub max: f64,
}

impl SwarmOptions {
    /// For a channel of a server.
    pub fn new(servers: ServerUrls, channel: impl Into<String>) -> Self {
        Self {
            servers,
            channel: channel.into(),
            since: Since::Now,
            first: None,
            client: ClientOptions::default(),
            #[cfg(feature = "faults")]
            skip: None,
        }
    }
}

impl Swarm {
    /// A swarm without peers.
    pub fn new(options: SwarmOptions) -> Self {
        let counts = Counts { report: SwarmReport::default(), latency_us: histogram(), join_us: histogram() };
        let totals = Arc::new(Totals { counts: Mutex::new(counts), changed: watch::channel(0).0 });
        Self { options, members: BTreeMap::new(), added: 0, totals }
    }

    /// Adds a peer; gives its number.
    ///
    /// # Errors
    ///
    /// If the channel's name is none.
    pub async fn add(&mut self) -> Result<u64, ClientError> {
        self.start(self.options.since, self.options.first).await
    }

    /// Adds a peer that starts now, whatever was published before; gives its number.
    ///
    /// # Errors
    ///
    /// If the channel's name is none.
    pub async fn add_late(&mut self) -> Result<u64, ClientError> {
        self.start(Since::Now, None).await
    }

    async fn start(&mut self, since: Since, first: Option<u64>) -> Result<u64, ClientError> {
        let started = Instant::now();
        let client = Client::connect(self.options.servers.clone(), self.options.client.clone());
        let standing = client.standing();
        let subscribe = SubscribeOptions { since, ..SubscribeOptions::default() };
        let mut subscription = client.subscribe(&self.options.channel, subscribe).await?;
        let totals = self.totals.clone();
        totals.update(|counts| counts.report.peers += 1);
        let checker = Checker::starting_at(first);
        #[cfg(feature = "faults")]
        let checker = checker.skipping(self.options.skip);
        let progress = Arc::new(Mutex::new(Progress { checker, latest_us: 0 }));
        let mut seen = MemberTotals { totals, progress: progress.clone(), is_ready: false };
        let reader = tokio::spawn(async move {
            // The guard takes back what this peer has missed when it goes, since nobody waits for it any more.
            while let Some(notification) = subscription.next().await {
                if let Notification::Refused { code, reason } = &notification {
                    let code = code.map(tracing::field::display);
                    tracing::error!(code, reason, "a peer cannot go on");
                }
                seen.take(&notification, started);
            }
        });
        self.added += 1;
        self.members.insert(self.added, Member { client, standing, reader, progress });
        Ok(self.added)
    }

    /// Lets the newest peer leave with a goodbye. False if there is none.
    pub async fn remove(&mut self) -> bool {
        let Some((_, member)) = self.members.pop_last() else { return false };
        member.reader.abort();
        member.client.close().await;
        true
    }

    /// Kills a peer without a word. Says where it stood; nothing if there is none of this number.
    pub fn kill(&mut self, member: u64) -> Option<Standing> {
        let member = self.members.remove(&member)?;
        let standing = member.standing.borrow().clone();
        member.reader.abort();
        member.client.kill();
        Some(standing)
    }

    /// A peer.
    pub fn client(&self, member: u64) -> Option<&Client> {
        Some(&self.members.get(&member)?.client)
    }

    /// Where each peer stands.
    pub fn standings(&self) -> BTreeMap<u64, Standing> {
        self.members.iter().map(|(number, member)| (*number, member.standing.borrow().clone())).collect()
    }

    /// What each peer has got.
    pub fn look(&self) -> Vec<Look> {
        self.members.iter().map(|(number, member)| member.look(*number)).collect()
    }

    /// How many peers there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// What has been seen so far.
    pub fn report(&self) -> SwarmReport {
        let counts = self.totals.lock();
        SwarmReport {
            nacks: self.members.values().map(|member| member.standing.borrow().stats.nacks).sum(),
            disconnects: self.members.values().map(|member| member.standing.borrow().disconnects).sum(),
            latency_ms: Spread::of(&counts.latency_us),
            join_ms: Spread::of(&counts.join_us),
            ..counts.report.clone()
        }
    }

    /// How many peers are not connected although they try, and what one of them says about it.
    pub fn trouble(&self) -> Option<(usize, String)> {
        let why = |member: &Member| member.standing.borrow().trouble.clone();
        let reasons: Vec<_> = self.members.values().filter_map(why).collect();
        Some((reasons.len(), reasons.into_iter().next()?))
    }

    /// How many peers stand in each tier.
    pub fn tiers(&self) -> BTreeMap<u32, usize> {
        let mut tiers = BTreeMap::new();
        for member in self.members.values().filter(|member| !member.reader.is_finished()) {
            *tiers.entry(member.standing.borrow().tier).or_insert(0) += 1;
        }
        tiers
    }

    /// Forgets the latencies seen so far, so that the next report tells of what came since, and gives them: microseconds,
    /// to three digits, and how many deliveries took so long.
    pub fn take_latencies(&self) -> Vec<(u64, u64)> {
        take(&mut self.totals.lock().latency_us)
    }

    /// From starting a peer to its first event: as [`take_latencies`](Self::take_latencies) gives them.
    pub fn take_joins(&self) -> Vec<(u64, u64)> {
        take(&mut self.totals.lock().join_us)
    }

    /// Changes whenever there is something new to report.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.totals.changed.subscribe()
    }

    /// Lets all peers leave.
    pub async fn close(mut self) {
        while self.remove().await {}
    }
}

impl Member {
    fn look(&self, member: u64) -> Look {
        let peer = self.standing.borrow().peer;
        let mut progress = lock(&self.progress);
        Look {
            member,
            peer,
            next: progress.checker.next(),
            missing: progress.checker.missing(),
            latest_us: std::mem::take(&mut progress.latest_us),
        }
    }
}

/// One peer's share of the totals.
struct MemberTotals {
    totals: Arc<Totals>,
    progress: Arc<Mutex<Progress>>,
    is_ready: bool,
}

impl MemberTotals {
    fn take(&mut self, notification: &Notification, started: Instant) {
        let is_first = !self.is_ready && matches!(notification, Notification::Event { .. });
        self.is_ready |= is_first;
        let mut progress = lock(&self.progress);
        let before = progress.checker.clone();
        let sent_us = match notification {
            Notification::Event { event, .. } => progress.checker.take(event),
            _ => None,
        };
        let latency_us = sent_us.and_then(|sent_us| unix_us().checked_sub(sent_us));
        progress.latest_us = progress.latest_us.max(latency_us.unwrap_or(0));
        let checker = &progress.checker;
        self.totals.update(|counts| {
            let report = &mut counts.report;
            report.ready += usize::from(is_first);
            report.gaps += u64::from(matches!(notification, Notification::Gap { .. }));
            report.delivered += checker.delivered - before.delivered;
            report.duplicates += checker.duplicates - before.duplicates;
            report.out_of_order += checker.out_of_order - before.out_of_order;
            report.wrong += checker.wrong - before.wrong;
            report.missing = report.missing + checker.missing() - before.missing();
            // A histogram takes every value up to its bound, an hour; longer ones count as that.
            if let Some(latency_us) = latency_us {
                counts.latency_us.saturating_record(latency_us);
            }
            if is_first {
                counts.join_us.saturating_record(started.elapsed().as_micros() as u64);
            }
        });
    }
}

impl Drop for MemberTotals {
    fn drop(&mut self) {
        let (missing, is_ready) = (lock(&self.progress).checker.missing(), self.is_ready);
        self.totals.update(|counts| {
            counts.report.peers -= 1;
            counts.report.ready -= usize::from(is_ready);
            counts.report.missing -= missing;
        });
    }
}

impl Totals {
    fn lock(&self) -> MutexGuard<'_, Counts> {
        lock(&self.counts)
    }

    fn update(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.lock());
        self.changed.send_modify(|changes| *changes += 1);
    }
}

impl Spread {
    /// Of a histogram of microseconds.
    pub fn of(histogram_us: &Histogram<u64>) -> Self {
        let ms = |us: u64| us as f64 / 1_000.0;
        let at = |quantile| ms(histogram_us.value_at_quantile(quantile));
        Self { p50: at(0.5), p99: at(0.99), p999: at(0.999), max: ms(histogram_us.max()) }
    }
}

/// Numbers are whole whatever panicked meanwhile.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is in a histogram, which is empty then.
fn take(histogram: &mut Histogram<u64>) -> Vec<(u64, u64)> {
    let recorded = histogram.iter_recorded();
    let taken = recorded.map(|step| (step.value_iterated_to(), step.count_at_value())).collect();
    histogram.reset();
    taken
}

/// Microseconds up to an hour, to three digits.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, Duration::from_secs(3_600).as_micros() as u64, 3)
        .expect("constant bounds are valid")
}

/// The wall clock, as publishers stamp it.
pub fn unix_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros() as u64
}
