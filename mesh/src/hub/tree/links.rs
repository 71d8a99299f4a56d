//! The links of a tree: how they begin and end.

use std::collections::{BTreeMap, VecDeque};

use tiercast_codec::{Code, LinkId, PeerId};

use super::{Action, Context, Place, Timer, Tree, signaling::Signaled};
use crate::{
    Time,
    hub::{
        HubConfig,
        tickets::{Ends, next_number},
    },
};

/// So many links that ended are remembered for what is still to be said about them.
const ENDED_MAX: usize = 4_096;

/// A link between two peers.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) parent: PeerId,
    pub(super) child: PeerId,
    pub(super) age: Age,
    /// Whether the child has a parent that feeds it meanwhile.
    pub(super) is_move: bool,
    /// Whether it shares a connection that was up when it began.
    pub(super) relies_on_another: bool,
    /// Who is to have the child's present place, if the child moves by this link.
    pub(super) heir: Option<PeerId>,
    /// Whether its end was noted for the child.
    pub(super) is_noted: bool,
    /// Which of parent and child have said what became of it.
    pub(super) heard: [bool; 2],
    /// What the parent and the child have signaled.
    pub(super) signaled: [Signaled; 2],
}

/// The last links that ended: both ends have something to say about that, and not at the same time.
#[derive(Debug, Default)]
pub(super) struct Ended {
    links: BTreeMap<LinkId, Link>,
    in_turn: VecDeque<LinkId>,
}

impl Ended {
    /// A link has ended. Gives the one that is forgotten for it, if one is.
    fn insert(&mut self, link: LinkId, state: Link) -> Option<LinkId> {
        self.links.insert(link, state);
        self.in_turn.push_back(link);
        let oldest = self.in_turn.pop_front_if(|_| self.links.len() > ENDED_MAX)?;
        self.links.remove(&oldest);
        Some(oldest)
    }

    pub(super) fn get_mut(&mut self, link: LinkId) -> Option<&mut Link> {
        self.links.get_mut(&link)
    }

    /// A link goes on after all.
    pub(super) fn remove(&mut self, link: LinkId) {
        if self.links.remove(&link).is_some() {
            self.in_turn.retain(|other| *other != link);
        }
    }
}

/// What a parent is to its child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Parent,
    Standby,
}

/// How far a link has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Age {
    /// It has not fed the child yet.
    New,
    Fed,
    /// It has done so for long enough.
    Proven,
}

impl Tree {
    /// Whether a link is under way or up.
    pub(crate) fn has_link(&self, link: LinkId) -> bool {
        self.links.contains_key(&link)
    }

    /// A link shares a connection that is up.
    pub(crate) fn relies_on_another(&mut self, link: LinkId) {
        if let Some(state) = self.links.get_mut(&link) {
            state.relies_on_another = true;
        }
    }

    /// Gives a peer that waits a parent.
    pub(super) fn link(&mut self, now: Time, parent: PeerId, child: PeerId, context: &mut Context<'_>) {
        let link = self.begin(now, parent, child, Role::Parent, context);
        let tier = self.nodes[&parent].tier + 1;
        self.node(child).tier = tier;
        self.put(child, Place::Linking(link));
        self.expect(now, link, context);
    }

    /// A link that is not up when it should be is given up.
    pub(super) fn expect(&mut self, now: Time, link: LinkId, context: &Context<'_>) {
        self.timers.set(Timer::LinkSetup(link), now + context.config.link_setup);
    }

    /// Begins a link: both ends are told.
    pub(super) fn begin(
        &mut self,
        now: Time,
        parent: PeerId,
        child: PeerId,
        role: Role,
        context: &mut Context<'_>,
    ) -> LinkId {
        let link = LinkId(next_number(now, context.last_link));
        self.links.insert(link, Link::new(parent, child));
        self.take_on(parent, link, role);
        let standby = role == Role::Standby;
        self.actions.push(Action::Link { link, parent, child, standby });
        link
    }

    /// A link did not come up, or broke: both ends are told, and the child goes on some other way. One that was fed
    /// by this link has to say where it is before it can be fed again.
    pub(super) fn end(&mut self, now: Time, link: LinkId, code: Code, config: &HubConfig) {
        let Some(child) = self.links.get(&link).map(|state| state.child) else { return };
        self.cut(link, code);
        self.retreat_if_due(now, child, config);
    }

    /// Ends a link for both ends, which are told.
    pub(super) fn cut(&mut self, link: LinkId, code: Code) {
        self.actions.push(Action::Lost { peer: self.links[&link].parent, link, code });
        self.abandon(link, code);
    }

    /// A link feeds its child from now on, whose tier follows from that. Gives who is to have the place that the child
    /// leaves.
    pub(super) fn begins_to_feed(
        &mut self,
        now: Time,
        link: LinkId,
        context: &Context<'_>,
    ) -> Option<PeerId> {
        let state = self.links.get_mut(&link).expect("a place names a link that exists");
        let (parent, child, heir) = (state.parent, state.child, state.heir.take());
        if state.age == Age::New {
            state.age = Age::Fed;
            self.timers.set(Timer::LinkProven(link), now + context.config.link_proven);
            self.actions.push(Action::Up(Ends { link, parent, child }));
            self.node(parent).record.reached();
        }
        self.settle(child, self.nodes[&parent].tier + 1);
        heir
    }

    /// Takes a peer away from its parent, which is told.
    pub(super) fn detach(&mut self, peer: PeerId, code: Code) {
        if let Some(link) = self.nodes.get(&peer).and_then(|node| node.place.link()) {
            self.drop_child(link, code);
        }
    }

    /// Takes a link away from the parent's end, which is told.
    pub(super) fn drop_child(&mut self, link: LinkId, code: Code) {
        let parent = self.links[&link].parent;
        self.actions.push(Action::Lost { peer: parent, link, code });
        self.unlink(link);
    }

    /// Takes a child away from its parent; the child is told. A child that was fed by it is then an orphan; one that
    /// was about to move there stays where it is.
    pub(super) fn abandon(&mut self, link: LinkId, code: Code) {
        let Some(Link { child, .. }) = self.links.get(&link) else { return };
        let child = *child;
        self.actions.push(Action::Lost { peer: child, link, code });
        self.unlink(link);
        let node = self.node(child);
        if node.standby == Some(link) {
            node.standby = None;
        } else if node.moving == Some(link) {
            node.moving = None;
            self.refresh(child);
        } else if node.place == Place::Child(link) {
            self.put(child, Place::Orphan);
        } else {
            self.put(child, Place::Waiting);
        }
    }

    /// A parent has a place less: for a child, or for one for whom it stands by.
    pub(super) fn take_on(&mut self, parent: PeerId, link: LinkId, role: Role) {
        let child = self.links[&link].child;
        self.keep_in_order(parent, child);
        match role {
            Role::Parent => {
                self.node(parent).children.insert(link);
                self.grow(parent, self.nodes[&child].height);
            }
            Role::Standby => _ = self.node(parent).stands_by.insert(link),
        }
        self.refresh(parent);
    }

    /// A parent has a place more.
    pub(super) fn take_off(&mut self, parent: PeerId, link: LinkId, child: PeerId) {
        let node = self.node(parent);
        if !node.stands_by.remove(&link) && node.children.remove(&link) {
            self.shrink(parent, self.nodes[&child].height);
        }
        self.refresh(parent);
    }

    fn unlink(&mut self, link: LinkId) {
        self.timers.clear(Timer::LinkSetup(link));
        self.timers.clear(Timer::LinkProven(link));
        let Some(state) = self.links.remove(&link) else { return };
        let (parent, child) = (state.parent, state.child);
        self.take_off(parent, link, child);
        // Whoever stood above the child may be below it from now on.
        self.unpark_above(parent);
        self.forget_if_idle([parent, child]);
        self.actions.push(Action::Ended(Ends { link, parent, child }));
        let forgotten = self.ended.insert(link, state);
        self.actions.extend(forgotten.map(Action::Forgotten));
    }
}

impl Link {
    pub(super) fn new(parent: PeerId, child: PeerId) -> Self {
        Self {
            parent,
            child,
            age: Age::New,
            is_move: false,
            relies_on_another: false,
            heir: None,
            is_noted: false,
            heard: [false; 2],
            signaled: Default::default(),
        }
    }

    /// Which end `peer` is, 0 the parent or 1 the child, and who is at the other.
    pub(super) fn end_of(&self, peer: PeerId) -> Option<(usize, PeerId)> {
        match peer {
            _ if peer == self.parent => Some((0, self.child)),
            _ if peer == self.child => Some((1, self.parent)),
            _ => None,
        }
    }
}
