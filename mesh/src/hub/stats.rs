//! What the hub counts.

use std::{collections::BTreeMap, time::Duration};

use tiercast_codec::Code;

/// Counters of one channel, since the hub was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ChannelStats {
    /// Events taken from the source.
    pub events: u64,
    /// Events among them that no frame can hold; a gap took the place of each.
    pub unfit: u64,
    /// Frames sealed.
    pub frames: u64,
    /// Pages of the past that the source gave.
    pub pages: u64,
    /// Times that it gave none; it is asked again.
    pub pages_failed: u64,
    /// Events of frames handed to sessions.
    pub data_events: u64,
    /// Bytes of those frames.
    pub data_bytes: u64,
    /// Bytes of those frames that were pulled by peers whose parents were late.
    pub pulled_bytes: u64,
    /// Bytes of everything else about the channel handed to sessions: heads, gaps, the tree, signaling.
    pub control_bytes: u64,
    /// Bytes of the same frames if every subscriber had been fed by the server.
    pub direct_data_bytes: u64,
    /// Gaps that subscribers were told of.
    pub gaps: u64,
    /// Links that were asked for.
    pub links: u64,
    /// Those of them whose ends come from the same network.
    pub links_in_one_network: u64,
    /// Those of the others of whose ends it is known where they are.
    pub links_located: u64,
    /// How long these are together, along the surface of the earth.
    pub links_km: u64,
    /// Links among them that share the connection of another.
    pub links_shared: u64,
    /// Times that a peer that had a place was given a better one.
    pub moves: u64,
    /// Links that were given up or broke.
    pub links_lost: u64,
    /// Links of which the child said that its parent sent a bad signature or malformed data, believed or not.
    pub accusations: u64,
    /// Relays that were taken out of service after that; not every accusation is believed.
    pub suspensions: u64,
    /// Signals that were passed on from one end of a link to the other.
    pub signals: u64,
    /// Signals that were not: too large, too many for one link, not being read, or by one who is not an end of it.
    pub signals_dropped: u64,
    /// Times that a peer had to be fed by the server again.
    pub orphans: u64,
    /// Links that a hub before this one had set up, or that outlived the session of an end, and that were taken over.
    pub adopted: u64,
}

/// The past of all channels at one moment: what is read of it, and who waits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PastUse {
    /// Pages that are being fetched.
    pub fetching: usize,
    /// Those who wait for a page.
    pub waiting: usize,
    /// For how long the first of them has waited.
    pub waited: Duration,
    /// Bytes of the pages that are kept.
    pub bytes: usize,
}

/// Counters of the hub as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HubStats {
    /// Sessions opened.
    pub sessions_opened: u64,
    /// Sessions among them that went on as the peer of an earlier one.
    pub resumed: u64,
    /// Sessions that the hub closed, by code.
    pub closed: BTreeMap<Code, u64>,
    /// Messages that could not be decoded.
    pub malformed: u64,
    /// Bytes of control messages that are about no channel.
    pub control_bytes: u64,
    /// Peers that were asked whether they live, because somebody called them silent.
    pub looks: u64,
    /// Those of them that did not answer.
    pub found_dead: u64,
}
