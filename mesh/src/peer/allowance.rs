//! What a child may ask for again: so much at once, and half as much as the channel carries. Whoever asks for more would take
//! its parent's uplink from the others.

use tiercast_codec::Position;

use crate::FrameLog;

/// What a child may still ask for again, in bytes of frames; below zero where the last answer was more than what was left.
#[derive(Debug)]
pub(super) struct Allowance {
    left: isize,
    max: isize,
    /// What the channel carried until here has been counted.
    counted: Position,
}

impl Allowance {
    /// Of a child that has everything up to `position`.
    pub(super) fn new(position: Position, max: usize) -> Self {
        let max = isize::try_from(max).unwrap_or(isize::MAX);
        Self { left: max, max, counted: position }
    }

    /// Adds what the log has got meanwhile. Whether anything is left then.
    pub(super) fn is_left(&mut self, log: &FrameLog) -> bool {
        let half = log.bytes_after(self.counted) as isize / 2;
        self.left = self.max.min(self.left + half);
        self.counted = log.head();
        self.left > 0
    }

    pub(super) fn spend(&mut self, bytes: usize) {
        self.left -= bytes as isize;
    }
}
