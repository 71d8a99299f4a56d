//! Which server a peer connects to next: they take turns, and each has a backoff of its own.

use std::time::Duration;

use rand::seq::SliceRandom;
use tiercast_platform::Reconnect;
use tokio::time::Instant;

use crate::server_url::{ServerUrl, ServerUrls};

/// The servers of a peer, of which one is current.
#[derive(Debug)]
pub(crate) struct Servers {
    turns: Vec<Turn>,
    current: usize,
}

#[derive(Debug)]
struct Turn {
    url: ServerUrl,
    reconnect: Reconnect,
    /// When this server may be tried again.
    due: Instant,
}

impl Servers {
    /// In an order of its own for each peer, so that an audience spreads over all of them.
    pub(crate) fn new(urls: ServerUrls) -> Self {
        let due = Instant::now();
        let turn = |url| Turn { url, reconnect: Reconnect::new(), due };
        let mut turns: Vec<_> = urls.into_iter().map(turn).collect();
        turns.shuffle(&mut rand::rng());
        Self { turns, current: 0 }
    }

    /// The one that is current; `None` after all have forbidden to come back.
    pub(crate) fn current(&self) -> Option<&ServerUrl> {
        self.turns.get(self.current).map(|turn| &turn.url)
    }

    /// A connection to the current server ended after this time, or was none; it may not be made again for at least
    /// `retry_after`.
    pub(crate) fn failed(&mut self, lasted: Duration, retry_after: Duration) {
        let turn = &mut self.turns[self.current];
        // Spread, too: those that were told the same time were told it together.
        turn.due = Instant::now() + retry_after + turn.reconnect.next_delay(lasted);
    }

    /// The current server wants this peer never again.
    pub(crate) fn forbidden(&mut self) {
        self.turns.remove(self.current);
        // The one before: the next in turn is the one after it.
        self.current = self.current.checked_sub(1).unwrap_or(self.turns.len().saturating_sub(1));
    }

    /// Turns to the server that may be tried first, of several the next in the order. Gives the time to wait; `None`
    /// if there is no server left.
    pub(crate) fn turn(&mut self) -> Option<Duration> {
        let (now, count, earlier) = (Instant::now(), self.turns.len(), self.current);
        let in_order = (1..=count).map(|step| (earlier + step) % count);
        self.current = in_order.min_by_key(|at| self.turns[*at].due.max(now))?;
        let wait = self.turns[self.current].due.saturating_duration_since(now);
        // Whoever was with a server that is gone turns to the next; not all in the same moment.
        let spread = Reconnect::new().next_delay(Duration::ZERO);
        Some(if self.current == earlier { wait } else { wait.max(spread) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(501);
    const NONE: Duration = Duration::ZERO;

    fn servers(count: usize) -> Servers {
        let urls: Vec<_> = (1..=count).map(|port| format!("h:{port}")).collect();
        Servers::new(urls.join(",").parse().unwrap())
    }

    fn current(servers: &Servers) -> String {
        servers.current().unwrap().to_string()
    }

    #[test]
    fn an_audience_spreads() {
        let first = |_| current(&servers(3));
        assert_eq!((0..200).map(first).collect::<std::collections::BTreeSet<_>>().len(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn servers_that_cannot_be_reached_take_turns_and_each_waits_longer_each_time() {
        let mut servers = servers(3);
        let mut tried = Vec::new();
        for _ in 0..3 {
            tried.push(current(&servers));
            servers.failed(NONE, NONE);
            let wait = servers.turn().unwrap();
            assert!(wait < SOON, "{wait:?}");
            tokio::time::advance(wait).await;
        }
        tried.sort();
        assert_eq!(tried, ["ws://h:1/v1/ws", "ws://h:2/v1/ws", "ws://h:3/v1/ws"]);
        let mut longest = NONE;
        for _ in 0..60 {
            servers.failed(NONE, NONE);
            let wait = servers.turn().unwrap();
            tokio::time::advance(wait).await;
            longest = longest.max(wait);
        }
        assert!(longest > SOON && longest <= Duration::from_secs(20), "{longest:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_one_server_asks_for_says_nothing_of_the_others() {
        let hour = Duration::from_secs(3_600);
        let mut servers = servers(2);
        let first = current(&servers);
        servers.failed(Duration::from_secs(60), hour);
        assert!(servers.turn().unwrap() < SOON);
        let second = current(&servers);
        assert_ne!(first, second);
        servers.failed(NONE, NONE);
        assert!(servers.turn().unwrap() < SOON);
        assert_eq!(current(&servers), second, "the other one has asked for an hour");
        servers.forbidden();
        assert!(servers.turn().unwrap() > hour - SOON);
        assert_eq!(current(&servers), first);
    }

    #[test]
    fn a_server_that_forbids_to_come_back_is_left_out() {
        let mut servers = servers(3);
        for left in [true, true, false] {
            let forbids = current(&servers);
            servers.forbidden();
            assert_eq!(servers.turn().is_some(), left);
            assert!(servers.current().is_none_or(|url| url.to_string() != forbids));
        }
        assert_eq!(servers.current(), None);
    }
}
