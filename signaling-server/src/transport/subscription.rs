//! What one client reads: a channel, or an exchange that is bound for it. To a transport both are the same.

use std::{sync::Arc, time::Duration};

use futures_util::future::{BoxFuture, FutureExt};
use tiercast_codec::{ChannelName, Code, Gap, GapReason, Pattern, PatternSet, Position, Since};
use tiercast_mesh::hub::{Opening, Portion, Reading, Refusal};
use tokio::time::timeout;

use crate::{
    Reader,
    driver::Handle,
    shown::cut,
    source::amqp::dynamic::{Lease, channel_of},
    visitor::Visitor,
};

/// Longest wait for the channel of an exchange to catch up. Unvalidated.
const CATCH_UP_MAX: Duration = Duration::from_secs(10);

/// What is to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    /// A channel, by its name.
    Channel(ChannelName),
    /// What an exchange of the broker gets.
    Exchange(String),
}

impl std::fmt::Display for Wanted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Channel(channel) => channel.fmt(f),
            Self::Exchange(exchange) => write!(f, "exchange {:?}", cut(exchange)),
        }
    }
}

/// What a client reads. Dropping it ends that.
#[derive(Debug)]
pub(super) struct Subscription {
    channel: ChannelName,
    reader: Reader,
    /// Keeps the exchange bound.
    lease: Option<Lease>,
    filter: PatternSet,
    opening: Opening,
    /// Comes before all else.
    gap: Option<Gap>,
}

impl Subscription {
    pub(super) async fn open(
        handle: &Handle,
        visitor: &Visitor,
        wanted: Wanted,
        since: Since,
        patterns: Vec<Pattern>,
    ) -> Result<Self, Refusal> {
        let (channel, lease) = match wanted {
            Wanted::Channel(channel) => (channel, None),
            Wanted::Exchange(exchange) => {
                let lease = lease(handle, visitor, &exchange, patterns.clone()).await?;
                (lease.channel().clone(), Some(lease))
            }
        };
        let known_since = lease.as_ref().and_then(known_since);
        let (since, gap) = begin(&channel, since, known_since);
        let (filter, rights) = (PatternSet::new(patterns), visitor.rights.clone());
        let reading = Reading { channel: channel.clone(), since, filter: filter.clone().into(), rights };
        let reader = read(handle, reading, lease.as_ref()).await?;
        let mut opening = *reader.opening();
        if let Some(gap) = &gap {
            opening = Opening { position: gap.from, recovered: false, ..opening };
        }
        Ok(Self { channel, reader, lease, filter, opening, gap })
    }

    /// The channel, also of an exchange.
    pub(super) fn channel(&self) -> &ChannelName {
        &self.channel
    }

    /// Where it begins.
    pub(super) fn opening(&self) -> &Opening {
        &self.opening
    }

    /// Waits for what comes next; or there will be no more, and why. May be dropped while it waits.
    pub(super) async fn next(&mut self) -> Result<Portion, Refusal> {
        match self.gap.take() {
            Some(gap) => Ok(Portion::Gap(gap)),
            None => self.reader.next().await,
        }
    }

    /// What is wanted.
    pub(super) fn filter(&self) -> &PatternSet {
        &self.filter
    }

    /// Has the broker bind what it has not bound yet of these for this subscription, for which so many more are being bound;
    /// nothing if that is all.
    pub(super) fn lease(
        &self,
        handle: &Handle,
        patterns: &[Pattern],
        beside: usize,
    ) -> Option<BoxFuture<'static, Result<Lease, Refusal>>> {
        let lease = self.lease.as_ref()?;
        let lacking = lease.lacks(patterns.iter().cloned());
        if lacking.is_empty() {
            return None;
        }
        let (handle, exchange, beside) = (handle.clone(), lease.exchange().to_owned(), lease.len() + beside);
        Some(async move { handle.lease(&exchange, lacking, beside).await.map_err(Refusal::from) }.boxed())
    }

    /// Keeps bound what another lease of the exchange has of these patterns.
    pub(super) fn absorb(&mut self, mut more: Lease, patterns: &[Pattern]) {
        let bound: Vec<_> = more.since().keys().cloned().collect();
        more.unbind(bound.into_iter().filter(|pattern| !patterns.contains(pattern)));
        if let Some(lease) = &mut self.lease {
            lease.absorb(more);
        }
    }

    /// Wants these, too, which are bound. Says after which position nothing of them is missing.
    pub(super) async fn bind(&mut self, patterns: Vec<Pattern>) -> Result<Position, Refusal> {
        let mut filter = self.filter.clone();
        patterns.into_iter().for_each(|pattern| _ = filter.insert(pattern));
        let position = self.refilter(filter).await?;
        Ok(self.lease.as_ref().and_then(known_since).map_or(position, |known| known.max(position)))
    }

    /// Wants these no more. Says after which position.
    pub(super) async fn unbind(&mut self, patterns: Vec<Pattern>) -> Result<Position, Refusal> {
        let mut filter = self.filter.clone();
        patterns.iter().for_each(|pattern| _ = filter.remove(pattern));
        let position = self.refilter(filter).await?;
        if let Some(lease) = &mut self.lease {
            lease.unbind(patterns);
        }
        Ok(position)
    }

    async fn refilter(&mut self, filter: PatternSet) -> Result<Position, Refusal> {
        let position = self.reader.filter(Arc::new(filter.clone())).await?;
        self.filter = filter;
        Ok(position)
    }

    /// Nothing is wanted, beside what is under way. Says where it will go on.
    pub(super) async fn pause(&self) -> Result<Position, Refusal> {
        Ok(self.reader.pause().await?)
    }

    /// Goes on. Says where.
    pub(super) async fn resume(&self) -> Result<Position, Refusal> {
        Ok(self.reader.resume().await?)
    }
}

/// Begins to read. The channel of an exchange, which may have been made a moment ago, is waited for until it has caught up
/// with the broker.
async fn read(handle: &Handle, reading: Reading, lease: Option<&Lease>) -> Result<Reader, Refusal> {
    match (handle.read(reading.clone()).await, lease) {
        (Err(refusal), Some(lease)) if refusal.code == Code::NOT_READY => {
            match timeout(CATCH_UP_MAX, lease.is_current()).await {
                Ok(Ok(())) => handle.read(reading).await,
                Ok(Err(stopped)) => Err(stopped.into()),
                Err(_) => Err(refusal),
            }
        }
        (read, _) => read,
    }
}

async fn lease(
    handle: &Handle,
    visitor: &Visitor,
    exchange: &str,
    patterns: Vec<Pattern>,
) -> Result<Lease, Refusal> {
    // Nothing is bound for one whose key is for something else; the hub looks at the rest.
    let named = exchange.parse().ok().map(|exchange| channel_of(&exchange));
    if visitor.rights.channel.is_some() && visitor.rights.channel != named {
        let reason = format!("this key is not for the exchange `{exchange}`");
        return Err(Refusal::new(Code::NOT_ALLOWED, reason));
    }
    handle.dynamic(exchange, patterns).await.map_err(Refusal::from)
}

/// From where on nothing is missing of all that a lease wants.
fn known_since(lease: &Lease) -> Option<Position> {
    lease.since().values().max().copied()
}

/// Where reading begins, and the gap before that: of what was not bound yet nobody knows what it would have been.
fn begin(channel: &ChannelName, since: Since, known: Option<Position>) -> (Since, Option<Gap>) {
    match (since, known) {
        (Since::Earliest, Some(known)) => (Since::Position(known), None),
        (Since::Position(from), Some(to)) if from < to => {
            let reason = if from.epoch == to.epoch { GapReason::Source } else { GapReason::Epoch };
            (Since::Position(to), Some(Gap { channel: channel.clone(), from, to, reason }))
        }
        _ => (since, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_bound_yet_is_a_gap_for_those_who_come_from_before() {
        let (channel, at) = ("dynamic.ci".parse().unwrap(), |offset| Position::new(7, offset));
        let begin = |since| begin(&channel, since, Some(at(40)));
        assert_eq!(begin(Since::Now), (Since::Now, None));
        assert_eq!(begin(Since::Earliest), (Since::Position(at(40)), None));
        for offset in [40, 41] {
            assert_eq!(begin(Since::Position(at(offset))), (Since::Position(at(offset)), None));
        }
        let gap = |from, reason| Some(Gap { channel: channel.clone(), from, to: at(40), reason });
        let source = (Since::Position(at(40)), gap(at(39), GapReason::Source));
        assert_eq!(begin(Since::Position(at(39))), source);
        let before = Position::new(6, 99);
        assert_eq!(begin(Since::Position(before)), (Since::Position(at(40)), gap(before, GapReason::Epoch)));
    }
}
