//! Peers that do what none should, for experiments and tests. Only in builds with the feature `faults`.

use std::fmt::Debug;

use bytes::Bytes;
use tiercast_codec::LinkId;

/// Spoils what a peer sends.
pub trait Villain: Debug + Send {
    /// Whether nothing leaves on its links now. What waits is looked at again when the peer next has something to do.
    fn stalls(&mut self) -> bool;

    /// What becomes of a message on a link; `None`: nobody gets it.
    fn tell(&mut self, link: LinkId, bytes: Bytes) -> Option<Bytes>;

    /// What it says of a link to the server, asked with each message on it.
    fn accuse(&mut self, link: LinkId) -> Option<Bytes>;
}
