//! What the hub and nodes have to say goes out.

use std::time::Duration;

use bytes::Bytes;
use tiercast_codec::{CHUNK_KIND, FRAME_KIND, LinkId, SessionId, may_be_lost};
use tiercast_mesh::{Time, peer::Target};

use super::{Happening, Net, Sent};
use crate::wires::{Parcel, Way};

impl Net {
    /// The hub sends what it has for a session, for as long as there is room.
    pub(super) fn pump_hub(&mut self, session: u64) {
        while let Some(bytes) = self.hub.poll_transmit(SessionId(session)) {
            self.traffic.down += bytes.len() as u64;
            self.note_sent(None, &bytes);
            // A node that has vanished is sent to all the same.
            let node = self.session_node.get(&session).copied().unwrap_or(0);
            let (way, count) = (Way::Down { session, node }, bytes.len());
            let again = self.send(way, count, Happening::ToPeer(session, bytes));
            if again > self.now {
                self.queue.plan(again, Happening::PumpHub(session));
                break;
            }
        }
        self.plan_hub();
    }

    /// A node sends what it has for somebody, for as long as there is room.
    pub(super) fn pump_peer(&mut self, id: u64, target: Target) {
        while let Some(bytes) = self.next_of(id, target) {
            let again = self.send_from(id, target, bytes);
            if again > self.now {
                self.queue.plan(again, Happening::PumpPeer(id, target));
                break;
            }
        }
        // Sending can end a link.
        self.drain_peer(id);
    }

    fn next_of(&mut self, id: u64, target: Target) -> Option<Bytes> {
        let bytes = self.nodes.get_mut(&id)?.peer.poll_transmit(target);
        if let Some(recorder) = self.recorder.as_mut().filter(|recorder| recorder.node == id) {
            recorder.transmit(target, bytes.as_ref());
        }
        bytes
    }

    /// Sends what a node has for somebody; says when it can send more.
    fn send_from(&mut self, node: u64, target: Target, bytes: Bytes) -> Time {
        let count = bytes.len();
        match target {
            Target::Session => {
                let Some(session) = self.nodes.get(&node).and_then(|node| node.session) else {
                    return self.now;
                };
                self.traffic.up += count as u64;
                self.send(Way::Up { session, node }, count, Happening::ToHub(session, bytes))
            }
            Target::Link(link) => {
                let Some(to) = self.other_end(link, node) else { return self.now };
                self.traffic.links += count as u64;
                self.note_sent(Some(node), &bytes);
                let bytes = match &mut self.tamper {
                    Some(tamper) => tamper(node, to, bytes),
                    None => Some(bytes),
                };
                let Some(bytes) = bytes else { return self.now };
                let held = self.hold_back.as_mut().map_or(Duration::ZERO, |held| held(node, &bytes));
                let way = Way::Link { link, from: node, to };
                if held.is_zero() {
                    return self.send(way, count, Happening::OnLink(to, link, bytes));
                }
                self.queue.plan(self.now + held, Happening::Release(node, link, bytes));
                self.now
            }
        }
    }

    /// Sends what a node held back, if the link is still there.
    pub(super) fn send_on_link(&mut self, node: u64, link: LinkId, bytes: Bytes) {
        if let Some(to) = self.other_end(link, node) {
            let way = Way::Link { link, from: node, to };
            self.send(way, bytes.len(), Happening::OnLink(to, link, bytes));
        }
    }

    /// Keeps what is no control message, for those who want to know.
    fn note_sent(&mut self, by: Option<u64>, bytes: &Bytes) {
        let is_data = matches!(bytes.first(), Some(&(FRAME_KIND | CHUNK_KIND)));
        if let Some(sent) = self.sent.as_mut().filter(|_| is_data) {
            sent.push(Sent { by, bytes: bytes.clone() });
        }
    }

    /// Sends on a way; says when more can be sent on it. What is sent arrives never before what was sent on it earlier,
    /// unless it may be lost.
    pub(super) fn send(&mut self, way: Way, bytes: usize, happening: Happening) -> Time {
        let may_be_lost = matches!(&happening, Happening::OnLink(_, _, message) if may_be_lost(message));
        let carried = self.wires.carry(&mut self.rng, self.now, way, Parcel { bytes, may_be_lost });
        if let Some(arrives) = carried.arrives {
            let delay =
                if matches!(happening, Happening::OnLink(..)) { self.link_delay } else { Duration::ZERO };
            let mut arrives = arrives + delay;
            if !may_be_lost {
                let last = self.last_arrival.entry(way).or_default();
                arrives = arrives.max(*last);
                *last = arrives;
            }
            self.queue.plan(arrives, happening);
        }
        carried.writable
    }
}
