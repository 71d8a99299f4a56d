//! When faults stop everybody gets everything.

use super::{Check, Verdict, View};
use crate::net::channel;

/// Looks at the end.
#[derive(Debug)]
pub struct Convergence;

impl Check for Convergence {
    fn name(&self) -> &'static str {
        "convergence"
    }

    fn end(&mut self, view: &View<'_>) -> Verdict {
        let head = view.net.position;
        let has_all = |position| position == Some(head);
        // Whoever has next to no line cannot even ask.
        let mut others = view.net.nodes.iter().filter(|(id, _)| !view.excused.contains(id));
        match others.find(|(_, node)| !has_all(node.peer.position(&channel()))) {
            Some((id, node)) => {
                let position = node.peer.position(&channel());
                Err(format!("node {id} has {position:?} in the end, and not {head}"))
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, time::Duration};

    use super::*;
    use crate::{CHILD, bodies, pair};

    #[test]
    fn one_who_has_not_got_everything_is_noticed() {
        let mut net = pair();
        let verdict = |net: &crate::Net| {
            let excused = BTreeSet::new();
            Convergence.end(&View { net, tree: &[], published: &[], excused: &excused })
        };
        net.publish(bodies(1));
        assert!(verdict(&net).unwrap_err().contains("in the end"));
        net.run_for(Duration::from_secs(1));
        assert_eq!(verdict(&net), Ok(()));
        net.freeze(CHILD);
        net.publish(bodies(1));
        net.run_for(Duration::from_secs(1));
        assert!(verdict(&net).is_err());
    }
}
