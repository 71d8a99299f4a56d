//! What a peer counts.

/// Counters of a peer since it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PeerStats {
    /// Frames taken: verified and kept.
    pub frames: u64,
    /// Bytes of the frames taken that the server sent.
    pub server_bytes: u64,
    /// Bytes of the frames taken that a parent sent.
    pub parent_bytes: u64,
    /// Frames that were there already.
    pub duplicates: u64,
    /// Frames that were not taken because something before them was missing, or there was no room.
    pub not_taken: u64,
    /// Events given to the application, wanted or not.
    pub delivered: u64,
    /// Gaps that the application was told of.
    pub gaps: u64,
    /// Bytes of frames handed to children.
    pub relayed_bytes: u64,
    /// Frames handed to children.
    pub relayed_frames: u64,
    /// Frames and heads whose signature was not the server's.
    pub bad_signatures: u64,
    /// Messages that could not be decoded.
    pub malformed: u64,
    /// Times that the server was asked to feed again.
    pub feeds: u64,
    /// Times that the server was asked for what neither parent nor standby had brought.
    pub pulls: u64,
    /// Times that a parent or standby was asked again for what had not come.
    pub nacks: u64,
    /// Frames that children asked for again.
    pub repeated_frames: u64,
    /// Times that a child asked for something again and was given nothing, as it had asked for too much.
    pub nacks_refused: u64,
    /// Times that the standby took the parent's place because it is the faster one.
    pub exchanges: u64,
    /// Times that the standby took the parent's place because it was ahead.
    pub swaps: u64,
    /// Times that the application was so slow that the peer held up those who feed it.
    pub stalls: u64,
}
