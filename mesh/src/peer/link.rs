//! One link of a peer: to its parent, or to a child.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use tiercast_codec::{
    ChannelId, Code, DecodeError, FRAME_HEADER_BYTES, Frame, GapReason, Head, Item, LinkMessage, PeerId,
    Position, SIGNATURE_BYTES, Token, WireMessage, chunks,
    limits::{FRAME_PAYLOAD_BYTES_MAX, LINK_MESSAGE_BYTES_MAX},
};

use crate::{
    FrameLog, Read, Time,
    outbox::{Full, Outbox},
};

/// A connection to another peer, under way or up.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) channel: ChannelId,
    pub(super) other: PeerId,
    pub(super) token: Token,
    pub(super) end: End,
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
    Follows { goal: Position, unacknowledged_bytes: usize, acknowledged: Position },
}

/// How far a child has been served.
#[derive(Debug)]
pub(super) struct Service {
    cursor: Position,
    /// What was sent and not acknowledged: where each message ended, and its size.
    in_flight: VecDeque<(Position, usize)>,
    in_flight_bytes: usize,
    /// The rest of a frame that is larger than a message.
    chunks: VecDeque<Bytes>,
    head_time_us: u64,
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
    pub(super) fn new(cursor: Position) -> Self {
        let (in_flight, chunks) = (VecDeque::new(), VecDeque::new());
        Self { cursor, in_flight, in_flight_bytes: 0, chunks, head_time_us: 0 }
    }

    /// The child has everything up to `position`.
    pub(super) fn acknowledge(&mut self, position: Position) {
        while let Some((end, bytes)) = self.in_flight.front().copied()
            && end <= position
        {
            self.in_flight.pop_front();
            self.in_flight_bytes -= bytes;
        }
    }

    /// The next message for the child: frames from the log, as many as fit, or a head when there are none.
    pub(super) fn next(&mut self, log: &FrameLog, head: Option<&Head>, window_bytes: usize) -> Serve {
        if let Some(chunk) = self.chunks.pop_front() {
            return Serve::Send { bytes: chunk, frames: 0, frame_bytes: 0 };
        }
        let mut batch = Vec::new();
        let mut batch_bytes = 0;
        // A child that is ahead of us waits until we have more than it has.
        while self.in_flight_bytes < window_bytes && !log.is_behind(self.cursor) {
            match log.read(self.cursor) {
                Read::UpToDate => break,
                // The first frame of the new numbering tells the child by its signature.
                Read::Gap { to, reason: GapReason::Epoch, recorded: true } => self.cursor = to,
                Read::Gap { .. } if batch.is_empty() => return Serve::Unavailable,
                Read::Gap { .. } => break,
                Read::Frame(frame) => {
                    let bytes = frame.bytes().len();
                    if !batch.is_empty() && batch_bytes + bytes > LINK_MESSAGE_BYTES_MAX {
                        break;
                    }
                    self.cursor = frame.position();
                    self.in_flight.push_back((self.cursor, bytes));
                    self.in_flight_bytes += bytes;
                    batch_bytes += bytes;
                    batch.push(frame.bytes().clone());
                }
            }
        }
        if batch.is_empty() {
            return self.next_head(head);
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

    fn next_head(&mut self, head: Option<&Head>) -> Serve {
        match head {
            Some(head) if head.time_us > self.head_time_us && head.position <= self.cursor => {
                self.head_time_us = head.time_us;
                Serve::Send { bytes: head.bytes().clone(), frames: 0, frame_bytes: 0 }
            }
            _ => Serve::Nothing,
        }
    }
}

/// The last message on a link, for whoever closes it.
pub fn bye(code: Code) -> Bytes {
    LinkMessage::Bye(tiercast_codec::Bye { code }).encode()
}
