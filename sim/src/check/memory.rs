//! Logs stay within their bounds.

use super::{Check, Verdict, View};
use crate::net::channel;

/// Looks at each peer's log.
#[derive(Debug)]
pub struct Memory;

impl Check for Memory {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn look(&mut self, view: &View<'_>) -> Verdict {
        for (id, node) in &view.net.nodes {
            let (bytes, max) = node.peer.log_bytes(&channel());
            if bytes > max {
                return Err(format!("the log of node {id} has {bytes} bytes, {max} are allowed"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, time::Duration};

    use tiercast_mesh::{LogLimits, peer::PeerConfig};

    use super::*;
    use crate::{CHILD, noise, pair_with, relay, roots};

    #[test]
    fn a_log_that_is_larger_than_it_may_be_is_noticed() {
        // The newest frame stays, however large it is.
        let tiny = PeerConfig { log: LogLimits { bytes: 200, entries: 4 }, ..relay(0) };
        let mut net = pair_with(roots(1), relay(4), tiny);
        let verdict = |net: &crate::Net| {
            let excused = BTreeSet::new();
            Memory.look(&View { net, tree: &[], published: &[], excused: &excused })
        };
        assert_eq!(verdict(&net), Ok(()));
        net.publish([noise(1, 1_000)]);
        net.run_for(Duration::from_secs(1));
        let wrong = verdict(&net).unwrap_err();
        assert!(wrong.contains(&format!("node {CHILD} ")), "{wrong}");
    }
}
