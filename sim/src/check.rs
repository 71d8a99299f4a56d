//! What must always hold. One file for each; all are asked as the simulation goes.

use std::collections::BTreeSet;

use tiercast_codec::Position;
use tiercast_mesh::{Time, hub::TreeNode};

use crate::net::{Given, Net, Sent, channel};

mod authentic;
mod budget;
mod capacity;
mod content;
mod convergence;
mod memory;
mod order;
mod reached;
mod starvation;
mod tree;

pub use authentic::Authentic;
pub use budget::Budget;
pub use capacity::Capacity;
pub use content::Content;
pub use convergence::Convergence;
pub use memory::Memory;
pub use order::Order;
pub use starvation::Starvation;
pub use tree::Tree;

/// Nothing, or what is wrong, for people.
pub type Verdict = Result<(), String>;

/// What a check may look at.
pub struct View<'a> {
    /// The network.
    pub net: &'a Net,
    /// The tree as the hub has it.
    pub tree: &'a [TreeNode],
    /// When each event was published, by offset.
    pub published: &'a [Time],
    /// Those who cannot be blamed for what they lack: they stand still, or do not read.
    pub excused: &'a BTreeSet<u64>,
}

/// Something that must always hold.
pub trait Check {
    /// What it is called.
    fn name(&self) -> &'static str;

    /// A node was told where it starts.
    fn started(&mut self, _node: u64, _position: Position) {}

    /// An application was given something.
    fn given(&mut self, _given: &Given) -> Verdict {
        Ok(())
    }

    /// The hub or a node has made a message that may hold frames.
    fn sent(&mut self, _sent: &Sent) -> Verdict {
        Ok(())
    }

    /// A node is gone for good.
    fn left(&mut self, _node: u64) {}

    /// Another second has passed.
    fn look(&mut self, _view: &View<'_>) -> Verdict {
        Ok(())
    }

    /// Nothing has gone wrong for so long that everybody should have everything.
    fn end(&mut self, _view: &View<'_>) -> Verdict {
        Ok(())
    }
}

/// All checks.
pub fn all(may_have_gaps: bool, budget: Budget) -> Vec<Box<dyn Check>> {
    vec![
        Box::new(Authentic::default()),
        Box::new(Order::new(may_have_gaps)),
        Box::new(Content::default()),
        Box::new(Tree),
        Box::<Capacity>::default(),
        Box::new(Memory),
        Box::<Starvation>::default(),
        Box::<Convergence>::default(),
        Box::new(budget),
    ]
}

/// Asks every check, and names the first that is broken.
pub fn ask(checks: &mut [Box<dyn Check>], mut question: impl FnMut(&mut dyn Check) -> Verdict) -> Verdict {
    for check in checks {
        question(&mut **check).map_err(|wrong| format!("{}: {wrong}", check.name()))?;
    }
    Ok(())
}

/// Shows a look at a network to somebody.
pub fn look_at<T>(
    net: &Net,
    published: &[Time],
    excused: &BTreeSet<u64>,
    show: impl FnOnce(&View<'_>) -> T,
) -> T {
    let tree = net.hub.topology(&channel()).unwrap_or_default();
    show(&View { net, tree: &tree, published, excused })
}
