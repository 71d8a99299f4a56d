//! When faults stop everybody gets everything.

use std::collections::BTreeMap;

use tiercast_codec::Position;
use tiercast_mesh::peer::Delivery;

use super::{Check, Verdict, View};
use crate::net::Given;

/// Looks at the end how far applications are.
#[derive(Debug, Default)]
pub struct Convergence {
    reached: BTreeMap<u64, Position>,
}

impl Check for Convergence {
    fn name(&self) -> &'static str {
        "convergence"
    }

    fn started(&mut self, node: u64, position: Position) {
        self.reached.entry(node).or_insert(position);
    }

    fn given(&mut self, given: &Given) -> Verdict {
        let (Delivery::Event { position, .. } | Delivery::Gap { to: position, .. }) = &given.delivery;
        self.reached.insert(given.node, *position);
        Ok(())
    }

    fn left(&mut self, node: u64) {
        self.reached.remove(&node);
    }

    fn end(&mut self, view: &View<'_>) -> Verdict {
        let head = view.net.position;
        // Whoever has next to no line cannot even ask.
        let mut others = view.net.nodes.keys().filter(|id| !view.excused.contains(id));
        match others.find(|id| self.reached.get(id) != Some(&head)) {
            Some(id) => {
                let reached = self.reached.get(id);
                Err(format!(
                    "node {id} was given what there is up to {reached:?} in the end, and not to {head}"
                ))
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, time::Duration};

    use super::*;
    use crate::{CHILD, Net, PARENT, bodies, pair};

    fn verdict_after(net: &mut Net, convergence: &mut Convergence, seconds: u64) -> Verdict {
        net.run_for(Duration::from_secs(seconds));
        for given in net.fresh.as_mut().map(std::mem::take).unwrap_or_default() {
            convergence.given(&given)?;
        }
        let excused = BTreeSet::new();
        convergence.end(&View { net, tree: &[], published: &[], excused: &excused })
    }

    #[test]
    fn one_who_was_not_given_everything_is_noticed() {
        let (mut net, mut convergence) = (pair(), Convergence::default());
        net.fresh = Some(Vec::new());
        for node in [PARENT, CHILD] {
            convergence.started(node, net.position);
        }
        assert_eq!(verdict_after(&mut net, &mut convergence, 0), Ok(()));
        net.publish(bodies(1));
        assert!(verdict_after(&mut net, &mut convergence, 0).unwrap_err().contains("in the end"));
        assert_eq!(verdict_after(&mut net, &mut convergence, 1), Ok(()));
        // The peer has it and its application does not read.
        net.set_reads(CHILD, false);
        net.publish(bodies(1));
        let wrong = verdict_after(&mut net, &mut convergence, 1).unwrap_err();
        assert!(net.is_caught_up() && wrong.contains(&format!("node {CHILD} ")), "{wrong}");
        net.set_reads(CHILD, true);
        assert_eq!(verdict_after(&mut net, &mut convergence, 0), Ok(()));
    }
}
