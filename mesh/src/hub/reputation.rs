//! What is remembered of those who come from one part of the network, whoever they are now: whom they accused, and that
//! one of them was taken out of service. A new session costs nobody anything, so it says nothing about who somebody is.
//! What is remembered is forgotten with time.

use std::{collections::BTreeMap, time::Duration};

use tiercast_codec::PeerId;

use super::HubConfig;
use crate::{Time, timers::Timers};

/// Suspensions double so often at most.
const DOUBLINGS_MAX: u32 = 5;

/// A part of the network from which one person can come with many addresses: an address prefix. The number is the driver's
/// affair; two sessions have the same if their addresses lie in the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Network(pub u128);

/// Whom a peer counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Origin {
    /// All who come from there are one.
    Network(Network),
    /// Its address tells nothing, as on one machine: it is somebody of its own.
    Peer(PeerId),
}

/// What is remembered.
#[derive(Debug, Default)]
pub(crate) struct Reputation {
    standings: BTreeMap<Origin, Standing>,
    forgotten: Timers<Origin>,
}

#[derive(Debug, Default)]
struct Standing {
    accusations: u32,
    suspensions: u32,
    suspended_until: Time,
    /// Who accused them of sending what cannot be right, and until when that counts.
    accused_by: BTreeMap<Origin, Time>,
    /// How often they left somebody because it brought too little.
    complaints: u32,
    /// How many children one of them is believed to be able to feed, since three left it.
    believed: Option<usize>,
}

impl Reputation {
    /// Somebody accuses another. True if enough have done so who are to be believed: those from one origin are not if they
    /// do it too often.
    pub(crate) fn accuse(&mut self, now: Time, by: Origin, culprit: Origin, config: &HubConfig) -> bool {
        let accuser = self.standing(now, by, config.suspension);
        accuser.accusations = accuser.accusations.saturating_add(1);
        if accuser.accusations > config.accusations_max {
            return false;
        }
        let accused = self.standing(now, culprit, config.suspension);
        accused.accused_by.retain(|_, until| *until > now);
        accused.accused_by.insert(by, now + config.suspension);
        accused.accused_by.len() >= config.accusers_min
    }

    /// Somebody leaves another because it brings too little. False if those from one origin do so too often for it to mean
    /// anything.
    pub(crate) fn heeds(&mut self, now: Time, by: Origin, config: &HubConfig) -> bool {
        let standing = self.standing(now, by, config.suspension);
        standing.complaints = standing.complaints.saturating_add(1);
        standing.complaints <= config.accusations_max
    }

    /// So many children is one from there believed to be able to feed.
    pub(crate) fn believe(&mut self, now: Time, origin: Origin, children: usize, config: &HubConfig) {
        self.standing(now, origin, config.suspension).believed = Some(children);
    }

    /// How many children one from there is believed to be able to feed, if that is known.
    pub(crate) fn believed(&self, origin: Origin) -> Option<usize> {
        self.standings.get(&origin)?.believed
    }

    /// Somebody is taken out of service. Until when: each time it is for longer.
    pub(crate) fn suspend(&mut self, now: Time, origin: Origin, config: &HubConfig) -> Time {
        let standing = self.standing(now, origin, config.suspension);
        let doublings = standing.suspensions.min(DOUBLINGS_MAX);
        standing.suspensions += 1;
        let duration = config.suspension.saturating_mul(1 << doublings);
        standing.suspended_until = now + duration;
        self.forgotten.set(origin, now + duration + config.suspension);
        now + duration
    }

    /// Until when those from there are out of service, if they are.
    pub(crate) fn suspended_until(&self, now: Time, origin: Origin) -> Option<Time> {
        let until = self.standings.get(&origin)?.suspended_until;
        (until > now).then_some(until)
    }

    /// What is remembered of an origin, and for so much longer.
    fn standing(&mut self, now: Time, origin: Origin, memory: Duration) -> &mut Standing {
        while let Some(origin) = self.forgotten.expired(now) {
            self.standings.remove(&origin);
        }
        let standing = self.standings.entry(origin).or_default();
        self.forgotten.set(origin, now.max(standing.suspended_until) + memory);
        standing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGIN: Origin = Origin::Network(Network(7));

    fn network(number: u128) -> Origin {
        Origin::Network(Network(number))
    }

    fn at(seconds: u64) -> Time {
        Time(seconds * 1_000_000)
    }

    #[test]
    fn the_fourth_accusation_from_one_origin_is_not_believed_until_those_before_are_forgotten() {
        let config = HubConfig { accusers_min: 1, ..HubConfig::default() };
        let mut reputation = Reputation::default();
        let mut accuse =
            |seconds, by| reputation.accuse(at(seconds), by, network(100 + u128::from(seconds)), &config);
        assert_eq!([0, 1, 2, 3].map(|second| accuse(second, ORIGIN)), [true, true, true, false]);
        assert!(accuse(4, Origin::Peer(PeerId(7))), "somebody else");
        assert!(!accuse(602, ORIGIN) && accuse(1_203, ORIGIN));
    }

    #[test]
    fn two_origins_must_accuse_within_a_while() {
        let (config, mut reputation) = (HubConfig::default(), Reputation::default());
        let mut accuse = |seconds, by| reputation.accuse(at(seconds), network(by), ORIGIN, &config);
        assert_eq!([0, 1].map(|second| accuse(second, 1)), [false, false]);
        assert!(!accuse(601, 2), "the first is forgotten");
        assert!(accuse(602, 1));
    }

    #[test]
    fn each_suspension_is_longer_until_they_are_forgotten() {
        let (config, mut reputation) = (HubConfig::default(), Reputation::default());
        let mut now = Time(1);
        let mut seconds = Vec::new();
        for _ in 0..7 {
            let until = reputation.suspend(now, ORIGIN, &config);
            seconds.push(until.since(now).as_secs());
            assert_eq!(reputation.suspended_until(now, ORIGIN), Some(until));
            now = until;
            assert_eq!(reputation.suspended_until(now, ORIGIN), None);
        }
        assert_eq!(seconds, [600, 1_200, 2_400, 4_800, 9_600, 19_200, 19_200]);
        now = now + config.suspension;
        assert_eq!(reputation.suspend(now, ORIGIN, &config).since(now).as_secs(), 600);
    }
}
