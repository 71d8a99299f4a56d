//! One subscription of a peer: its log, the application's cursor, and its place in the tree.

use std::collections::BTreeSet;

use tiercast_codec::{ChannelName, Frame, Head, LinkId, Position, Since};

use super::{
    ahead::{Ahead, begins_anew},
    reader::{Delivery, Reader},
    watch::Watch,
};
use crate::{FrameLog, LogLimits, Time, covers};

/// A subscription of a peer.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) channel: ChannelName,
    /// The link that feeds us. None: the server does.
    pub(super) parent: Option<LinkId>,
    /// The link that shall feed us next.
    pub(super) joining: Option<LinkId>,
    /// The link that feeds us when our parent does not.
    pub(super) standby: Option<LinkId>,
    pub(super) children: BTreeSet<LinkId>,
    /// The newest head that was verified.
    pub(super) head: Option<Head>,
    pub(super) tier: u32,
    /// The request that waits for its answer.
    pub(super) request: Option<u64>,
    /// The parent that was named in it, which spares the server feeding us.
    pub(super) named_parent: Option<LinkId>,
    /// Whether the server was asked to feed in this session and nothing was taken since.
    pub(super) has_asked: bool,
    /// Whether who feeds us does so.
    pub(super) watch: Watch,
    pub(super) ahead: Ahead,
    /// Children are served from here on only: what is older was signed with keys that they do not know.
    pub(super) serves_from: Option<Position>,
    /// Bytes of frames that came from the server since it was last told how far we are.
    pub(super) unsaid_bytes: usize,
    /// There while the application is too slow.
    pub(super) stall: Option<Stall>,
    since: Since,
    /// Exists once the server has said where the subscription starts.
    pub(super) taken: Option<Taken>,
}

/// What a subscription has got so far.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) log: FrameLog,
    pub(super) reader: Reader,
}

/// The application is too slow: until it has caught up nobody is told how far we are, so that those who feed us wait, and
/// there are neither children nor a new parent.
#[derive(Debug, Default)]
pub(super) struct Stall {
    /// Whether to ask for what comes next when it ends, as it will not come by itself: it came and was not taken, or the
    /// parent is gone.
    pub(super) must_ask: bool,
    /// Room that there must be before it ends: for the largest frame that was not taken.
    pub(super) refused_bytes: usize,
}

/// How a frame relates to what we have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Relation {
    /// It comes next.
    Next,
    /// It is the first of a newer numbering.
    NewEpoch,
    /// We have it.
    Duplicate,
    /// Something before it is missing.
    Ahead,
}

impl Subscription {
    pub(super) fn new(now: Time, channel: ChannelName, since: Since) -> Self {
        Self {
            channel,
            parent: None,
            joining: None,
            standby: None,
            watch: Watch::new(now),
            ahead: Ahead::default(),
            children: BTreeSet::new(),
            head: None,
            tier: 0,
            request: None,
            named_parent: None,
            has_asked: false,
            serves_from: None,
            unsaid_bytes: 0,
            stall: None,
            since,
            taken: None,
        }
    }

    /// Where to start when subscribing now.
    pub(super) fn since(&self) -> Since {
        self.position().map_or(self.since, Since::Position)
    }

    /// What we have.
    pub(super) fn position(&self) -> Option<Position> {
        self.log().map(FrameLog::head)
    }

    /// What we keep of it.
    pub(super) fn log(&self) -> Option<&FrameLog> {
        self.taken.as_ref().map(|taken| &taken.log)
    }

    /// How far something is missing of the old numbering, before a frame that begins a new one. Who brings that has `said`
    /// how far it had sent the old one, be it our parent any more or not.
    pub(super) fn missing_before(&self, frame: &Frame, said: Option<Position>) -> Option<Position> {
        let ours = self.position().filter(|ours| begins_anew(frame, *ours))?;
        let said = said.filter(|said| ours < *said && *said < frame.position_before());
        self.ahead.lacks(ours).max(said)
    }

    /// The server has said where the subscription starts or, after a reconnect, goes on; and how far the channel is.
    pub(super) fn start(&mut self, position: Position, head: Position, limits: LogLimits) {
        match &mut self.taken {
            Some(taken) => taken.reader.catch_up(head),
            None => {
                let (log, reader) = (FrameLog::new(limits, position), Reader::new(position));
                self.taken = Some(Taken { log, reader });
            }
        }
    }

    /// The next delivery for the application.
    pub(super) fn next_delivery(&mut self) -> Option<Delivery> {
        let Taken { log, reader } = self.taken.as_mut()?;
        reader.next(&self.channel, log)
    }
}

impl Taken {
    /// How a frame relates to what we have: the delivery rule.
    pub(super) fn relation(&self, frame: &Frame) -> Relation {
        let position = self.log.head();
        if covers(frame, position) {
            Relation::Next
        } else if frame.position() <= position {
            Relation::Duplicate
        } else if begins_anew(frame, position) {
            Relation::NewEpoch
        } else {
            Relation::Ahead
        }
    }

    /// Whether the log holds all that the application has not read, and has room for so much more.
    pub(super) fn has_room(&self, entries: usize, bytes: usize) -> bool {
        self.log.has_room(self.reader.position, entries, bytes)
    }

    /// Whether what the application has not read fills more than half of the log.
    pub(super) fn is_behind(&self) -> bool {
        !self.log.fills_at_most(self.reader.position, 2)
    }

    /// Whether what the application has not read fills a quarter of the log at most. So that a stall that has just ended
    /// does not begin again at once, this is less than what it begins with.
    pub(super) fn has_caught_up(&self) -> bool {
        self.log.fills_at_most(self.reader.position, 4)
    }
}
