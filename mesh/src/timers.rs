//! Deadlines, at most one per key, in the order in which they fall due.
//!
//! | machine | key | falls due | then |
//! |---|---|---|---|
//! | hub | `Flush` | `batch.delay` after the last flush | seals the pending events |
//! | hub | `Head` | a second without a frame | signs a head |
//! | hub | `Heartbeat` | every `heartbeat` | pings a quiet session, closes a silent one |
//! | hub | `LinkSetup` | `link_setup` after `assign` | gives up the link |
//! | hub | `LinkProven` | `link_proven` after it began to feed | the child's failures are forgotten |
//! | hub | `Retry` | backoff after `link_tries` failed links, or when a refused parent may be tried again | looks for a parent |
//! | hub | `Away` | `resume` after a session ended without a goodbye, at once without links | forgets the peer |
//! | hub | `Pardon` | after `suspension` or, for one that cannot be reached, `link_retry`, twice as long each time | may have children again |
//! | hub | `Standby` | `standby` after a parent began to feed, twice as long for a leaf; 5 times as long where there was none to be had | gives a peer a standby |
//! | hub | `Look` | `look` after a peer was called silent or stale | closes it if it has not answered |
//! | hub | `Turns` | when the budget allows, 5 ms after the last turns at the earliest | feeds those who waited for that |
//! | hub | `Pages` | at once when somebody begins to wait for a page of the past, then every second | asks sources for pages |
//! | hub | `Improve` | `improve` after the last move, 20 times as long where there was nothing to do | gives a peer a better place |
//! | peer | `SessionSilent` | every heartbeat | closes a silent session |
//! | peer | `Subscribe` | what the server asked for | asks again for a channel that was not ready |
//! | peer | `LinkSetup` | `link_setup` after `assign` or `expect` | gives up the link |
//! | peer | `LinkHeartbeat` | every `link_heartbeat` | pings a quiet link, closes a silent one |
//! | peer | `LinkAnswer` | `link_answer` or two round trips after `away`, where there is no standby that may be well | closes a link on which nothing came |
//! | peer | `LinkDoubt` | `link_doubt` after its standby took a parent's place | closes the link if nothing came |
//! | peer | `Have` | `have.least` or `have.most` after the last `have`, or `have.tail` after the last frame | tells a child that holds us how far we are, or one that loses how far we have sent |
//! | peer | `Lead` | the usual time after somebody had more, or `hedge` beyond the round trip | turns to the standby, or pulls |
//! | peer | `Nack` | `nack_wait` after a frame came before its turn, then after a round trip and a quarter | asks for what is missing |
//! | peer | `Stale` | ten times the usual pause, one to two and a half head intervals | asks the server how far it is, leaves the stale |

use std::collections::{BTreeMap, BTreeSet};

use crate::Time;

/// A set of deadlines.
#[derive(Debug)]
pub(crate) struct Timers<K> {
    by_key: BTreeMap<K, Time>,
    by_time: BTreeSet<(Time, K)>,
}

impl<K> Default for Timers<K> {
    fn default() -> Self {
        Self { by_key: BTreeMap::new(), by_time: BTreeSet::new() }
    }
}

impl<K: Copy + Ord> Timers<K> {
    /// Sets or moves the deadline of `key`.
    pub(crate) fn set(&mut self, key: K, at: Time) {
        self.clear(key);
        self.by_key.insert(key, at);
        self.by_time.insert((at, key));
    }

    /// Forgets the deadline of `key`.
    pub(crate) fn clear(&mut self, key: K) {
        if let Some(at) = self.by_key.remove(&key) {
            self.by_time.remove(&(at, key));
        }
    }

    /// The deadline of `key`, if it has one.
    pub(crate) fn due(&self, key: K) -> Option<Time> {
        self.by_key.get(&key).copied()
    }

    /// The next deadline.
    pub(crate) fn next(&self) -> Option<Time> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Takes the first key whose deadline has come.
    pub(crate) fn expired(&mut self, now: Time) -> Option<K> {
        let (at, key) = *self.by_time.first()?;
        if at > now {
            return None;
        }
        self.clear(key);
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_fall_due_in_order_and_can_be_moved_and_cleared() {
        let mut timers = Timers::default();
        timers.set('a', Time(30));
        timers.set('b', Time(10));
        timers.set('c', Time(20));
        timers.set('a', Time(5));
        timers.clear('c');
        assert_eq!((timers.due('a'), timers.due('c')), (Some(Time(5)), None));
        assert_eq!(timers.next(), Some(Time(5)));
        assert_eq!(timers.expired(Time(4)), None);
        assert_eq!(timers.expired(Time(50)), Some('a'));
        assert_eq!(timers.expired(Time(50)), Some('b'));
        assert_eq!(timers.expired(Time(50)), None);
        assert_eq!(timers.next(), None);
    }
}
