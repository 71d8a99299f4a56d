//! Tiers only go down: a parent's tier is one less than its child's, so there is no cycle; and the hub counts its peers
//! right.

use std::collections::{BTreeMap, BTreeSet};

use super::{Check, Verdict, View};
use crate::net::channel;

/// Looks at the whole tree.
#[derive(Debug)]
pub struct Tree;

impl Check for Tree {
    fn name(&self) -> &'static str {
        "tree"
    }

    fn look(&mut self, view: &View<'_>) -> Verdict {
        let nodes: BTreeMap<_, _> = view.tree.iter().map(|node| (node.peer, node)).collect();
        let mut tiers = BTreeMap::new();
        // Those of whom it is known that they stand below no cycle.
        let mut sound = BTreeSet::new();
        for node in nodes.values() {
            *tiers.entry(node.tier.min(64)).or_default() += 1;
            let mut way = BTreeSet::from([node.peer]);
            let mut next = node.parent;
            while let Some(parent) = next.filter(|parent| !sound.contains(parent)) {
                if !way.insert(parent) {
                    return Err(format!("{node:?} stands in a cycle"));
                }
                next = nodes.get(&parent).and_then(|parent| parent.parent);
            }
            sound.extend(way);
            let above = node.parent.and_then(|parent| nodes.get(&parent)).filter(|parent| parent.tier > 0);
            if above.is_some_and(|parent| parent.tier + 1 != node.tier) {
                return Err(format!("{node:?} stands below {above:?}"));
            }
        }
        let counted = view.net.hub.peers_by_tier(&channel()).cloned().unwrap_or_default();
        if counted == tiers {
            Ok(())
        } else {
            Err(format!("the hub counts {counted:?}, there are {tiers:?}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use tiercast_codec::PeerId;
    use tiercast_mesh::hub::{Place, TreeNode};

    use super::*;
    use crate::{CALM, Net, roots};

    fn node(peer: u64, parent: Option<u64>, tier: u32) -> TreeNode {
        let parent = parent.map(PeerId);
        TreeNode {
            peer: PeerId(peer),
            parent,
            standby: None,
            place: Place::Root,
            tier,
            relay: None,
            children: 0,
        }
    }

    fn verdict(tree: &[TreeNode]) -> Verdict {
        let net = Net::new(1, roots(1), CALM);
        let excused = BTreeSet::new();
        Tree.look(&View { net: &net, tree, published: &[], excused: &excused })
    }

    #[test]
    fn a_cycle_and_a_wrong_tier_and_a_wrong_count_are_noticed() {
        let cycle = verdict(&[node(1, Some(2), 1), node(2, Some(1), 2)]).unwrap_err();
        assert!(cycle.contains("cycle"), "{cycle}");
        let tier = verdict(&[node(1, None, 1), node(2, Some(1), 3)]).unwrap_err();
        assert!(tier.contains("below"), "{tier}");
        let count = verdict(&[node(1, None, 1), node(2, Some(1), 2)]).unwrap_err();
        assert!(count.contains("counts"), "{count}");
        assert_eq!(verdict(&[]), Ok(()));
    }
}
