//! What is kept in memory, beside its bound.

/// One buffer of a [`Hub`](crate::Hub) or a [`Peer`](crate::Peer).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Which one.
    pub what: &'static str,
    /// Bytes in it.
    pub bytes: usize,
    /// The most that it may hold.
    pub bytes_max: usize,
}
