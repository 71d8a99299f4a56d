//! How nodes are named: by number, from 1 on.

/// The server, among nodes.
pub(crate) const SERVER: u64 = 0;
