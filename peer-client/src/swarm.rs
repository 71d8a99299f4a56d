//! Many peers in one process, each checking what it gets: for experiments and the demo.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use tokio::{sync::watch, task::JoinHandle, time::Instant};

use crate::{Client, ClientError, ClientOptions, Notification, ServerUrl, Since, Standing, SubscribeOptions};

mod checker;

use checker::Checker;
pub use checker::{NUMBER_HEADER, SENT_HEADER};

/// What a swarm does.
#[derive(Debug, Clone)]
pub struct SwarmOptions {
    /// The server.
    pub url: ServerUrl,
    /// The channel.
    pub channel: String,
    /// Where each peer starts.
    pub since: Since,
    /// How each peer takes part.
    pub client: ClientOptions,
}

/// A swarm: peers that can be added, removed and killed.
#[derive(Debug)]
pub struct Swarm {
    options: SwarmOptions,
    members: Vec<Member>,
    totals: Arc<Totals>,
}

#[derive(Debug)]
struct Member {
    client: Client,
    standing: watch::Receiver<Standing>,
    reader: JoinHandle<()>,
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
    /// Explicit gaps.
    pub gaps: u64,
    /// Times that a peer lost the server.
    pub disconnects: u64,
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
    /// Largest.
    pub max: f64,
}

impl Swarm {
    /// A swarm without peers.
    pub fn new(options: SwarmOptions) -> Self {
        let counts = Counts { report: SwarmReport::default(), latency_us: histogram(), join_us: histogram() };
        let totals = Arc::new(Totals { counts: Mutex::new(counts), changed: watch::channel(0).0 });
        Self { options, members: Vec::new(), totals }
    }

    /// Adds a peer.
    ///
    /// # Errors
    ///
    /// If the channel's name is none.
    pub async fn add(&mut self) -> Result<(), ClientError> {
        let started = Instant::now();
        let client = Client::connect(self.options.url.clone(), self.options.client.clone());
        let standing = client.standing();
        let subscribe = SubscribeOptions { since: self.options.since, ..SubscribeOptions::default() };
        let mut subscription = client.subscribe(&self.options.channel, subscribe).await?;
        let totals = self.totals.clone();
        totals.update(|counts| counts.report.peers += 1);
        let reader = tokio::spawn(async move {
            // The guard takes back what this peer has missed when it goes, since nobody waits for it any more.
            let mut member = MemberTotals { totals, checker: Checker::default(), is_ready: false };
            while let Some(notification) = subscription.next().await {
                if let Notification::Refused { code, reason } = &notification {
                    let code = code.map(tracing::field::display);
                    tracing::error!(code, reason, "a peer cannot go on");
                }
                member.take(&notification, started);
            }
        });
        self.members.push(Member { client, standing, reader });
        Ok(())
    }

    /// Lets the newest peer leave with a goodbye. False if there is none.
    pub async fn remove(&mut self) -> bool {
        let Some(member) = self.members.pop() else { return false };
        member.reader.abort();
        member.client.close().await;
        true
    }

    /// Kills a peer without a word: the relay that comes `nth` among those that have children, counted around.
    /// Says which it was and how many children it had.
    pub fn kill_relay(&mut self, nth: usize) -> Option<Standing> {
        let has_children = |member: &Member| member.standing.borrow().children > 0;
        let relays: Vec<_> =
            (0..self.members.len()).filter(|index| has_children(&self.members[*index])).collect();
        let member = self.members.remove(*relays.get(nth.checked_rem(relays.len())?)?);
        let standing = member.standing.borrow().clone();
        member.reader.abort();
        member.client.kill();
        Some(standing)
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
            disconnects: self.members.iter().map(|member| member.standing.borrow().disconnects).sum(),
            latency_ms: Spread::of(&counts.latency_us),
            join_ms: Spread::of(&counts.join_us),
            ..counts.report.clone()
        }
    }

    /// How many peers are not connected although they try, and what one of them says about it.
    pub fn trouble(&self) -> Option<(usize, String)> {
        let why = |member: &Member| member.standing.borrow().trouble.clone();
        let reasons: Vec<_> = self.members.iter().filter_map(why).collect();
        Some((reasons.len(), reasons.into_iter().next()?))
    }

    /// How many peers stand in each tier.
    pub fn tiers(&self) -> std::collections::BTreeMap<u32, usize> {
        let mut tiers = std::collections::BTreeMap::new();
        for member in self.members.iter().filter(|member| !member.reader.is_finished()) {
            *tiers.entry(member.standing.borrow().tier).or_insert(0) += 1;
        }
        tiers
    }

    /// Forgets the latencies seen so far, so that the next report tells of what came since.
    pub fn reset_latency(&self) {
        self.totals.lock().latency_us.reset();
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

/// One peer's share of the totals.
struct MemberTotals {
    totals: Arc<Totals>,
    checker: Checker,
    is_ready: bool,
}

impl MemberTotals {
    fn take(&mut self, notification: &Notification, started: Instant) {
        let is_first = !self.is_ready && matches!(notification, Notification::Event { .. });
        self.is_ready |= is_first;
        let before = self.checker.clone();
        let sent_us = match notification {
            Notification::Event { event, .. } => self.checker.take(event),
            _ => None,
        };
        let checker = &self.checker;
        let latency_us = sent_us.and_then(|sent_us| unix_us().checked_sub(sent_us));
        self.totals.update(|counts| {
            let report = &mut counts.report;
            report.ready += usize::from(is_first);
            report.gaps += u64::from(matches!(notification, Notification::Gap { .. }));
            report.delivered += checker.delivered - before.delivered;
            report.duplicates += checker.duplicates - before.duplicates;
            report.out_of_order += checker.out_of_order - before.out_of_order;
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
        let (missing, is_ready) = (self.checker.missing(), self.is_ready);
        self.totals.update(|counts| {
            counts.report.peers -= 1;
            counts.report.ready -= usize::from(is_ready);
            counts.report.missing -= missing;
        });
    }
}

impl Totals {
    fn lock(&self) -> std::sync::MutexGuard<'_, Counts> {
        // Counts are whole numbers: a panic elsewhere leaves them usable.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn update(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.lock());
        self.changed.send_modify(|changes| *changes += 1);
    }
}

impl Spread {
    fn of(histogram_us: &Histogram<u64>) -> Self {
        let ms = |us: u64| us as f64 / 1_000.0;
        let at = |quantile| ms(histogram_us.value_at_quantile(quantile));
        Self { p50: at(0.5), p99: at(0.99), max: ms(histogram_us.max()) }
    }
}

/// Microseconds up to an hour, to three digits.
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, Duration::from_secs(3_600).as_micros() as u64, 3)
        .expect("constant bounds are valid")
}

/// The wall clock, as publishers stamp it.
pub fn unix_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros() as u64
}
