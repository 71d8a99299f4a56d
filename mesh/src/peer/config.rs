//! What can be set about a peer.

use std::{num::NonZeroU32, time::Duration};

use tiercast_codec::Relay;

use super::HavePace;
use crate::LogLimits;

/// A peer's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerConfig {
    /// Program and version, for the server's operator.
    pub client: String,
    /// What it does for others; `None`: it takes no part in the mesh, and nobody learns its address.
    pub relay: Option<Relay>,
    /// What it keeps for its children and for an application that is slow. Default 8 MiB and 16,384 frames,
    /// unvalidated.
    pub log: LogLimits,
    /// How far the server or a parent may run ahead of what the peer has said that it has, in bytes of frames; at most a
    /// quarter of the log. Default 256 KiB: a round trip of 100 ms at 20 Mbit/s.
    pub window_bytes: u32,
    /// Bytes of control messages that wait for the server, and again for each link; whoever lets them pile up is
    /// closed. Default 256 KiB.
    pub outbox_bytes: usize,
    /// A quiet link is pinged this often and closed after three times as long without a word. Default 2 s.
    pub link_heartbeat: Duration,
    /// A parent that was asked whether it is there, because its standby was ahead of it, has this long to answer. Default
    /// 2.5 s: two tries of SCTP.
    pub link_doubt: Duration,
    /// When the server says that the session of a parent has ended and there is no standby, the parent has this long to
    /// answer on its link, or two round trips of the link if that is longer. Default 100 ms.
    pub link_answer: Duration,
    /// A link that is not up after this long is given up. Default 10 s.
    pub link_setup: Duration,
    /// How long a standby may be ahead of the peer before that turns to it: as long as is usual, but no less than this,
    /// nor than one and a half round trips of the parent's link. Default 60 ms.
    pub lead_min: Duration,
    /// And no more than this. Default 600 ms.
    pub lead_max: Duration,
    /// A peer whose parent is silent pulls what a head shows to be missing; with each tier below the second it leaves
    /// those above so much longer to do that first, `lead_max` at most. Default 150 ms: about a hop.
    pub lead_tier: Duration,
    /// What a frame before its turn may be late before it is asked for again: as long as what was sent at once needs to
    /// come together. Default 10 ms.
    pub nack_wait: Duration,
    /// It is asked for once more after a round trip and a quarter of the parent's link, but not before this. Default 40 ms.
    pub nack_min: Duration,
    /// What a child may ask for again, in bytes of frames: so much at once, and half as much as the channel carries. Default
    /// 256 KiB: what may be under way.
    pub again_bytes: usize,
    /// If a standby that was asked has brought nothing for this long beyond its round trip, the server is asked. Default
    /// 300 ms.
    pub hedge: Duration,
    /// When a child is told how far this peer is, or has sent.
    pub have: HavePace,
    /// A server that does not answer `hello` for this long is given up. Default 10 s.
    pub welcome_timeout: Duration,
}

impl Default for PeerConfig {
    fn default() -> Self {
        Self {
            client: concat!("tiercast-mesh/", env!("CARGO_PKG_VERSION")).to_owned(),
            relay: None,
            log: LogLimits { bytes: 8 << 20, entries: 16_384 },
            window_bytes: 256 << 10,
            outbox_bytes: 256 << 10,
            link_heartbeat: Duration::from_secs(2),
            link_doubt: Duration::from_millis(2_500),
            link_answer: Duration::from_millis(100),
            link_setup: Duration::from_secs(10),
            lead_min: Duration::from_millis(60),
            lead_max: Duration::from_millis(600),
            lead_tier: Duration::from_millis(150),
            nack_wait: Duration::from_millis(10),
            nack_min: Duration::from_millis(40),
            again_bytes: 256 << 10,
            hedge: Duration::from_millis(300),
            have: HavePace::default(),
            welcome_timeout: Duration::from_secs(10),
        }
    }
}

impl PeerConfig {
    /// The window that those who feed this peer are given. The log must hold it beside the half of itself that the
    /// application may leave unread before anybody is held up, and the last frame, which may go beyond the window.
    pub(super) fn window(&self) -> NonZeroU32 {
        let quarter = u32::try_from(self.log.bytes / 4).unwrap_or(u32::MAX);
        NonZeroU32::new(self.window_bytes.min(quarter)).unwrap_or(NonZeroU32::MIN)
    }
}
