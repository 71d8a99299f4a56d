//! Nobody is left without events for long: somebody could always feed it, if it is but the server.

use std::time::Duration;

use super::{Check, Verdict, View};
use crate::net::channel;

/// Nobody's next event may be older than this.
pub const STARVED: Duration = Duration::from_secs(45);

/// Looks for those who lack what was published long ago.
#[derive(Debug)]
pub struct Starvation;

impl Check for Starvation {
    fn name(&self) -> &'static str {
        "starvation"
    }

    fn look(&mut self, view: &View<'_>) -> Verdict {
        for (id, node) in view.net.nodes.iter().filter(|(id, _)| !view.excused.contains(id)) {
            let Some(position) = node.peer.position(&channel()) else { continue };
            let Some(published) = view.published.get((position.offset + 1) as usize) else { continue };
            let lacks_since = view.net.now.since(*published);
            if lacks_since > STARVED {
                return Err(format!(
                    "node {id} has {position} and lacks what was published {lacks_since:?} ago"
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{CHILD, PARENT, bodies, pair};

    #[test]
    fn one_who_gets_nothing_any_more_is_noticed() {
        let mut net = pair();
        net.tamper = Some(Box::new(|from, _, bytes| (from != PARENT || bytes.len() < 100).then_some(bytes)));
        // Nor can it ask the server.
        net.deaf.insert(CHILD);
        net.publish(bodies(1));
        let published = [net.now];
        let mut verdict = |after| {
            net.run_for(after);
            let excused = BTreeSet::new();
            Starvation.look(&View { net: &net, tree: &[], published: &published, excused: &excused })
        };
        assert!(verdict(Duration::from_secs(40)).is_ok());
        let wrong = verdict(Duration::from_secs(10)).unwrap_err();
        assert!(wrong.contains(&format!("node {CHILD} ")), "{wrong}");
    }
}
