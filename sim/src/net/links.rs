//! Links: their ends find each other, share connections, and part.

use tiercast_codec::LinkId;
use tiercast_mesh::peer::Input;

use super::{Happening, Net};
use crate::{node::SERVER, wires::Way};

/// What opens a data channel on a connection that is up, and acknowledges it.
const OPEN_BYTES: usize = 32;

/// The connection of some links.
#[derive(Debug, Default)]
pub(super) struct Connection {
    is_up: bool,
    links: Vec<LinkId>,
    /// Links whose channels these nodes open when it is up.
    waiting: Vec<(u64, LinkId)>,
}

impl Net {
    pub(super) fn other_end(&self, link: LinkId, id: u64) -> Option<u64> {
        self.ends.get(&link)?.iter().find(|end| **end != id).copied()
    }

    /// How many connections there are.
    pub fn connections(&self) -> usize {
        self.connections.len()
    }

    /// A node is told of a link that has a connection of its own.
    pub(super) fn open_end(&mut self, link: LinkId, node: u64) {
        self.ends.entry(link).or_default().push(node);
        let connection = self.connections.entry(link).or_default();
        if connection.links.is_empty() {
            connection.links.push(link);
            self.carriers.insert(link, link);
        }
        self.nodes.get_mut(&node).expect("it has just spoken").links.insert(link);
    }

    /// A node is told of a link that shares the connection of another, if it has that one.
    pub(super) fn open_end_via(&mut self, link: LinkId, via: LinkId, node: u64, opens: bool) {
        let state = self.nodes.get_mut(&node).expect("it has just spoken");
        let carrier = self.carriers.get(&via).copied().filter(|_| state.links.contains(&via));
        let Some((carrier, connection)) =
            carrier.and_then(|carrier| Some((carrier, self.connections.get_mut(&carrier)?)))
        else {
            return self.queue.plan(self.now, Happening::LinkDown(node, link));
        };
        state.links.insert(link);
        let ends = self.ends.entry(link).or_default();
        ends.push(node);
        let are_both_there = ends.len() == 2;
        if self.carriers.insert(link, carrier).is_none() {
            connection.links.push(link);
        }
        if opens {
            connection.waiting.push((node, link));
        }
        if connection.is_up && are_both_there {
            self.open_channels(carrier);
        }
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

    /// A link is up at one end. If its connection is its own, that is up as well.
    pub(super) fn on_link_up(&mut self, node: u64, link: LinkId) {
        self.peer(node, Input::LinkOpened(link));
        if let Some(connection) = self.connections.get_mut(&link) {
            connection.is_up = true;
            self.open_channels(link);
        }
    }

    /// Opens the channels that wait for their connection, where both ends have heard of their links: a channel that comes
    /// before the word of its link waits for it.
    fn open_channels(&mut self, carrier: LinkId) {
        let Some(connection) = self.connections.get_mut(&carrier) else { return };
        let is_ready = |link: &LinkId| self.ends.get(link).is_some_and(|ends| ends.len() == 2);
        let (ready, later) = connection.waiting.iter().partition(|(_, link)| is_ready(link));
        connection.waiting = later;
        let ready: Vec<(u64, LinkId)> = ready;
        for (node, link) in ready {
            let Some(other) = self.other_end(link, node) else { continue };
            let way = Way::Link { link, from: node, to: other };
            self.send(way, OPEN_BYTES, Happening::ChannelOpens(other, link));
        }
    }

    /// The other end has opened a channel, which is acknowledged.
    pub(super) fn on_channel(&mut self, node: u64, link: LinkId) {
        let Some(other) = self.other_end(link, node) else { return };
        let way = Way::Link { link, from: node, to: other };
        self.send(way, OPEN_BYTES, Happening::LinkUp(other, link));
        self.peer(node, Input::LinkOpened(link));
    }

    /// Breaks a link; the end that is not `cause` sees it. What waits for the connection that is made for it breaks, too.
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
        for waiting in self.leave_connection(link) {
            self.close_ends(waiting, SERVER);
        }
    }

    /// A link needs its connection no more. Gives those that cannot come up without it.
    fn leave_connection(&mut self, link: LinkId) -> Vec<LinkId> {
        let Some(carrier) = self.carriers.remove(&link) else { return Vec::new() };
        let Some(connection) = self.connections.get_mut(&carrier) else { return Vec::new() };
        connection.links.retain(|other| *other != link);
        connection.waiting.retain(|(_, other)| *other != link);
        if connection.links.is_empty() || carrier == link && !connection.is_up {
            return self.connections.remove(&carrier).map(|connection| connection.links).unwrap_or_default();
        }
        Vec::new()
    }

    /// All links of a node break, and both ends see it.
    pub fn break_links(&mut self, node: u64) {
        for link in self.links_of(node) {
            self.close_ends(link, node);
            self.happen(self.now, Happening::LinkDown(node, link));
        }
    }
}
