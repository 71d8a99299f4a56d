//! Nobody has more children than it takes: by the hub's books at no time, and by its own not for long.

use std::{collections::BTreeMap, time::Duration};

use tiercast_mesh::{Time, hub::TreeNode};

use super::{Check, Verdict, View};
use crate::net::channel;

/// A link that has ended may be found out so much later: its other end has vanished, or the word of it is under way.
const FOUND_OUT: Duration = Duration::from_secs(20);

/// Looks at each peer's children.
#[derive(Debug, Default)]
pub struct Capacity {
    /// Since when a node has had too many.
    too_many: BTreeMap<u64, Time>,
}

impl Check for Capacity {
    fn name(&self) -> &'static str {
        "capacity"
    }

    fn look(&mut self, view: &View<'_>) -> Verdict {
        if let Some(node) = view.tree.iter().find(|node| node.children > takes(node)) {
            return Err(format!("{node:?} has too many children"));
        }
        let mut too_many = BTreeMap::new();
        for (id, children) in view.tree.iter().filter_map(|node| crowded(view, node)) {
            let since = *self.too_many.get(&id).unwrap_or(&view.net.now);
            if view.net.now.since(since) > FOUND_OUT {
                return Err(format!(
                    "node {id} has fed {children} children since {since:?}, more than it takes"
                ));
            }
            too_many.insert(id, since);
        }
        self.too_many = too_many;
        Ok(())
    }
}

/// How many children a node takes.
pub(super) fn takes(node: &TreeNode) -> usize {
    usize::from(node.relay.map_or(0, |relay| relay.children_max))
}

/// A node that feeds more than it takes, and how many.
fn crowded(view: &View<'_>, node: &TreeNode) -> Option<(u64, usize)> {
    let id = view.net.node_of(node.peer).filter(|id| !view.excused.contains(id))?;
    let children = view.net.nodes[&id].peer.children(&channel()).len();
    (children > takes(node)).then_some((id, children))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{CALM, CHILD, Net, PARENT, check, pair, roots};

    fn verdict(capacity: &mut Capacity, net: &Net, tree: &[TreeNode]) -> Verdict {
        let excused = BTreeSet::new();
        capacity.look(&View { net, tree, published: &[], excused: &excused })
    }

    #[test]
    fn one_child_too_many_in_the_hubs_books_is_noticed() {
        let mut tree = check::look_at(&pair(), &[], &BTreeSet::new(), |view| view.tree.to_vec());
        let (net, mut capacity) = (Net::new(1, roots(1), CALM), Capacity::default());
        assert_eq!(verdict(&mut capacity, &net, &tree), Ok(()));
        tree.iter_mut().for_each(|node| node.children += 8);
        assert!(verdict(&mut capacity, &net, &tree).is_err());
    }

    #[test]
    fn one_that_feeds_a_child_of_which_the_hub_knows_nothing_is_noticed_after_a_while() {
        let (mut net, mut capacity) = (pair(), Capacity::default());
        let mut tree = check::look_at(&net, &[], &BTreeSet::new(), |view| view.tree.to_vec());
        assert_eq!(net.parent(CHILD), Some(PARENT));
        for node in &mut tree {
            (node.children, node.relay) = (0, None);
        }
        for _ in 0..=20 {
            assert_eq!(verdict(&mut capacity, &net, &tree), Ok(()));
            net.run_for(Duration::from_secs(1));
        }
        let wrong = verdict(&mut capacity, &net, &tree).unwrap_err();
        assert!(wrong.contains(&format!("node {PARENT} has fed 1 children")), "{wrong}");
    }
}
