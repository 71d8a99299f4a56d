//! Nobody is left without events for long: somebody could always feed it, if it is but the server.

use std::{collections::BTreeMap, time::Duration};

use tiercast_codec::Position;
use tiercast_mesh::{Time, hub::TreeNode};

use super::{Check, Verdict, View, capacity::takes};
use crate::net::channel;

/// Nobody's next event may be older than this; for whom a fault excused until lately, not since then.
pub const STARVED: Duration = Duration::from_secs(45);

/// Nor older than this while somebody has the event and a place free.
pub const STARVED_BESIDE_IDLE: Duration = Duration::from_secs(15);

/// Looks for those who lack what was published long ago.
#[derive(Debug, Default)]
pub struct Starvation {
    /// When those who had an excuse were last seen to have it.
    excused: BTreeMap<u64, Time>,
}

impl Check for Starvation {
    fn name(&self) -> &'static str {
        "starvation"
    }

    fn look(&mut self, view: &View<'_>) -> Verdict {
        self.excused.extend(view.excused.iter().map(|id| (*id, view.net.now)));
        for (id, node) in view.net.nodes.iter().filter(|(id, _)| !view.excused.contains(id)) {
            let Some(position) = node.peer.position(&channel()) else { continue };
            let Some(published) = view.published.get((position.offset + 1) as usize) else { continue };
            let begins = self.excused.get(id).map_or(*published, |excused| *published.max(excused));
            let starved_for = view.net.now.since(begins);
            let idle = (starved_for > STARVED_BESIDE_IDLE).then(|| idle(view, position)).flatten();
            if starved_for > STARVED || idle.is_some() {
                let age = view.net.now.since(*published);
                let beside = idle.map(|other| format!(", while node {other} has it and a place free"));
                let beside = beside.unwrap_or_default();
                return Err(format!(
                    "node {id} has {position} and lacks what was published {age:?} ago{beside}"
                ));
            }
        }
        Ok(())
    }

    fn left(&mut self, node: u64) {
        self.excused.remove(&node);
    }
}

/// One who could feed somebody that has come so far.
fn idle(view: &View<'_>, position: Position) -> Option<u64> {
    let has_place = |node: &&TreeNode| node.children < takes(node);
    let open = view.tree.iter().filter(has_place).filter_map(|node| view.net.node_of(node.peer));
    let has_more = |node: &u64| view.net.nodes[node].peer.position(&channel()) > Some(position);
    open.filter(|node| !view.excused.contains(node)).find(has_more)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{CHILD, Net, PARENT, bodies, check, pair};

    /// A child that gets nothing from its parent, nor from the server; and when something was published.
    fn cut_off() -> (Net, [Time; 1]) {
        let mut net = pair();
        net.tamper = Some(Box::new(|from, _, bytes| (from != PARENT || bytes.len() < 100).then_some(bytes)));
        net.deaf.insert(CHILD);
        net.publish(bodies(1));
        let published = [net.now];
        (net, published)
    }

    #[test]
    fn one_who_gets_nothing_is_noticed_sooner_while_somebody_has_it_and_a_place_free() {
        let (mut net, published) = cut_off();
        let mut starvation = Starvation::default();
        let mut verdict = |after, excused: &[u64]| {
            net.run_for(Duration::from_secs(after));
            let excused = BTreeSet::from_iter(excused.iter().copied());
            check::look_at(&net, &published, &excused, |view| starvation.look(view))
        };
        assert_eq!(verdict(14, &[]), Ok(()));
        assert_eq!(verdict(10, &[PARENT]), Ok(()), "it could not help");
        let wrong = verdict(1, &[]).unwrap_err();
        assert!(wrong.ends_with(&format!("while node {PARENT} has it and a place free")), "{wrong}");
    }

    #[test]
    fn one_who_gets_nothing_any_more_is_noticed() {
        let (mut net, published) = cut_off();
        let mut starvation = Starvation::default();
        let mut verdict = |after, excused: &[u64]| {
            net.run_for(Duration::from_secs(after));
            let excused = BTreeSet::from_iter(excused.iter().copied());
            starvation.look(&View { net: &net, tree: &[], published: &published, excused: &excused })
        };
        assert_eq!(verdict(40, &[]), Ok(()));
        assert_eq!(verdict(10, &[CHILD]), Ok(()), "it stands still");
        assert_eq!(verdict(40, &[]), Ok(()), "it has had 40 s since");
        let wrong = verdict(10, &[]).unwrap_err();
        assert!(wrong.contains(&format!("node {CHILD} ")), "{wrong}");
    }
}
