//! Numbers that the hub hands out, at most 2^53 - 1. Sessions count up from 1. Peers and links are numbered by the clock
//! (microseconds since the Unix epoch, or one more than the last), so that no number is used twice, also not by the next
//! server.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::range;

macro_rules! ids {
    ($($(#[doc = $doc:literal])+ $id:ident;)+) => {$(
        $(#[doc = $doc])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $id(#[serde(deserialize_with = "range::number")] pub u64);

        impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )+};
}

ids! {
    /// A connection between a peer and the hub.
    SessionId;
    /// A node of the mesh, also when it comes back with another session.
    PeerId;
    /// A connection between two peers, set up or under way.
    LinkId;
}
