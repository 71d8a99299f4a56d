//! What an application asks for: how its peer takes part, and what it wants of a channel.

use tiercast_codec::{NodeKind, Pattern, Relay, Since};
use tiercast_mesh::{LogLimits, peer::PeerConfig};

use crate::link::LinkSettings;

/// How a peer takes part.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// Most children that this peer serves. Default 8. With 0 it has a parent, but relays nothing.
    pub children_max: u16,
    /// Whether it takes part in the mesh. If not, the server feeds it and nobody learns its address.
    /// Default true.
    pub relay: bool,
    /// What it keeps of a channel for its children, and for a slow application. Default 8 MiB.
    pub log_bytes: usize,
    /// How far those who feed it may run ahead of what it has said that it has, in bytes of events: a slow application
    /// costs them so much. At most a quarter of the log. Default 256 KiB: a round trip of 100 ms at 20 Mbit/s.
    pub window_bytes: u32,
    /// How it connects to other peers.
    pub links: LinkSettings,
    /// Program and version, for the server's operator.
    pub client: String,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            children_max: 8,
            relay: true,
            log_bytes: PeerConfig::default().log.bytes,
            window_bytes: PeerConfig::default().window_bytes,
            links: LinkSettings::default(),
            client: concat!("peer-client/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

impl ClientOptions {
    pub(crate) fn peer_config(&self) -> PeerConfig {
        let default = PeerConfig::default();
        PeerConfig {
            client: self.client.clone(),
            relay: self.relay.then_some(Relay { node: NodeKind::Native, children_max: self.children_max }),
            log: LogLimits { bytes: self.log_bytes, ..default.log },
            window_bytes: self.window_bytes,
            link_setup: self.links.connect_timeout,
            ..default
        }
    }
}

/// What an application wants of a channel.
#[derive(Debug, Clone, Default)]
pub struct SubscribeOptions {
    /// Where to start. Default: now.
    pub since: Since,
    /// Topic patterns, of which an event must match one. Default: none, which lets every event through.
    pub patterns: Vec<Pattern>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peer_gets_the_limits_that_were_asked_for() {
        let options = ClientOptions { log_bytes: 1 << 20, window_bytes: 1 << 19, ..ClientOptions::default() };
        let config = options.peer_config();
        assert_eq!((config.log.bytes, config.window_bytes), (1 << 20, 1 << 19));
    }
}
