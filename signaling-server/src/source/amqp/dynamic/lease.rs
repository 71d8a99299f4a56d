//! A lease: what somebody wants of an exchange, kept bound for as long as it is held.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use tiercast_codec::{ChannelName, Pattern, Position};
use tokio::time::Instant;

use super::{
    desk::Desk,
    error::DynamicError,
    wants::{Complete, Progress},
};
use crate::{
    source::roster::{Milestone, Roster},
    stopped::Stopped,
};

/// Patterns of one exchange that somebody wants. They stay bound until this is dropped, and for
/// `amqp.dynamic.linger_ms` longer; as long as there is one, the channel is there.
#[derive(Debug)]
pub struct Lease {
    roster: Roster,
    desk: Arc<Desk>,
    /// What is wanted, bound or not.
    patterns: BTreeSet<Pattern>,
    since: BTreeMap<Pattern, Position>,
}

impl Lease {
    /// Waits until these patterns, which have been taken at the desk, are bound.
    pub(super) async fn begin(
        roster: Roster,
        desk: Arc<Desk>,
        patterns: BTreeSet<Pattern>,
    ) -> Result<Self, DynamicError> {
        // First of all, so that they are given back if nobody waits any more.
        let mut lease = Self { roster, desk, patterns, since: BTreeMap::new() };
        let complete = lease.complete().await?;
        if let Some(reached) = complete.values().map(|complete| complete.reached).max() {
            lease.reaches(Milestone::Position(reached)).await.map_err(|Stopped| DynamicError::Stopped)?;
        }
        lease.since = complete.into_iter().map(|(pattern, complete)| (pattern, complete.since)).collect();
        Ok(lease)
    }

    /// The channel of the hub. It has what others asked for of the exchange, too.
    pub fn channel(&self) -> &ChannelName {
        self.desk.channel()
    }

    /// The exchange.
    pub fn exchange(&self) -> &str {
        self.desk.exchange().as_str()
    }

    /// The position from which on the channel has every event that matches a pattern: before it events may be missing,
    /// without a gap in the channel, and whoever wants to go on from there must be told so. The channel itself may be at
    /// an earlier position, if nothing has come since. Where something is missing later, the channel has a gap.
    pub fn since(&self) -> &BTreeMap<Pattern, Position> {
        &self.since
    }

    /// Waits until the channel has caught up with the broker.
    pub(crate) async fn is_current(&self) -> Result<(), Stopped> {
        self.reaches(Milestone::Current).await
    }

    /// How many patterns it has.
    pub(crate) fn len(&self) -> usize {
        self.patterns.len()
    }

    /// Those that it does not have.
    pub(crate) fn lacks(&self, patterns: impl IntoIterator<Item = Pattern>) -> BTreeSet<Pattern> {
        patterns.into_iter().filter(|pattern| !self.patterns.contains(pattern)).collect()
    }

    /// Takes over what another lease of the same exchange has.
    pub(crate) fn absorb(&mut self, mut more: Self) {
        // What both have is given back once: this one counts for it.
        more.unbind(self.patterns.clone());
        self.patterns.append(&mut more.patterns);
        self.since.append(&mut more.since);
        // It is another desk if there was nothing left to hold the first.
        std::mem::swap(&mut self.desk, &mut more.desk);
    }

    /// Wants these no more.
    pub fn unbind(&mut self, patterns: impl IntoIterator<Item = Pattern>) {
        let mut gone = BTreeSet::new();
        for pattern in patterns {
            self.since.remove(&pattern);
            gone.extend(self.patterns.take(&pattern));
        }
        self.desk.change(|wants| wants.release(&gone, Instant::now()));
    }

    async fn reaches(&self, milestone: Milestone) -> Result<(), Stopped> {
        self.roster.reaches(self.channel(), milestone).await
    }

    async fn complete(&self) -> Result<BTreeMap<Pattern, Complete>, DynamicError> {
        let mut changes = self.desk.changes();
        loop {
            match self.desk.with(|wants| wants.progress(&self.patterns)) {
                Progress::Complete(complete) => return Ok(complete),
                Progress::Refused(error) => return Err(error),
                // It never ends: the sender is the desk's.
                Progress::Pending => _ = changes.changed().await,
            }
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.desk.change(|wants| wants.release(&self.patterns, Instant::now()));
    }
}
