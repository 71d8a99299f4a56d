//! How a parent serves a child: frames from its log, once more what was lost, or, to a child that holds it, how far that is.

use std::{collections::VecDeque, num::NonZeroU32, time::Duration};

use bytes::Bytes;
use tiercast_codec::{
    BEFORE_FIRST, GapReason, Have, Head, Nack, Position, chunks, limits::LINK_MESSAGE_BYTES_MAX, may_be_lost,
};

use super::allowance::Allowance;
use crate::{FrameLog, Read, Time, cursor::Cursor};

/// A child that has lost something is taken to lose more for this long.
const LOSES_FOR: Duration = Duration::from_secs(60);

/// Frames that are looked at for a nack.
const AGAIN_FRAMES_MAX: usize = 256;

/// How far a child has been served.
#[derive(Debug)]
pub(super) struct Service {
    cursor: Cursor,
    /// Where the cursor has been already.
    furthest: Position,
    /// The rest of a frame that is larger than a message.
    chunks: VecDeque<Bytes>,
    /// There while the child wants no frames.
    held: Option<Held>,
    /// When the child last said that it had not got something.
    nacked: Option<Time>,
    /// When the child is to be told how far it was sent, lest the last frame is lost and nothing shows that.
    tail: Option<Time>,
    /// What the child may ask for again.
    allowance: Allowance,
    window_bytes: NonZeroU32,
}

/// What a child that wants no frames was last told of how far we are.
#[derive(Debug)]
struct Held {
    said: Position,
    at: Time,
}

/// How often a child that wants no frames is told how far we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HavePace {
    /// No more often than this. Default 100 ms.
    pub least: Duration,
    /// No later than this after a frame, if nothing was said for as long. Default 1 s.
    pub most: Duration,
    /// A child that is not holding us and has lost something lately is told this long after a frame, if nothing follows.
    /// Default 150 ms.
    pub tail: Duration,
    /// In between, once so many bytes have come. Default 2,400: a packet costs about 120, so that is 5 %.
    pub bytes: usize,
}

impl Default for HavePace {
    fn default() -> Self {
        Self {
            least: Duration::from_millis(100),
            most: Duration::from_secs(1),
            tail: Duration::from_millis(150),
            bytes: 2_400,
        }
    }
}

/// What there is to send to a child.
pub(super) enum Serve {
    Send {
        bytes: Bytes,
        frames: u64,
        frame_bytes: u64,
    },
    Nothing,
    /// The child is told how far we are if it wants no frames, and how far it was sent otherwise.
    Say(Have),
    /// Nothing before then.
    Later(Time),
    /// The log no longer has what the child needs next.
    Unavailable,
}

impl Service {
    /// A child that has everything up to `position`.
    pub(super) fn new(position: Position, window_bytes: NonZeroU32, again_bytes: usize) -> Self {
        let cursor = Cursor::new(position, window_bytes);
        let allowance = Allowance::new(position, again_bytes);
        Self {
            cursor,
            furthest: position,
            chunks: VecDeque::new(),
            held: None,
            nacked: None,
            tail: None,
            allowance,
            window_bytes,
        }
    }

    /// The child wants no frames; `said` is what it was told of how far we are.
    pub(super) fn hold(&mut self, now: Time, said: Position) {
        self.held.get_or_insert(Held { said, at: now });
    }

    /// Whether the child wants no frames now.
    pub(super) fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// So many bytes are sent again.
    pub(super) fn repeats(&mut self, bytes: usize) {
        self.allowance.spend(bytes);
    }

    /// Whether the child may go on from `position`: what it was sent beyond that is sent again.
    pub(super) fn may_go_back(&mut self, log: &FrameLog, position: Position) -> bool {
        self.furthest = self.furthest.max(self.cursor.position());
        let again = log.bytes_after(position).saturating_sub(log.bytes_after(self.furthest));
        let may = again == 0 || self.allowance.is_left(log);
        self.allowance.spend(again);
        may
    }

    /// The child wants frames after `position`.
    pub(super) fn release(&mut self, position: Position) {
        self.cursor = Cursor::new(position, self.window_bytes);
        self.held = None;
        self.tail = None;
    }

    /// The child has everything up to `position`.
    pub(super) fn acknowledge(&mut self, log: &FrameLog, position: Position) {
        self.cursor.acknowledge(log, position);
    }

    /// The next message for the child.
    pub(super) fn next(&mut self, now: Time, log: &FrameLog, head: Option<&Head>, pace: HavePace) -> Serve {
        if let Some(chunk) = self.chunks.pop_front() {
            return Serve::Send { bytes: chunk, frames: 0, frame_bytes: 0 };
        }
        match &mut self.held {
            Some(held) => held.next(now, log, pace),
            None => self.next_frames(now, log, head, pace),
        }
    }

    /// Frames from the log, as many as fit, or a head when there are none.
    fn next_frames(&mut self, now: Time, log: &FrameLog, head: Option<&Head>, pace: HavePace) -> Serve {
        let mut batch = Vec::new();
        let mut batch_bytes = 0;
        loop {
            match self.cursor.read(log) {
                Read::UpToDate => break,
                // The first frame of the new numbering tells the child by its signature. What it may have lost of the old
                // one it learns before.
                Read::Gap { to, reason: GapReason::Epoch, recorded: true }
                    if batch.is_empty() && to.offset == BEFORE_FIRST =>
                {
                    let position = self.cursor.position();
                    self.cursor.skip(to);
                    return Serve::Say(Have { position });
                }
                Read::Gap { .. } if batch.is_empty() => return Serve::Unavailable,
                Read::Gap { .. } => break,
                Read::Frame(frame) => {
                    let bytes = frame.bytes().len();
                    if !batch.is_empty() && batch_bytes + bytes > LINK_MESSAGE_BYTES_MAX {
                        break;
                    }
                    self.cursor.sent(frame);
                    batch_bytes += bytes;
                    batch.push(frame.bytes().clone());
                }
            }
        }
        if batch.is_empty() {
            return match self.cursor.next_head(head) {
                Some(head) => Serve::Send { bytes: head.bytes().clone(), frames: 0, frame_bytes: 0 },
                None => self.next_tail(now),
            };
        }
        let loses = self.nacked.is_some_and(|nacked| now.since(nacked) < LOSES_FOR);
        self.tail = loses.then(|| now + pace.tail);
        let (frames, frame_bytes) = (batch.len() as u64, batch_bytes as u64);
        Serve::Send { bytes: self.pack(batch, batch_bytes), frames, frame_bytes }
    }

    /// Says how far the child was sent, once nothing has followed for a while.
    fn next_tail(&mut self, now: Time) -> Serve {
        match self.tail {
            None => Serve::Nothing,
            Some(due) if now < due => Serve::Later(due),
            Some(_) => {
                self.tail = None;
                Serve::Say(Have { position: self.cursor.position() })
            }
        }
    }

    /// Frames that the child has not got, as many as fit into a message. What is under way on the reliable channel is not
    /// sent again. None for a child that has asked for too much.
    pub(super) fn again(&mut self, now: Time, log: &FrameLog, nack: Nack) -> Option<Vec<Bytes>> {
        self.nacked = Some(now);
        if !self.allowance.is_left(log) {
            return None;
        }
        let (mut position, mut bytes) = (nack.after, 0);
        let mut frames = Vec::new();
        for _ in 0..AGAIN_FRAMES_MAX {
            let Read::Frame(frame) = log.read(position) else { break };
            if position >= nack.to {
                break;
            }
            position = frame.position();
            if !self.is_held() && !may_be_lost(frame.bytes()) {
                continue;
            }
            bytes += frame.bytes().len();
            if bytes > LINK_MESSAGE_BYTES_MAX {
                break;
            }
            frames.push(frame.bytes().clone());
        }
        Some(frames)
    }

    fn pack(&mut self, batch: Vec<Bytes>, batch_bytes: usize) -> Bytes {
        match batch.as_slice() {
            [frame] if batch_bytes > LINK_MESSAGE_BYTES_MAX => {
                self.chunks = chunks(frame).collect();
                self.chunks.pop_front().unwrap_or_default()
            }
            [frame] => frame.clone(),
            frames => frames.concat().into(),
        }
    }
}

impl Held {
    fn next(&mut self, now: Time, log: &FrameLog, pace: HavePace) -> Serve {
        let position = log.head();
        if position == self.said {
            return Serve::Nothing;
        }
        let is_much = log.bytes_after(self.said) >= pace.bytes;
        let due = self.at + if is_much { pace.least } else { pace.most };
        if now < due {
            return Serve::Later(due);
        }
        *self = Self { said: position, at: now };
        Serve::Say(Have { position })
    }
}
