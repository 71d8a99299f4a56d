//! Logs and buffers stay within their bounds, the hub's and everybody's.

use tiercast_mesh::Held;

use super::{Check, Verdict, View};

/// Looks at what the hub and each peer hold.
#[derive(Debug)]
pub struct Memory;

impl Check for Memory {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn look(&mut self, view: &View<'_>) -> Verdict {
        within("the hub", view.net.hub.held())?;
        view.net.nodes.iter().try_for_each(|(id, node)| within(&format!("node {id}"), node.peer.held()))
    }
}

fn within(who: &str, mut held: impl Iterator<Item = Held>) -> Verdict {
    match held.find(|held| held.bytes > held.bytes_max) {
        Some(Held { what, bytes, bytes_max }) => {
            Err(format!("{who} holds {bytes} bytes in its {what}, {bytes_max} are allowed"))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, time::Duration};

    use tiercast_mesh::{LogLimits, hub::HubConfig, peer::PeerConfig};

    use super::*;
    use crate::{CHILD, Net, PARENT, bodies, noise, pair, pair_with, relay, roots};

    /// The newest frame stays, however large it is.
    const TINY: LogLimits = LogLimits { bytes: 200, entries: 4 };

    fn verdict(net: &Net) -> Verdict {
        let excused = BTreeSet::new();
        Memory.look(&View { net, tree: &[], published: &[], excused: &excused })
    }

    fn wrong_after_a_large_event(hub: HubConfig, child: PeerConfig) -> String {
        let mut net = pair_with(hub, relay(4), child);
        assert_eq!(verdict(&net), Ok(()));
        net.publish([noise(1, 1_000)]);
        net.run_for(Duration::from_secs(1));
        verdict(&net).unwrap_err()
    }

    #[test]
    fn a_log_that_is_larger_than_it_may_be_is_noticed() {
        let wrong = wrong_after_a_large_event(roots(1), PeerConfig { log: TINY, ..relay(0) });
        assert!(
            wrong.starts_with(&format!("node {CHILD} holds ")) && wrong.contains(" in its log, "),
            "{wrong}"
        );
        let wrong = wrong_after_a_large_event(HubConfig { log: TINY, ..roots(1) }, relay(0));
        assert!(wrong.starts_with("the hub holds "), "{wrong}");
    }

    #[test]
    fn what_waits_for_its_turn_is_looked_at_as_well() {
        let mut net = pair();
        let mut is_first = true;
        net.tamper = Some(Box::new(move |from, _, bytes| {
            let is_lost = from == PARENT && bytes.len() > 100 && std::mem::take(&mut is_first);
            (!is_lost).then_some(bytes)
        }));
        let waits = |net: &Net| {
            let held = net.nodes[&CHILD].peer.held();
            held.filter(|held| held.what == "ahead").map(|held| held.bytes).sum::<usize>()
        };
        for body in bodies(2) {
            net.publish([body]);
            net.run_for(Duration::from_millis(30));
        }
        net.run_until("the second waits for the first", |net| waits(net) > 0);
        assert_eq!(verdict(&net), Ok(()));
        let tight = |held: Held| Held { bytes_max: 0, ..held };
        let wrong =
            within("one", net.nodes[&CHILD].peer.held().filter(|held| held.what == "ahead").map(tight));
        assert!(wrong.unwrap_err().contains(" in its ahead, 0 are allowed"));
        net.run_until("caught up", Net::is_caught_up);
        assert_eq!(waits(&net), 0);
    }
}
