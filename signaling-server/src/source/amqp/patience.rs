//! How long a channel puts up with a node of the cluster that keeps the connection and does not serve the channel.

use std::{
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::Duration,
};

/// Failures in a row on one connection after which the next node is tried. With the delays between them that is 1.5 s
/// at most, beside what the broker takes to fail. Unvalidated.
const FAILURES: u32 = 3;

/// After a round of all nodes that has not helped the number doubles, up to so often: each change of the node interrupts
/// the other channels, too.
const DOUBLINGS_MAX: u32 = 5;

/// Who has served the channel for so long is no bad node. As long as the longest delay between two sessions.
const SERVES: Duration = Duration::from_secs(20);

/// A channel's patience.
#[derive(Debug, Default)]
pub(super) struct Patience {
    /// On the present connection.
    failures: u32,
    /// Whether it has had a connection given up, and has not been served since.
    has_given_up: bool,
}

/// Connections that were given up since that has helped a channel that wanted it. They are all channels' matter, as the
/// connection is.
#[derive(Debug, Default)]
pub(super) struct InVain(AtomicU32);

impl Patience {
    /// There is another connection.
    pub(super) fn begin(&mut self) {
        self.failures = 0;
    }

    /// A session has been open, and has lasted for so long.
    pub(super) fn was_served(&mut self, lasted: Duration, in_vain: &InVain) {
        if lasted >= SERVES {
            self.failures = 0;
            if std::mem::take(&mut self.has_given_up) {
                in_vain.0.store(0, Relaxed);
            }
        }
    }

    /// A session has failed by what may be the node's fault. Says whether the next one of so many nodes is to be tried.
    pub(super) fn is_over(&mut self, nodes: usize, in_vain: &InVain) -> bool {
        self.failures += 1;
        let rounds = in_vain.0.load(Relaxed) / u32::try_from(nodes).unwrap_or(u32::MAX).max(1);
        let is_over = nodes > 1 && self.failures >= FAILURES << rounds.min(DOUBLINGS_MAX);
        self.has_given_up |= is_over;
        is_over
    }
}

impl InVain {
    /// One more.
    pub(super) fn add(&self) {
        self.0.fetch_add(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many failures it takes until the next of so many nodes is tried; none if it is not within a thousand.
    fn failures(patience: &mut Patience, nodes: usize, in_vain: &InVain) -> Option<usize> {
        patience.begin();
        let found = (1..1_000).find(|_| patience.is_over(nodes, in_vain));
        found.inspect(|_| in_vain.add())
    }

    #[test]
    fn a_node_that_fails_again_and_again_is_left_and_each_round_in_vain_takes_longer() {
        let (mut patience, in_vain) = (Patience::default(), InVain::default());
        let found: Vec<_> = (0..6).filter_map(|_| failures(&mut patience, 2, &in_vain)).collect();
        assert_eq!(found, [3, 3, 6, 6, 12, 12]);
        let longest = (0..20).filter_map(|_| failures(&mut patience, 2, &in_vain)).max();
        assert_eq!(longest, Some(96));
    }

    #[test]
    fn regression_many_channels_change_the_connection_no_more_often_than_one() {
        let (mut channels, in_vain) = ([Patience::default(), Patience::default()], InVain::default());
        let each = (0..6).map(|nth| failures(&mut channels[nth % 2], 2, &in_vain));
        assert_eq!(each.collect::<Vec<_>>(), [3, 3, 6, 6, 12, 12].map(Some));
        channels[1].was_served(SERVES, &in_vain);
        assert_eq!(failures(&mut channels[0], 2, &in_vain), Some(3), "it has helped one of them");
    }

    #[test]
    fn a_single_node_is_never_left() {
        assert_eq!(failures(&mut Patience::default(), 1, &InVain::default()), None);
    }

    #[test]
    fn only_one_that_has_served_for_a_while_is_forgiven() {
        let (mut patience, in_vain) = (Patience::default(), InVain::default());
        assert!(!patience.is_over(2, &in_vain) && !patience.is_over(2, &in_vain));
        patience.was_served(SERVES - Duration::from_millis(1), &in_vain);
        assert!(patience.is_over(2, &in_vain));
        patience.begin();
        assert!(!patience.is_over(2, &in_vain) && !patience.is_over(2, &in_vain));
        patience.was_served(SERVES, &in_vain);
        assert!(!patience.is_over(2, &in_vain));
    }
}
