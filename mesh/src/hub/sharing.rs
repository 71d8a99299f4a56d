//! Which links two peers have, of whatever channels: a new one shares the connection of one that is there.

use std::{collections::BTreeMap, ops::RangeInclusive};

use tiercast_codec::{LinkId, PeerId};

use super::tickets::Ends;
use crate::Time;

/// The links whose connections others can share, and when each was up, or will be if nobody says otherwise.
#[derive(Debug, Default)]
pub(super) struct Sharing(BTreeMap<Key, Time>);

/// The two ends of a link, the lesser first, and the link.
type Key = (PeerId, PeerId, LinkId);

impl Sharing {
    pub(super) fn add(&mut self, ends: Ends, up: Time) {
        self.0.insert(key(ends), up);
    }

    pub(super) fn remove(&mut self, ends: Ends) {
        self.0.remove(&key(ends));
    }

    /// The link between two peers that was up first, or will be, and when.
    pub(super) fn between(&self, ends: Ends) -> Option<(LinkId, Time)> {
        let links = self.0.range(all_between(ends));
        links.min_by_key(|(_, up)| **up).map(|((_, _, link), up)| (*link, *up))
    }

    /// The connections between two peers are not what they seem to be: links that begin from now on share none of them.
    pub(super) fn distrust(&mut self, ends: Ends) {
        let links: Vec<_> = self.0.range(all_between(ends)).map(|(key, _)| *key).collect();
        links.iter().for_each(|key| _ = self.0.remove(key));
    }
}

fn key(Ends { link, parent, child }: Ends) -> Key {
    (parent.min(child), parent.max(child), link)
}

fn all_between(ends: Ends) -> RangeInclusive<Key> {
    let (one, other, _) = key(ends);
    (one, other, LinkId(0))..=(one, other, LinkId(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(link: u64, parent: u64, child: u64) -> Ends {
        Ends { link: LinkId(link), parent: PeerId(parent), child: PeerId(child) }
    }

    #[test]
    fn the_connection_that_was_up_first_is_shared_in_both_directions() {
        let mut sharing = Sharing::default();
        sharing.add(link(1, 5, 6), Time(30));
        sharing.add(link(2, 6, 5), Time(20));
        sharing.add(link(3, 5, 7), Time(10));
        assert_eq!(sharing.between(link(9, 5, 6)), Some((LinkId(2), Time(20))));
        sharing.remove(link(2, 6, 5));
        assert_eq!(sharing.between(link(9, 6, 5)), Some((LinkId(1), Time(30))));
        sharing.distrust(link(9, 6, 5));
        assert_eq!(sharing.between(link(9, 5, 6)), None);
        assert_eq!(sharing.between(link(9, 7, 5)), Some((LinkId(3), Time(10))));
    }
}
