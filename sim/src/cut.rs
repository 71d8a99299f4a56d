//! A network that is cut: nothing passes between some ends for a while, in one direction or in both.
//!
//! Connections do not know of it. What is sent meanwhile is sent again until it passes, so it comes when the cut has healed,
//! unless an end has given up the connection by then.

use std::{collections::BTreeSet, time::Duration};

use serde::{Deserialize, Serialize};
use tiercast_mesh::Time;

use crate::node::SERVER;

/// From whom some peers are cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reach {
    /// From the server and from all other peers.
    #[default]
    All,
    /// From the server.
    Server,
    /// From all other peers.
    Peers,
}

/// Some peers are cut off. Among each other they are not.
#[derive(Debug, Clone)]
pub struct Cut {
    /// They.
    pub island: BTreeSet<u64>,
    /// From whom.
    pub from: Reach,
    /// Whether only what they send vanishes, and they hear the others.
    pub one_way: bool,
    /// For how long.
    pub lasts: Duration,
}

/// The cuts that have not healed.
#[derive(Debug, Default)]
pub(crate) struct Cuts(Vec<(Cut, Time)>);

impl Cuts {
    pub(crate) fn add(&mut self, now: Time, cut: Cut) {
        self.0.retain(|(_, heals)| *heals > now);
        let heals = now + cut.lasts;
        self.0.push((cut, heals));
    }

    /// When a message from one end to another passes; `None`: now.
    pub(crate) fn heals(&self, now: Time, from: u64, to: u64) -> Option<Time> {
        let lies_between = |(cut, heals): &&(Cut, Time)| *heals > now && cut.lies_between(from, to);
        self.0.iter().filter(lies_between).map(|(_, heals)| *heals).max()
    }
}

impl Cut {
    fn lies_between(&self, from: u64, to: u64) -> bool {
        let (sends, hears) = (self.island.contains(&from), self.island.contains(&to));
        let is_hit = if self.one_way { sends && !hears } else { sends != hears };
        is_hit && self.concerns(if sends { to } else { from })
    }

    fn concerns(&self, other: u64) -> bool {
        match self.from {
            Reach::All => true,
            Reach::Server => other == SERVER,
            Reach::Peers => other != SERVER,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::BEGIN;

    fn cuts(from: Reach, one_way: bool) -> Cuts {
        let mut cuts = Cuts::default();
        let island = BTreeSet::from([1, 2]);
        cuts.add(BEGIN, Cut { island, from, one_way, lasts: Duration::from_secs(5) });
        cuts
    }

    fn passes(cuts: &Cuts, from: u64, to: u64) -> bool {
        cuts.heals(BEGIN, from, to).is_none()
    }

    #[test]
    fn an_island_is_cut_off_from_all_others_and_not_from_itself_until_it_heals() {
        let cuts = cuts(Reach::All, false);
        assert!(!passes(&cuts, 1, 3) && !passes(&cuts, 3, 1) && !passes(&cuts, SERVER, 2));
        assert!(passes(&cuts, 1, 2) && passes(&cuts, 3, 4));
        assert_eq!(cuts.heals(BEGIN, 1, 3), Some(BEGIN + Duration::from_secs(5)));
        assert_eq!(cuts.heals(BEGIN + Duration::from_secs(5), 1, 3), None);
    }

    #[test]
    fn a_cut_concerns_the_server_or_the_peers_and_one_direction_or_both() {
        let server = cuts(Reach::Server, false);
        assert!(!passes(&server, SERVER, 1) && passes(&server, 1, 3));
        let peers = cuts(Reach::Peers, false);
        assert!(passes(&peers, SERVER, 1) && !passes(&peers, 1, 3));
        let one_way = cuts(Reach::All, true);
        assert!(!passes(&one_way, 1, 3) && passes(&one_way, 3, 1));
    }
}
