//! Nobody has more children than it takes.

use super::{Check, Verdict, View};

/// Looks at each peer's children.
#[derive(Debug)]
pub struct Capacity;

impl Check for Capacity {
    fn name(&self) -> &'static str {
        "capacity"
    }

    fn look(&mut self, view: &View<'_>) -> Verdict {
        let takes = |children: Option<u16>| usize::from(children.unwrap_or(0));
        match view.tree.iter().find(|node| node.children > takes(node.relay.map(|relay| relay.children_max)))
        {
            Some(node) => Err(format!("{node:?} has too many children")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use tiercast_codec::{NodeKind, PeerId, Relay};
    use tiercast_mesh::hub::{Place, TreeNode};

    use super::*;
    use crate::{CALM, Net, roots};

    #[test]
    fn one_child_too_many_is_noticed() {
        let net = Net::new(1, roots(1), CALM);
        let verdict = |children| {
            let relay = Some(Relay { node: NodeKind::Native, children_max: 2 });
            let node = TreeNode {
                peer: PeerId(1),
                parent: None,
                standby: None,
                place: Place::Root,
                tier: 1,
                relay,
                children,
            };
            let excused = BTreeSet::new();
            Capacity.look(&View { net: &net, tree: &[node], published: &[], excused: &excused })
        };
        assert!(verdict(2).is_ok());
        assert!(verdict(3).is_err());
    }
}
