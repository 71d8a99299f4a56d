//! What the server spends on feeding those who are not in tier 1: so many bytes a second, first for those on whom most
//! others hang. Whoever has to wait for its turn is behind for a while and misses nothing: its cursor stays where it is.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tiercast_codec::ChannelId;

use super::Receiver;
use crate::Time;

/// What was not spent may be spent later, but no more than that of so long a time.
const SAVED: Duration = Duration::from_millis(100);

/// A turn is good for so many bytes and the frame with which they are exceeded: a full batch.
const TURN_BYTES: i64 = 16 << 10;

/// Turns are given no more often than this.
const PACE: Duration = Duration::from_millis(5);

/// Bytes are counted in millionths, as time is in microseconds.
const PARTS: i64 = 1_000_000;

/// Why the server feeds somebody. Those that come first are fed first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// It is in tier 1, and gets what is published now. That is bounded by the size of tier 1, and not here.
    Root,
    /// It has lost its parent, or has not found one yet, and feeds others.
    Orphan,
    /// The same, and it feeds nobody.
    Leaf,
    /// Somebody else feeds it, and is late.
    Pull,
    /// It takes no part in the mesh, or cannot be reached.
    Direct,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 5] = [Self::Root, Self::Orphan, Self::Leaf, Self::Pull, Self::Direct];

    /// Its name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Orphan => "orphan",
            Self::Leaf => "leaf",
            Self::Pull => "pull",
            Self::Direct => "direct",
        }
    }
}

/// What the server spends on a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spending {
    /// Whom it feeds.
    pub class: Class,
    /// Bytes of frames so far.
    pub bytes: u64,
    /// How many subscriptions wait for their turn.
    pub waiting: usize,
    /// For how long the first of them has waited.
    pub waited: Duration,
}

/// One who is fed, and on which channel.
pub(super) type Feeding = (ChannelId, Receiver);

/// Who comes before whom: the class, and how many tiers hang below.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Priority {
    pub(crate) class: Class,
    pub(crate) height: Reverse<u32>,
}

/// A place in the queue.
type Turn = (Time, Feeding);

/// The server's spending.
#[derive(Debug)]
pub(super) struct Budget {
    /// Bytes a second.
    rate: i64,
    /// What may be spent now, in parts of a byte; less than nothing after more than that was spent.
    balance: i64,
    reckoned: Time,
    /// No turns are given before this.
    not_before: Time,
    /// Those who wait, by priority, and in the order in which they began to.
    queue: BTreeMap<Priority, BTreeSet<Turn>>,
    waiting: BTreeMap<Feeding, (Priority, Time)>,
    /// Those whose turn it is, and how many bytes they have left.
    granted: BTreeMap<Feeding, i64>,
    bytes: [u64; Class::ALL.len()],
}

impl Budget {
    /// A budget of so many bytes a second.
    pub(super) fn new(rate: u64) -> Self {
        Self {
            rate: rate.try_into().unwrap_or(i64::MAX),
            balance: 0,
            reckoned: Time(0),
            not_before: Time(0),
            queue: BTreeMap::new(),
            waiting: BTreeMap::new(),
            granted: BTreeMap::new(),
            bytes: [0; Class::ALL.len()],
        }
    }

    /// Whether so many bytes may be sent now; if not, the receiver waits for its turn.
    pub(super) fn spend(&mut self, now: Time, feeding: Feeding, priority: Priority, bytes: usize) -> bool {
        let may = priority.class == Class::Root || self.is_its_turn(now, feeding, priority, bytes as i64);
        if may {
            self.bytes[priority.class as usize] += bytes as u64;
        }
        may
    }

    fn is_its_turn(&mut self, now: Time, feeding: Feeding, priority: Priority, bytes: i64) -> bool {
        if let Some(left) = self.granted.get_mut(&feeding) {
            *left -= bytes;
            if *left <= 0 {
                self.return_turn(feeding);
            }
            return true;
        }
        self.reckon(now);
        let since = self.leave(feeding).unwrap_or(now);
        if self.balance > 0 && self.queue.keys().next().is_none_or(|first| priority < *first) {
            self.balance -= bytes * PARTS;
            return true;
        }
        self.waiting.insert(feeding, (priority, since));
        self.queue.entry(priority).or_default().insert((since, feeding));
        false
    }

    /// Whether a receiver waits for its turn.
    pub(super) fn makes_wait(&self, feeding: Feeding) -> bool {
        self.waiting.contains_key(&feeding)
    }

    /// A receiver has everything that it may be sent. What it did not use of its turn is for others.
    pub(super) fn return_turn(&mut self, feeding: Feeding) {
        if let Some(left) = self.granted.remove(&feeding) {
            self.balance += left * PARTS;
        }
    }

    /// A receiver wants nothing any more.
    pub(super) fn forget(&mut self, feeding: Feeding) {
        self.return_turn(feeding);
        self.leave(feeding);
    }

    /// Takes a receiver out of the queue. Since when it waited, if it did.
    fn leave(&mut self, feeding: Feeding) -> Option<Time> {
        let (priority, since) = self.waiting.remove(&feeding)?;
        if let Some(turns) = self.queue.get_mut(&priority) {
            turns.remove(&(since, feeding));
            if turns.is_empty() {
                self.queue.remove(&priority);
            }
        }
        Some(since)
    }

    /// When there are turns to be given.
    pub(super) fn due(&self) -> Option<Time> {
        self.queue.first_key_value()?;
        let debt = (1 - self.balance).max(0) / self.rate + 1;
        Some((self.reckoned + Duration::from_micros(debt as u64)).max(self.not_before))
    }

    /// The next receiver whose turn it is, if there is something to be spent.
    pub(super) fn next(&mut self, now: Time) -> Option<Feeding> {
        self.reckon(now);
        let (_, feeding) = self.queue.values().next()?.first().copied().filter(|_| self.balance > 0)?;
        self.leave(feeding);
        self.not_before = now + PACE;
        self.balance -= TURN_BYTES * PARTS;
        self.granted.insert(feeding, TURN_BYTES);
        Some(feeding)
    }

    /// For how long the first of a class has waited.
    pub(super) fn waited(&self, now: Time, class: Class) -> Duration {
        let first = self.queued(class).filter_map(BTreeSet::first).map(|(since, _)| *since).min();
        first.map(|since| now.since(since)).unwrap_or_default()
    }

    /// What is spent, by class.
    pub(super) fn spending(&self, now: Time) -> [Spending; Class::ALL.len()] {
        Class::ALL.map(|class| Spending {
            class,
            bytes: self.bytes[class as usize],
            waiting: self.queued(class).map(BTreeSet::len).sum(),
            waited: self.waited(now, class),
        })
    }

    fn queued(&self, class: Class) -> impl Iterator<Item = &BTreeSet<Turn>> {
        self.queue.iter().filter(move |(priority, _)| priority.class == class).map(|(_, turns)| turns)
    }

    fn reckon(&mut self, now: Time) {
        let elapsed = now.since(self.reckoned).as_micros() as i64;
        let saved = self.rate.saturating_mul(SAVED.as_micros() as i64);
        self.balance = self.balance.saturating_add(self.rate.saturating_mul(elapsed)).min(saved);
        self.reckoned = now;
    }
}

#[cfg(test)]
mod tests {
    use tiercast_codec::PeerId;

    use super::*;

    const CHANNEL: ChannelId = ChannelId(1);
    const RATE: u64 = 1_000_000;

    fn feeding(peer: u64) -> Feeding {
        (CHANNEL, Receiver::Peer(PeerId(peer)))
    }

    fn priority(class: Class, height: u32) -> Priority {
        Priority { class, height: Reverse(height) }
    }

    /// A budget of which nothing is left at `begin`.
    fn spent(begin: Time) -> Budget {
        let mut budget = Budget::new(RATE);
        assert!(
            budget.spend(begin, feeding(0), priority(Class::Leaf, 1), 200_000),
            "it is spent before it runs out"
        );
        budget
    }

    const BEGIN: Time = Time(1_000_000);

    #[test]
    fn what_was_not_spent_is_saved_for_a_tenth_of_a_second() {
        let mut budget = Budget::new(RATE);
        let mut now = BEGIN;
        let sent = |budget: &mut Budget, now| {
            (0..).take_while(|_| budget.spend(now, feeding(1), priority(Class::Leaf, 1), 1_000)).count()
        };
        assert_eq!(sent(&mut budget, now), 100);
        budget.forget(feeding(1));
        now = now + Duration::from_millis(20);
        assert_eq!(sent(&mut budget, now), 20);
        budget.forget(feeding(1));
        now = now + Duration::from_secs(20);
        assert_eq!(sent(&mut budget, now), 100);
    }

    #[test]
    fn those_on_whom_most_others_hang_come_first_and_then_who_came_first() {
        let mut budget = spent(BEGIN);
        let waiting = [
            (1, priority(Class::Direct, 1)),
            (2, priority(Class::Leaf, 1)),
            (3, priority(Class::Orphan, 2)),
            (4, priority(Class::Leaf, 1)),
            (5, priority(Class::Orphan, 3)),
        ];
        for (after, (peer, priority)) in (0..).zip(waiting) {
            assert!(!budget.spend(BEGIN + Duration::from_micros(after), feeding(peer), priority, 100));
        }
        assert!(budget.spend(BEGIN, feeding(9), priority(Class::Root, 4), 100), "tier 1 does not wait");
        let later = BEGIN + Duration::from_millis(150);
        let turns: Vec<_> = std::iter::from_fn(|| budget.next(later)).collect();
        assert_eq!(turns, [5, 3, 2, 4].map(feeding), "then nothing is left");
        assert_eq!(budget.next(budget.due().unwrap()), Some(feeding(1)));
        assert_eq!(budget.due(), None);
    }

    #[test]
    fn a_turn_is_good_for_a_full_batch_and_the_rest_of_it_is_for_others() {
        let mut budget = spent(BEGIN);
        let leaf = priority(Class::Leaf, 1);
        assert!(!budget.spend(BEGIN, feeding(1), leaf, 4_096));
        let now = BEGIN + Duration::from_millis(110);
        assert_eq!(budget.next(now), Some(feeding(1)));
        let sent = (0..).take_while(|_| budget.spend(now, feeding(1), leaf, 4_096)).count();
        assert_eq!(sent, 4);
        assert_eq!(budget.spending(now)[2].waiting, 1, "it waits for its next turn");
        let balance = budget.balance;
        let now = budget.due().unwrap();
        assert_eq!(budget.next(now), Some(feeding(1)));
        budget.return_turn(feeding(1));
        assert!(budget.balance > balance, "it did not need it");
    }

    #[test]
    fn it_is_known_who_waits_and_for_how_long() {
        let mut budget = spent(BEGIN);
        for (peer, class) in [(1, Class::Leaf), (2, Class::Leaf), (3, Class::Direct)] {
            budget.spend(BEGIN + Duration::from_millis(peer), feeding(peer), priority(class, 1), 100);
        }
        let now = BEGIN + Duration::from_millis(10);
        budget.forget(feeding(1));
        let [root, orphan, leaf, _, direct] = budget.spending(now);
        assert_eq!((root.waiting, orphan.waiting, leaf.waiting, direct.waiting), (0, 0, 1, 1));
        assert_eq!((leaf.waited.as_millis(), direct.waited.as_millis()), (8, 7));
        assert_eq!(leaf.bytes, 200_000);
        budget.forget(feeding(2));
        budget.forget(feeding(3));
        assert_eq!(budget.due(), None);
    }
}
