//! What the hub looks like at one moment: for metrics, readiness and the list of channels.

use std::{collections::BTreeMap, time::Duration};

use tiercast_codec::{ChannelName, Position};
use tiercast_mesh::{
    Hub, Time,
    hub::{ChannelStats, HubStats, SourceState},
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
    /// Counters of the hub as a whole.
    pub hub: HubStats,
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
    /// Subscribers by tier; tier 0 are those without a place in the tree.
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
            let mut peers_by_tier = BTreeMap::new();
            for node in hub.topology(name)? {
                *peers_by_tier.entry(node.tier).or_default() += 1;
            }
            Some(ChannelSnapshot {
                name: name.clone(),
                kind: *kind,
                source: hub.source_state(name)?.clone(),
                position: hub.position(name),
                peers_by_tier,
                stats: hub.channel_stats(name)?,
            })
        };
        Self {
            time: clock.now(),
            uptime: clock.uptime(),
            sessions: hub.sessions(),
            hub: hub.stats().clone(),
            channels: kinds.iter().filter_map(channel).collect(),
        }
    }
}
