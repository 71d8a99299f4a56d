//! One link of a peer: to its parent, or to a child.

use std::{collections::VecDeque, num::NonZeroU32, time::Duration};

use bytes::{Bytes, BytesMut};
use tiercast_codec::{
    ChannelId, Code, DecodeError, FRAME_HEADER_BYTES, Frame, GapReason, Head, Item, LinkMessage, PeerId,
    Position, SIGNATURE_BYTES, Token, WireMessage, chunks,
    limits::{FRAME_PAYLOAD_BYTES_MAX, LINK_MESSAGE_BYTES_MAX},
};

use crate::{
    FrameLog, Read, Time,
    cursor::Cursor,
    outbox::{Full, Outbox},
};

/// A connection to another peer, under way or up.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) channel: ChannelId,
    pub(super) other: PeerId,
    pub(super) token: Token,
    pub(super) end: End,
    /// When it was opened.
    pub(super) opened: Time,
    /// From `join` to `joined`, at the child's end.
    pub(super) round_trip: Duration,
    pub(super) last_received: Time,
    pub(super) last_sent: Time,
    /// Whether the driver was told that there is something to send.
    pub(super) is_announced: bool,
    outbox: Outbox,
    assembly: BytesMut,
}

/// Which end of the link this peer is.
#[derive(Debug)]
pub(super) enum End {
    /// The parent's: not yet connected.
    AwaitsChild,
    /// The parent's: connected, and waiting for `join`.
    AwaitsJoin,
    /// The parent's: serving the child.
    Serves(Service),
    /// The child's: not yet connected.
    AwaitsParent,
    /// The child's: `join` has been sent.
    Joins,
    /// The child's: the parent is at `goal`; once we are there too, it feeds us.
    Follows {
        goal: Position,
        /// Bytes of frames that came since the parent was last told how far we are.
        unsaid_bytes: usize,
    },
}

/// How far a child has been served.
#[derive(Debug)]
pub(super) struct Service {
    cursor: Cursor,
    /// The rest of a frame that is larger than a message.
    chunks: VecDeque<Bytes>,
}

/// What there is to send to a child.
pub(super) enum Serve {
    Send {
        bytes: Bytes,
        frames: u64,
        frame_bytes: u64,
    },
    Nothing,
    /// The log no longer has what the child needs next.
    Unavailable,
}

impl Link {
    pub(super) fn new(
        now: Time,
        channel: ChannelId,
        other: PeerId,
        token: Token,
        end: End,
        outbox_bytes: usize,
    ) -> Self {
        Self {
            channel,
            other,
            token,
            end,
            opened: now,
            round_trip: Duration::ZERO,
            last_received: now,
            last_sent: now,
            is_announced: false,
            outbox: Outbox::new(outbox_bytes),
            assembly: BytesMut::new(),
        }
    }

    pub(super) fn is_open(&self) -> bool {
        !matches!(self.end, End::AwaitsChild | End::AwaitsParent)
    }

    pub(super) fn push(&mut self, message: LinkMessage) -> Result<(), Full> {
        self.outbox.push(message.encode())
    }

    pub(super) fn pop(&mut self) -> Option<Bytes> {
        self.outbox.pop()
    }

    /// Whether a frame has begun that is not whole yet.
    pub(super) fn is_assembling(&self) -> bool {
        !self.assembly.is_empty()
    }

    /// Adds a chunk; gives the frame when it is whole.
    pub(super) fn assemble(&mut self, part: &Bytes, is_last: bool) -> Result<Option<Frame>, DecodeError> {
        let max = FRAME_HEADER_BYTES + FRAME_PAYLOAD_BYTES_MAX + SIGNATURE_BYTES;
        let value = self.assembly.len() + part.len();
        if value > max {
            return Err(DecodeError::TooLarge {
                field: "chunked frame",
                value: value as u64,
                max: max as u64,
            });
        }
        self.assembly.extend_from_slice(part);
        if !is_last {
            return Ok(None);
        }
        match Item::all(self.assembly.split().freeze())?.as_slice() {
            [Item::Frame(frame)] => Ok(Some(frame.clone())),
            _ => Err(DecodeError::TrailingBytes),
        }
    }
}

impl Service {
    pub(super) fn new(position: Position, window_bytes: NonZeroU32) -> Self {
        Self { cursor: Cursor::new(position, window_bytes), chunks: VecDeque::new() }
    }

    /// The child has everything up to `position`.
    pub(super) fn acknowledge(&mut self, log: &FrameLog, position: Position) {
        self.cursor.acknowledge(log, position);
    }

    /// The next message for the child: frames from the log, as many as fit, or a head when there are none.
    pub(super) fn next(&mut self, log: &FrameLog, head: Option<&Head>) -> Serve {
        if let Some(chunk) = self.chunks.pop_front() {
            return Serve::Send { bytes: chunk, frames: 0, frame_bytes: 0 };
        }
        let mut batch = Vec::new();
        let mut batch_bytes = 0;
        loop {
            match self.cursor.read(log) {
                Read::UpToDate => break,
                // The first frame of the new numbering tells the child by its signature.
                Read::Gap { to, reason: GapReason::Epoch, recorded: true } => self.cursor.skip(to),
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
            return self.cursor.next_head(head).map_or(Serve::Nothing, |head| Serve::Send {
                bytes: head.bytes().clone(),
                frames: 0,
                frame_bytes: 0,
            });
        }
        let (frames, frame_bytes) = (batch.len() as u64, batch_bytes as u64);
        Serve::Send { bytes: self.pack(batch, batch_bytes), frames, frame_bytes }
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

/// The last message on a link, for whoever closes it.
pub fn bye(code: Code) -> Bytes {
    LinkMessage::Bye(tiercast_codec::Bye { code }).encode()
}
