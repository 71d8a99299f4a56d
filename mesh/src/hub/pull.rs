//! What one peer asks for once, because those who feed it are late: the frames between where it is and where the channel
//! is now.

use tiercast_codec::{Frame, Position};

use crate::{FrameLog, Read};

/// A pull gives so many bytes and the frame with which they are exceeded; who needs more asks again. Unvalidated: a
/// peer's default window.
const BYTES_MAX: usize = 256 << 10;

/// A pull that is being answered.
#[derive(Debug)]
pub(super) struct Pull {
    position: Position,
    until: Position,
    bytes: usize,
}

impl Pull {
    /// Asks for all between two positions.
    pub(super) fn new(position: Position, until: Position) -> Self {
        Self { position, until, bytes: 0 }
    }

    /// The next frame; nothing once all was given, and nothing where something is missing: whoever feeds the peer will
    /// find out what.
    pub(super) fn read<'a>(&self, log: &'a FrameLog) -> Option<&'a Frame> {
        if self.position >= self.until || self.bytes >= BYTES_MAX {
            return None;
        }
        match log.read(self.position) {
            Read::Frame(frame) => Some(frame),
            Read::Gap { .. } | Read::UpToDate => None,
        }
    }

    /// This frame, which came next, was sent.
    pub(super) fn sent(&mut self, frame: &Frame) {
        self.position = frame.position();
        self.bytes += frame.bytes().len();
    }
}
