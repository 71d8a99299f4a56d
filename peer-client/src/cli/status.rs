//! What `subscribe` says on stderr about the peer. What is tried again and again in vain is said once.

use std::collections::BTreeSet;

use tiercast_peer_client::News;

/// Puts news into words.
#[derive(Debug, Default)]
pub(super) struct Status {
    /// Why there is no connection, as it was said; of several servers each has its reason.
    said: BTreeSet<String>,
}

impl Status {
    /// The line for this, if it tells something new.
    pub(super) fn line(&mut self, news: &News) -> Option<String> {
        Some(match news {
            News::Connected { peer, server } => {
                self.said.clear();
                format!("connected to {server} as peer {peer}")
            }
            News::Disconnected { reason } => {
                if !self.said.insert(reason.clone()) {
                    return None;
                }
                format!("not connected: {reason} (trying again until it works)")
            }
            News::Placed { tier: 0, .. } => "fed by the server, relaying nothing".to_owned(),
            News::Placed { tier, .. } => format!("in tier {tier}"),
            News::Parent { parent: Some(parent), .. } => format!("fed by peer {parent}"),
            News::Parent { parent: None, .. } => "fed by the server".to_owned(),
            News::Children { count, .. } => format!("relaying to {count}"),
            News::LinkLost { other, code } => format!("link to peer {other} closed: {code}"),
            // Of a connection that is not tried again the subscription ends with the same reason.
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disconnected(reason: &str) -> News {
        News::Disconnected { reason: reason.to_owned() }
    }

    #[test]
    fn a_reason_is_said_once_until_it_changes_or_the_peer_was_connected() {
        let mut status = Status::default();
        let line = status.line(&disconnected("refused")).expect("new");
        assert!(line.contains("refused") && line.contains("trying again"), "{line}");
        assert_eq!(status.line(&disconnected("refused")), None);
        assert!(status.line(&disconnected("no answer")).is_some());
        assert_eq!(status.line(&disconnected("refused")), None, "the other server");
        let connected =
            News::Connected { peer: tiercast_codec::PeerId(7), server: "h:1".parse().expect("a URL") };
        assert!(status.line(&connected).is_some());
        assert!(status.line(&disconnected("no answer")).is_some());
    }
}
