//! Links: their ends find each other, and part.

use tiercast_codec::LinkId;
use tiercast_mesh::peer::Input;

use super::{Happening, Net};
use crate::wires::Way;

impl Net {
    pub(super) fn other_end(&self, link: LinkId, id: u64) -> Option<u64> {
        self.ends.get(&link)?.iter().find(|end| **end != id).copied()
    }

    pub(super) fn connect_ends(&mut self, link: LinkId) {
        let Some([one, other]) = self.ends.get(&link).map(Vec::as_slice) else { return };
        let (one, other) = (*one.min(other), *one.max(other));
        if [(one, other), (one, one), (other, other)].iter().any(|pair| self.blocked.contains(pair)) {
            return;
        }
        let Some(set_up) = self.wires.set_up(&mut self.rng, self.now, one, other) else { return };
        for end in [one, other] {
            self.queue.plan(self.now + set_up, Happening::LinkUp(end, link));
        }
    }

    /// Breaks a link; the end that is not `cause` sees it.
    pub fn close_ends(&mut self, link: LinkId, cause: u64) {
        let ends = self.ends.remove(&link).unwrap_or_default();
        for end in &ends {
            if let Some(node) = self.nodes.get_mut(end) {
                node.links.remove(&link);
            }
            let from = ends.iter().find(|from| *from != end).copied().unwrap_or(cause);
            let way = Way::Link { link, from, to: *end };
            if *end != cause {
                self.send(way, 0, Happening::LinkDown(*end, link));
            }
            self.last_arrival.remove(&way);
            self.wires.forget(way);
        }
    }

    /// All links of a node break, and both ends see it.
    pub fn break_links(&mut self, node: u64) {
        for link in self.links_of(node) {
            self.close_ends(link, node);
            self.peer(node, Input::LinkClosed(link));
        }
    }
}
