//! What can be set about the hub.

use std::time::Duration;

use tiercast_codec::{
    IceServer,
    limits::{SIGNAL_CANDIDATE_BYTES_MAX, SIGNAL_CANDIDATES_MAX, SIGNAL_DESCRIPTION_BYTES_MAX},
};

use crate::{BatchLimits, LogLimits};

/// The hub's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubConfig {
    /// Which events share a frame.
    pub batch: BatchLimits,
    /// What a channel keeps for those who come back or lag. Default 64 MiB and 65,536 frames, unvalidated.
    pub log: LogLimits,
    /// What is fetched from sources for those who are behind the log.
    pub past: PastLimits,
    /// How many peers the server feeds for good.
    pub tier1: Tier1,
    /// Bytes of frames a second for those whom the server feeds and who are not in tier 1; beyond that they take turns, those
    /// with children first. Default 64 MiB, about half of a gigabit line.
    pub feed_bytes: u64,
    /// Most plain readers at a time. Default 100,000, unvalidated.
    pub readers_max: usize,
    /// A newcomer that takes no part in the mesh is told to come back while another such waits longer than this for its turn.
    /// Default 2 s.
    pub feed_wait: Duration,
    /// A quiet session is pinged this often and closed after three times as long without a word. 1 ms to 1 h. Default 10 s.
    pub heartbeat: Duration,
    /// A channel without frames says this often how far it is. Default 1 s.
    pub head_interval: Duration,
    /// A link that is not up after this long is given up. Default 10 s: connecting takes 10 ms to 400 ms
    /// on an idle machine.
    pub link_setup: Duration,
    /// After this many failed links a peer stays with the server for a while, and a parent that so many children in a
    /// row could not reach, or have left because it brought too little, is spared for a while. Default 3.
    pub link_tries: u32,
    /// A link that breaks sooner than this counts as one that failed. Default 10 s.
    pub link_proven: Duration,
    /// The first such while; it doubles each time, to at most 32 times this. Default 30 s.
    pub link_retry: Duration,
    /// A peer that has children gets a standby this long after it has a parent, one that has none after twice as long. At
    /// least 1 ms. Default 2 s.
    pub standby: Duration,
    /// A peer that is accused of silence is given this long to answer. Default 1 s.
    pub look: Duration,
    /// A parent that failed a child is not given to it again for this long. Default 60 s.
    pub parent_refused: Duration,
    /// Largest SDP of an offer or answer that is passed on, in bytes; each end of a link may send one of them. Like the
    /// next two it is the least that a peer may count on, and beyond it the link ends. Default 16 KiB.
    pub signal_description_bytes: usize,
    /// Largest candidate that is passed on, in bytes, its media section included. Default 512.
    pub signal_candidate_bytes: usize,
    /// Most candidates that are passed on from each end of a link. Default 64: one per address and server.
    pub signal_candidates_max: u32,
    /// A peer whose session ends without a goodbye keeps its place and its links for so long, and so does one that
    /// others name as the other end of their links. Default 5 s: ten times the first ceiling of the delay before peers
    /// connect again. Zero: nobody is waited for.
    pub resume: Duration,
    /// Most children of one peer, whatever it offers. Default 64.
    pub children_max: u16,
    /// Most children of one that has not shown yet that it can feed them: one more for each child that it has fed for
    /// `link_proven`, half as many when too many have left it. Default 8: as many as a native peer offers unasked.
    pub children_unproven: u16,
    /// Nobody is placed below this tier: who finds no parent above it is fed by the server, and others go below it.
    /// Default 16: enough for a million peers with two places each below 64 roots; of 1,000 with one place each the
    /// server feeds 63.
    pub tiers_max: u32,
    /// At most one peer is given a better place in this time. Default 250 ms.
    pub improve: Duration,
    /// A peer that has been there for so long may take the place of one in tier 1 that has half of its places or less.
    /// Default 60 s.
    pub tier1_after: Duration,
    /// A parent that is accused by a child of sending what is malformed or not signed by the server gets no children and no place
    /// in tier 1 for this long; it doubles each time, to at most 32 times this. Default 10 min.
    pub suspension: Duration,
    /// So many must accuse it who do not come from the same network. Default 2: one alone may lie, and has many sessions.
    pub accusers_min: usize,
    /// Accusations from one network that are believed; they are forgotten when there was none for `suspension`. Default
    /// 3, so that a liar cannot empty the tree.
    pub accusations_max: u32,
    /// At most this share of the relays is without children at a time because they were accused or could not be reached, but
    /// always one. Default 25 percent.
    pub suspended_percent: u32,
    /// Most sessions; the next one is refused. Default 65,536.
    pub sessions_max: usize,
    /// Bytes of control messages that wait for one session, signals apart; one that lets them pile up is closed.
    /// Default 256 KiB, unvalidated.
    pub outbox_bytes: usize,
    /// Bytes of signals that wait for one session. Its neighbours send them, so it is not closed for them: a link whose
    /// next signal finds no room ends. Default 512 KiB: room for the negotiations of 64 children at once, 8 KiB each.
    pub outbox_signal_bytes: usize,
    /// Most subscriptions of one session. Default 16.
    pub subscriptions_max: usize,
    /// STUN and TURN servers that peers are told of. Default none.
    pub ice_servers: Vec<IceServer>,
}

/// How the past of channels is fetched from their sources, in pages that all who read there share. Unvalidated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PastLimits {
    /// Most pages that are being fetched at a time, of all channels together. Default 4.
    pub fetches_max: usize,
    /// Most events of a page. Default 1,024.
    pub page_events: usize,
    /// Bytes of events with which a page is full. Default 1 MiB.
    pub page_bytes: usize,
    /// Bytes of the pages that are kept of each channel; one page is kept, however large. The least used go first. Default
    /// 16 MiB.
    pub bytes: usize,
    /// Whoever wants to begin behind the log is told to come back while another waits longer than this for its page.
    /// Default 10 s.
    pub wait: Duration,
}

impl Default for PastLimits {
    fn default() -> Self {
        Self {
            fetches_max: 4,
            page_events: 1_024,
            page_bytes: 1 << 20,
            bytes: 16 << 20,
            wait: Duration::from_secs(10),
        }
    }
}

/// How many peers the server feeds for good: about N^0.4 of N peers, within bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tier1 {
    /// At least so many, as soon as there are so many peers.
    pub min: usize,
    /// At most so many.
    pub max: usize,
}

impl Default for HubConfig {
    fn default() -> Self {
        Self {
            batch: BatchLimits::default(),
            log: LogLimits { bytes: 64 << 20, entries: 65_536 },
            past: PastLimits::default(),
            tier1: Tier1 { min: 2, max: 256 },
            feed_bytes: 64 << 20,
            readers_max: 100_000,
            feed_wait: Duration::from_secs(2),
            heartbeat: Duration::from_secs(10),
            head_interval: Duration::from_secs(1),
            link_setup: Duration::from_secs(10),
            link_tries: 3,
            link_proven: Duration::from_secs(10),
            link_retry: Duration::from_secs(30),
            standby: Duration::from_secs(2),
            look: Duration::from_secs(1),
            parent_refused: Duration::from_secs(60),
            signal_description_bytes: SIGNAL_DESCRIPTION_BYTES_MAX,
            signal_candidate_bytes: SIGNAL_CANDIDATE_BYTES_MAX,
            signal_candidates_max: SIGNAL_CANDIDATES_MAX,
            resume: Duration::from_secs(5),
            children_max: 64,
            children_unproven: 8,
            tiers_max: 16,
            improve: Duration::from_millis(250),
            tier1_after: Duration::from_secs(60),
            suspension: Duration::from_secs(600),
            accusers_min: 2,
            accusations_max: 3,
            suspended_percent: 25,
            sessions_max: 65_536,
            outbox_bytes: 256 << 10,
            outbox_signal_bytes: 512 << 10,
            subscriptions_max: 16,
            ice_servers: Vec::new(),
        }
    }
}

impl Tier1 {
    /// How many of `peers` peers, by N^0.4: the smallest r with r^5 >= N^2.
    pub fn of(self, peers: usize) -> usize {
        let square = (peers as u128).pow(2);
        let root = (1..self.max).find(|root| (*root as u128).pow(5) >= square).unwrap_or(self.max);
        root.clamp(self.min, self.max.max(self.min))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tier_1_grows_with_the_0_4th_power_of_the_peers_within_its_bounds() {
        let tier1 = Tier1 { min: 2, max: 64 };
        let sizes: Vec<_> = [0, 1, 10, 40, 1_000, 10_000, 1_000_000].map(|peers| tier1.of(peers)).into();
        assert_eq!(sizes, [2, 2, 3, 5, 16, 40, 64]);
        assert_eq!(Tier1 { min: 4, max: 4 }.of(40), 4);
    }
}
