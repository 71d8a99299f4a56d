//! What the hub looks like at one moment: for metrics, readiness and the list of channels. All of it are numbers that the
//! hub keeps anyway: who monitors often takes no more of its time with a large audience than with a small one.

use std::{collections::BTreeMap, time::Duration};

use tiercast_codec::{ChannelName, Position};
use tiercast_mesh::{
    Hub, Time,
    hub::{ChannelStats, HubStats, PastUse, SourceState, Spending},
};

use tiercast_platform::Clock;

use crate::config::SourceKind;

/// The hub at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// When it was taken.
    pub time: Time,
    /// How long the server has run.
    pub uptime: Duration,
    /// Open sessions.
    pub sessions: usize,
    /// Plain readers.
    pub readers: usize,
    /// Counters of the hub as a whole.
    pub hub: HubStats,
    /// What is spent on feeding peers, by class.
    pub spending: Vec<Spending>,
    /// What is read of the past.
    pub past: PastUse,
    /// Every channel, in the order of their names.
    pub channels: Vec<ChannelSnapshot>,
}

/// A channel at one moment.
#[derive(Debug, Clone)]
pub struct ChannelSnapshot {
    /// Its name.
    pub name: ChannelName,
    /// The kind of its source.
    pub kind: SourceKind,
    /// Whether its source is connected.
    pub source: SourceState,
    /// The newest position; none before the source was open for the first time.
    pub position: Option<Position>,
    /// Subscribers by tier; tier 0 are those without a place in the tree, 64 all from there on.
    pub peers_by_tier: BTreeMap<u32, usize>,
    /// Its counters.
    pub stats: ChannelStats,
}

impl ChannelSnapshot {
    /// How many subscribers it has.
    pub fn peers(&self) -> usize {
        self.peers_by_tier.values().sum()
    }
}

impl Snapshot {
    pub(super) fn take(hub: &Hub, kinds: &BTreeMap<ChannelName, SourceKind>, clock: &Clock) -> Self {
        let channel = |(name, kind): (&ChannelName, &SourceKind)| {
            Some(ChannelSnapshot {
                name: name.clone(),
                kind: *kind,
                source: hub.source_state(name)?.clone(),
                position: hub.position(name),
                peers_by_tier: hub.peers_by_tier(name)?.clone(),
                stats: hub.channel_stats(name)?,
            })
        };
        Self {
            time: clock.now(),
            uptime: clock.uptime(),
            sessions: hub.sessions(),
            readers: hub.readers(),
            hub: hub.stats().clone(),
            spending: hub.spending().into(),
            past: hub.past(),
            channels: kinds.iter().filter_map(channel).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{num::NonZeroU32, time::Instant};

    use tiercast_codec::{
        Hello, NodeKind, PROTOCOL_VERSION, Relay, SessionId, SigningKey, Since, Subscribe, ToHub, WireMessage,
    };
    use tiercast_mesh::{
        SourceUpdate,
        hub::{HubConfig, Input, Whereabouts},
    };

    use super::*;

    /// A hub with one channel and so many subscribers.
    fn hub(name: &ChannelName, peers: u64) -> Hub {
        let (now, config) = (Time(1_790_000_000_000_000), HubConfig::default());
        let mut hub = Hub::new(config, Box::new(SigningKey::from_seed(&[1; 32])), [2; 32]);
        hub.add_channel(now, name).unwrap();
        let opened = SourceUpdate::Opened(Position::new(7, -1));
        hub.handle(now, Input::Source(name, opened)).unwrap();
        for session in (1..=peers).map(SessionId) {
            let hello = Hello { id: 1, protocol: PROTOCOL_VERSION, client: "test".into(), resume: None };
            let relay = Some(Relay { node: NodeKind::Native, children_max: 4 });
            let (channel, window_bytes) = (name.clone(), NonZeroU32::MAX);
            let subscribe =
                Subscribe { id: 2, channel, since: Since::Now, window_bytes, relay, links: Vec::new() };
            hub.handle(now, Input::SessionOpened(session, Whereabouts::default())).unwrap();
            hub.handle(now, Input::SessionData(session, ToHub::Hello(hello).encode())).unwrap();
            hub.handle(now, Input::SessionData(session, ToHub::Subscribe(subscribe).encode())).unwrap();
        }
        hub
    }

    /// The shortest time that something took of a hundred times; other programs only ever add to it.
    fn shortest(mut something: impl FnMut()) -> Duration {
        let timed = |_| {
            let begun = Instant::now();
            something();
            begun.elapsed()
        };
        (0..100).map(timed).min().unwrap()
    }

    /// What a snapshot and a copy of the tree cost.
    fn cost(peers: u64) -> (Duration, Duration) {
        let name: ChannelName = "events".parse().unwrap();
        let (hub, clock) = (hub(&name, peers), Clock::start());
        let kinds = BTreeMap::from([(name.clone(), SourceKind::Embedded)]);
        let snapshot = || {
            let snapshot = Snapshot::take(&hub, &kinds, &clock);
            assert_eq!(snapshot.channels[0].peers() as u64, peers);
        };
        let tree = || assert_eq!(hub.topology(&name).unwrap().len() as u64, peers);
        (shortest(snapshot), shortest(tree))
    }

    #[test]
    fn regression_what_monitoring_asks_costs_the_hub_the_same_whatever_the_audience() {
        let ((few, few_tree), (many, many_tree)) = (cost(1_000), cost(50_000));
        println!("1,000 peers: a snapshot takes {few:.1?}, a copy of the tree {few_tree:.1?}");
        println!("50,000 peers: a snapshot takes {many:.1?}, a copy of the tree {many_tree:.1?}");
        assert!(many < few * 10, "{few:.1?} with 1,000 peers, {many:.1?} with 50,000");
    }
}
