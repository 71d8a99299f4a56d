//! What can be asked of the hub.

use std::collections::BTreeMap;

use tiercast_codec::{ChannelName, PeerId, Position, SessionId};

use super::{
    ChannelStats, Class, Hub, HubStats, SourceState, Spending, TreeNode, channel::Channel, session::Session,
};
use crate::{FrameLog, Held};

impl Hub {
    /// The position of the newest event that was taken from the source.
    pub fn position(&self, name: &ChannelName) -> Option<Position> {
        self.channel(name)?.position()
    }

    /// Whether the channel's source is connected and has caught up with what was published.
    pub fn is_current(&self, name: &ChannelName) -> bool {
        self.channel(name).is_some_and(Channel::is_current)
    }

    /// Whether the channel's source is connected.
    pub fn source_state(&self, name: &ChannelName) -> Option<&SourceState> {
        Some(&self.channel(name)?.source)
    }

    /// The channels.
    pub fn channels(&self) -> impl Iterator<Item = &ChannelName> {
        self.channels.values().map(|channel| &channel.name)
    }

    /// How many sessions are open.
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// Whose session it is, once that is known.
    pub fn peer(&self, session: SessionId) -> Option<PeerId> {
        self.sessions.get(&session)?.peer
    }

    /// The hub's counters.
    pub fn stats(&self) -> &HubStats {
        &self.stats
    }

    /// A channel's counters.
    pub fn channel_stats(&self, name: &ChannelName) -> Option<ChannelStats> {
        Some(self.channel(name)?.stats)
    }

    /// What the server spends on feeding peers, by class.
    pub fn spending(&self) -> [Spending; Class::ALL.len()] {
        self.budget.spending(self.now)
    }

    /// How many subscribers of a channel stand in each tier, 0 for those without a place; from tier 64 on they are
    /// counted together. It is kept as peers come and go: asking costs nothing that grows with the audience.
    pub fn peers_by_tier(&self, name: &ChannelName) -> Option<&BTreeMap<u32, usize>> {
        Some(self.channel(name)?.tree.peers_by_tier())
    }

    /// A channel's tree. It is a copy: asking takes time in proportion to the audience, so ask seldom.
    pub fn topology(&self, name: &ChannelName) -> Option<Vec<TreeNode>> {
        Some(self.channel(name)?.tree.nodes().collect())
    }

    /// What the hub keeps in memory, beside its bounds.
    pub fn held(&self) -> impl Iterator<Item = Held> + '_ {
        let logs = self.channels.values().filter_map(|channel| channel.log.as_ref()).map(FrameLog::held);
        let logs = logs.chain(self.channels.values().map(|channel| channel.past.held()));
        logs.chain(self.sessions.values().flat_map(Session::held))
    }
}
