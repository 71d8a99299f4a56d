//! What lies between the ends: when a message arrives, if it does.

use std::time::Duration;

use rand_chacha::{ChaCha8Rng, rand_core::Rng};
use tiercast_codec::LinkId;
use tiercast_mesh::Time;

use crate::cut::Cut;

/// One direction of a connection. Messages on it arrive in the order in which they were sent, but for those that may be lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Way {
    /// From the node of a session to the server.
    Up {
        /// The session's number.
        session: u64,
        /// The node.
        node: u64,
    },
    /// From the server to the node of a session.
    Down {
        /// The session's number.
        session: u64,
        /// The node.
        node: u64,
    },
    /// From one node to another.
    Link {
        /// The link.
        link: LinkId,
        /// The sender.
        from: u64,
        /// The receiver.
        to: u64,
    },
}

/// A message, as far as the network cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parcel {
    /// How large it is.
    pub bytes: usize,
    /// Whether it may be lost and overtaken: it goes on the lossy channel of a connection.
    pub may_be_lost: bool,
}

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Carried {
    /// When it arrives, if it does not have to wait for what was sent before it on its way; `None`: never.
    pub arrives: Option<Time>,
    /// When its sender can send the next message on this way.
    pub writable: Time,
}

/// A network.
pub trait Wires {
    /// Takes a message.
    fn carry(&mut self, rng: &mut ChaCha8Rng, now: Time, way: Way, parcel: Parcel) -> Carried;

    /// How long two nodes need to set up a link once both know of it; `None`: they cannot.
    fn set_up(&mut self, rng: &mut ChaCha8Rng, now: Time, one: u64, other: u64) -> Option<Duration>;

    /// Nothing more is sent on a way.
    fn forget(&mut self, _way: Way) {}

    /// Nothing passes between some ends for a while.
    fn cut(&mut self, _now: Time, _cut: Cut) {}

    /// Leaves a node this share of what it could send.
    fn narrow(&mut self, _now: Time, _node: u64, _share: f64) {}
}

/// A network without properties of its own: latencies between two bounds, and all arrives but some of what may be lost.
#[derive(Debug, Clone, Copy)]
pub struct Weather {
    /// Shortest and longest way of a message, one way.
    pub latency: (Duration, Duration),
    /// Longest time that a sender needs for one message.
    pub sending: Duration,
    /// Of a thousand messages that may be lost, so many are.
    pub lost_per_mille: u64,
}

/// A local network: everything takes a millisecond.
pub const CALM: Weather = Weather {
    latency: (Duration::from_millis(1), Duration::from_millis(1)),
    sending: Duration::from_micros(1),
    lost_per_mille: 0,
};

/// The internet: 5 to 120 ms one way, senders that need up to a millisecond for a message, and 3 % that are lost.
pub const ROUGH: Weather = Weather {
    latency: (Duration::from_millis(5), Duration::from_millis(120)),
    sending: Duration::from_millis(1),
    lost_per_mille: 30,
};

impl Wires for Weather {
    fn carry(&mut self, rng: &mut ChaCha8Rng, now: Time, _: Way, parcel: Parcel) -> Carried {
        let (least, most) = self.latency;
        let arrives = now + least + below(rng, most - least);
        let is_lost = parcel.may_be_lost && rng.next_u64() % 1_000 < self.lost_per_mille;
        Carried { arrives: (!is_lost).then_some(arrives), writable: now + below(rng, self.sending) }
    }

    fn set_up(&mut self, rng: &mut ChaCha8Rng, _: Time, _: u64, _: u64) -> Option<Duration> {
        let (least, most) = self.latency;
        Some(least + below(rng, most - least))
    }
}

/// A duration below another one.
fn below(rng: &mut ChaCha8Rng, bound: Duration) -> Duration {
    Duration::from_micros(rng.next_u64() % (bound.as_micros() as u64).max(1))
}
