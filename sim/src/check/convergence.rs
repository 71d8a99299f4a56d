//! When faults stop everybody gets everything.

use tiercast_codec::Position;

use super::{Check, Verdict, View, reached::Reached};
use crate::net::Given;

/// Looks at the end how far applications are.
#[derive(Debug, Default)]
pub struct Convergence {
    reached: Reached,
}

impl Check for Convergence {
    fn name(&self) -> &'static str {
        "convergence"
    }

    fn started(&mut self, node: u64, position: Position) {
        self.reached.started(node, position);
    }

    fn given(&mut self, given: &Given) -> Verdict {
        self.reached.given(given);
        Ok(())
    }

    fn left(&mut self, node: u64) {
        self.reached.left(node);
    }

    fn end(&mut self, view: &View<'_>) -> Verdict {
        let head = view.net.position;
        // Whoever has next to no line cannot even ask.
        let mut others = view.net.nodes.keys().filter(|id| !view.excused.contains(id));
        match others.find(|id| self.reached.of(**id) != Some(head)) {
            Some(id) => {
                let reached = self.reached.of(*id);
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
