//! A crowd of readers that check what they get: by their message ids, events count up by one.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use serde::Serialize;
use tiercast_codec::{ChannelName, Since};
use tokio::{
    task::JoinSet,
    time::{Instant, timeout},
};

use crate::{
    listener::PATIENCE,
    wire::{Told, Transport, Wire},
};

/// What readers got.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Events.
    pub events: u64,
    /// Gaps that they were told of.
    pub gaps: u64,
    /// Events that are missing where a gap was told.
    pub skipped: u64,
    /// Events that are missing, and nothing was said.
    pub lost: u64,
    /// Events that came again.
    pub twice: u64,
    /// Connections that were made.
    pub connections: u64,
}

impl Tally {
    /// Whether nothing is missing in silence and nothing came twice.
    pub fn keeps_the_promise(&self) -> bool {
        (self.lost, self.twice) == (0, 0)
    }
}

impl std::iter::Sum for Tally {
    fn sum<I: Iterator<Item = Self>>(tallies: I) -> Self {
        tallies.fold(Self::default(), |sum, one| Self {
            events: sum.events + one.events,
            gaps: sum.gaps + one.gaps,
            skipped: sum.skipped + one.skipped,
            lost: sum.lost + one.lost,
            twice: sum.twice + one.twice,
            connections: sum.connections + one.connections,
        })
    }
}

/// What one reader got, and the event that it needs next.
#[derive(Debug, Clone, Copy, Default)]
pub struct Check {
    /// So far.
    pub tally: Tally,
    /// The number of the next event.
    pub next: u64,
    is_after_gap: bool,
}

impl Check {
    /// A reader that begins with this event.
    pub fn from(next: u64) -> Self {
        Self { next, ..Self::default() }
    }

    /// Something came. Gives the number of an event that is new.
    pub fn take(&mut self, told: Told) -> Option<u64> {
        match told {
            Told::Ready => None,
            Told::Gap => {
                self.tally.gaps += 1;
                self.is_after_gap = true;
                None
            }
            Told::Event(number) if number < self.next => {
                self.tally.twice += 1;
                None
            }
            Told::Event(number) => {
                let missing = if self.is_after_gap { &mut self.tally.skipped } else { &mut self.tally.lost };
                *missing += number - self.next;
                (self.next, self.is_after_gap) = (number + 1, false);
                self.tally.events += 1;
                Some(number)
            }
        }
    }
}

/// What all readers of a crowd have in common.
#[derive(Debug)]
pub struct Scene {
    /// The server.
    pub server: SocketAddr,
    /// The channel.
    pub channel: ChannelName,
    /// Events that all readers have had, together.
    pub events: AtomicU64,
    /// Connections that the server has answered.
    pub opened: AtomicUsize,
}

impl Scene {
    /// A crowd's scene.
    pub fn new(server: SocketAddr, channel: &str) -> Result<Arc<Self>> {
        let (events, opened) = (AtomicU64::new(0), AtomicUsize::new(0));
        Ok(Arc::new(Self { server, channel: channel.parse()?, events, opened }))
    }

    /// Connects, and waits until the server has said that the reader reads. What comes with that is checked.
    pub async fn open(&self, transport: Transport, since: Since, check: &mut Check) -> Result<Wire> {
        let mut wire = Wire::open(transport, self.server, &self.channel, since, None).await?;
        check.tally.connections += 1;
        // The answer to a poll comes with the events.
        let mut is_ready = transport == Transport::Poll;
        let before = check.tally.events;
        while !is_ready {
            let reading = wire.read(|told| {
                is_ready |= told == Told::Ready;
                check.take(told);
            });
            timeout(PATIENCE, reading).await.context("the server does not answer")??;
        }
        self.opened.fetch_add(1, Ordering::Relaxed);
        self.events.fetch_add(check.tally.events - before, Ordering::Relaxed);
        Ok(wire)
    }

    /// Reads until `last` has come.
    pub async fn read_to(
        &self,
        wire: &mut Wire,
        check: &mut Check,
        last: u64,
        mut came: impl FnMut(u64),
    ) -> Result<()> {
        while check.next <= last {
            let before = check.tally.events;
            let reading = wire.read(|told| check.take(told).into_iter().for_each(&mut came));
            timeout(PATIENCE, reading).await.with_context(|| format!("nothing after {check:?}"))??;
            self.events.fetch_add(check.tally.events - before, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// How many of a crowd speak what: as many of each transport, in turns.
pub fn mixed(count: usize, transports: &[Transport]) -> impl Iterator<Item = Transport> {
    transports.iter().copied().cycle().take(count)
}

/// Waits for all of a crowd.
pub async fn all<T: 'static>(crowd: &mut JoinSet<Result<T>>) -> Result<Vec<T>> {
    let mut results = Vec::with_capacity(crowd.len());
    while let Some(result) = crowd.join_next().await {
        results.push(result??);
    }
    Ok(results)
}

/// The middle, the 99th of a hundred, and the last one, in seconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Spread {
    /// The middle one.
    pub p50_s: f64,
    /// All but one of a hundred.
    pub p99_s: f64,
    /// The longest.
    pub max_s: f64,
}

impl Spread {
    /// That of times.
    pub fn of(mut times: Vec<Duration>) -> Self {
        times.sort();
        let at = |share: f64| {
            let nth = (times.len() as f64 * share) as usize;
            times.get(nth.min(times.len().saturating_sub(1))).map_or(0.0, Duration::as_secs_f64)
        };
        Self { p50_s: at(0.5), p99_s: at(0.99), max_s: at(1.0) }
    }
}

/// When each event was published, by its number.
#[derive(Debug)]
pub struct Times {
    begun: Instant,
    published: Vec<AtomicU64>,
}

impl Times {
    /// Of so many events.
    pub fn new(events: u64) -> Arc<Self> {
        let published = (0..events).map(|_| AtomicU64::new(0)).collect();
        Arc::new(Self { begun: Instant::now(), published })
    }

    /// An event is published now.
    pub fn publish(&self, number: u64) {
        let now = self.begun.elapsed().as_micros() as u64;
        self.published[number as usize].store(now, Ordering::Relaxed);
    }

    /// How long ago an event was published, in microseconds.
    pub fn age_us(&self, number: u64) -> u64 {
        let published = self.published[number as usize].load(Ordering::Relaxed);
        (self.begun.elapsed().as_micros() as u64).saturating_sub(published)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_counts_as_lost_unless_a_gap_was_told() {
        let mut check = Check::from(5);
        let told = [Told::Ready, Told::Event(5), Told::Event(5), Told::Event(7), Told::Gap, Told::Event(10)];
        let new: Vec<_> = told.into_iter().filter_map(|told| check.take(told)).collect();
        assert_eq!(new, [5, 7, 10]);
        let expected = Tally { events: 3, gaps: 1, skipped: 2, lost: 1, twice: 1, connections: 0 };
        assert_eq!(check.tally, expected);
        assert!(!check.tally.keeps_the_promise());
    }
}
