//! A peer moves to a better place: its present parent feeds it until the next one does, and nobody has more children
//! than it takes meanwhile. Two exchange places one after the other: the first goes elsewhere, and the place that it
//! leaves is given to the second, its *heir*.

use tiercast_codec::{Code, LinkId, PeerId};

use super::{Action, Context, Place, Tree, links::Role};
use crate::Time;

impl Tree {
    /// Moves a child below another parent that has room. What it leaves is given to its heir.
    pub(super) fn begin_move(
        &mut self,
        now: Time,
        parent: PeerId,
        child: PeerId,
        heir: Option<PeerId>,
        context: &mut Context<'_>,
    ) {
        let link = self.begin(now, parent, child, Role::Parent, context);
        self.expect(now, link, context);
        self.links.entry(link).and_modify(|state| {
            state.is_move = true;
            state.heir = heir;
        });
        self.node(child).moving = Some(link);
        self.refresh(child);
        self.actions.push(Action::Moved);
    }

    /// A peer stays where it is.
    pub(super) fn cancel_move(&mut self, peer: PeerId, code: Code) {
        if let Some(link) = self.nodes.get_mut(&peer).and_then(|node| node.moving.take()) {
            self.drop_child(link, code);
        }
    }

    /// A child that has moved leaves its earlier place to its heir.
    pub(super) fn vacate(
        &mut self,
        now: Time,
        earlier: LinkId,
        heir: Option<PeerId>,
        context: &mut Context<'_>,
    ) {
        let parent = self.links[&earlier].parent;
        self.drop_child(earlier, Code::REPLACED);
        if let Some(heir) = heir.filter(|heir| self.could_move(now, parent, *heir)) {
            match self.nodes[&heir].place {
                Place::Waiting => self.link(now, parent, heir, context),
                _ => self.begin_move(now, parent, heir, None, context),
            }
        }
    }

    /// Whether a peer that could stand better, or waits, can go below a parent now.
    fn could_move(&self, now: Time, parent: PeerId, peer: PeerId) -> bool {
        let Some(node) = self.nodes.get(&peer) else { return false };
        let is_free = node.awaits_parent() || matches!(node.place, Place::Child(_)) && node.moving.is_none();
        is_free && self.nodes[&parent].entry.open.is_some() && self.will_do(now, parent, &self.below(peer))
    }
}
