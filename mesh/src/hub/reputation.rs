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
}

impl Reputation {
    /// Somebody accuses another. False if those from there have done so too often to be believed.
    pub(crate) fn accuses(&mut self, now: Time, origin: Origin, config: &HubConfig) -> bool {
        let standing = self.standing(now, origin, config.suspension);
        standing.accusations = standing.accusations.saturating_add(1);
        standing.accusations <= config.accusations_max
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

    #[test]
    fn the_fourth_accusation_from_one_origin_is_not_believed_until_those_before_are_forgotten() {
        let (config, mut reputation) = (HubConfig::default(), Reputation::default());
        let mut accuses =
            |seconds: u64, origin| reputation.accuses(Time(seconds * 1_000_000), origin, &config);
        assert_eq!([0, 1, 2, 3].map(|second| accuses(second, ORIGIN)), [true, true, true, false]);
        assert!(accuses(4, Origin::Peer(PeerId(7))), "somebody else");
        assert!(!accuses(602, ORIGIN) && accuses(1_203, ORIGIN));
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
