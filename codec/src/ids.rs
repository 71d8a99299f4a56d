//! Numbers that the hub hands out, at most 2^53 - 1. Each counts up from 1 and is never used twice by one server.

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
    /// A node of the mesh, for as long as its session lasts.
    PeerId;
    /// A connection between two peers, set up or under way.
    LinkId;
}
