//! The frame log: a bounded ring of signed frames, and how a cursor reads it.
//!
//! The log is a chain of entries, each beginning where the one before it ended: frames, and gaps where
//! events are gone for good. Everything that sends reads it through a [`Position`]: nothing is kept per
//! reader, so a reader that lags costs nothing, and one that falls off the tail is told so.

use std::collections::VecDeque;

use tiercast_codec::{Frame, GapReason, Position};

use crate::Held;

/// How much a log keeps. The oldest entries go first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogLimits {
    /// Most bytes of frames.
    pub bytes: usize,
    /// Most entries.
    pub entries: usize,
}

/// A channel's recent past.
#[derive(Debug)]
pub struct FrameLog {
    entries: VecDeque<Recorded>,
    /// Bytes of all frames that were ever added.
    added: u64,
    limits: LogLimits,
    /// Where the first entry begins.
    base: Position,
}

/// An entry, and how many bytes of frames were added before it: so what lies between two entries needs no sum.
#[derive(Debug)]
struct Recorded {
    entry: Entry,
    before: u64,
}

#[derive(Debug)]
enum Entry {
    Frame(Frame),
    Gap { from: Position, to: Position, reason: GapReason },
}

/// What comes next for a reader.
#[derive(Debug, PartialEq, Eq)]
pub enum Read<'a> {
    /// This frame; the reader is then at its [`Frame::position`].
    Frame(&'a Frame),
    /// Events are gone for good; the reader goes on at `to`.
    Gap {
        /// Where the channel goes on.
        to: Position,
        /// Why.
        reason: GapReason,
        /// Whether the log itself has everything before the gap, so that nothing more can be had elsewhere.
        recorded: bool,
    },
    /// Nothing yet.
    UpToDate,
}

impl Entry {
    fn end(&self) -> Position {
        match self {
            Entry::Frame(frame) => frame.position(),
            Entry::Gap { to, .. } => *to,
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Entry::Frame(frame) => frame.bytes().len(),
            Entry::Gap { .. } => 0,
        }
    }
}

impl FrameLog {
    /// An empty log that begins at `base`.
    pub fn new(limits: LogLimits, base: Position) -> Self {
        Self { entries: VecDeque::new(), added: 0, limits, base }
    }

    /// Where the log begins: the oldest position that can be served.
    pub fn base(&self) -> Position {
        self.base
    }

    /// Where the log ends.
    pub fn head(&self) -> Position {
        self.entries.back().map_or(self.base, |last| last.entry.end())
    }

    /// Bytes of frames kept.
    pub fn bytes(&self) -> usize {
        self.added_since(0)
    }

    /// What the log holds, beside its bound. The newest frame stays, however large it is.
    pub(crate) fn held(&self) -> Held {
        Held { what: "log", bytes: self.bytes(), bytes_max: self.limits.bytes }
    }

    /// Adds a frame that covers the head: one that begins at or before it and ends after it.
    ///
    /// # Panics
    ///
    /// For any other frame: [`covers`] tells beforehand.
    pub fn push(&mut self, frame: Frame) {
        assert!(covers(&frame, self.head()), "a frame that does not continue the log");
        self.append(Entry::Frame(frame));
    }

    /// Records that events are gone and the channel goes on at `to`.
    pub fn jump(&mut self, to: Position, reason: GapReason) {
        let from = self.head();
        if to > from {
            self.append(Entry::Gap { from, to, reason });
        } else if to < from {
            // Another numbering in the place of the one we had: nothing of the old one can be ordered with it.
            *self = Self::new(self.limits, to);
        }
    }

    /// What comes next for a reader who has everything up to `cursor`.
    pub fn read(&self, cursor: Position) -> Read<'_> {
        if cursor < self.base {
            let reason =
                if cursor.epoch == self.base.epoch { GapReason::Retention } else { GapReason::Epoch };
            return Read::Gap { to: self.base, reason, recorded: false };
        }
        if cursor > self.head() {
            // What is there was numbered anew. Whoever may just be ahead of us looks at `is_behind` first.
            return Read::Gap { to: self.base, reason: GapReason::Epoch, recorded: false };
        }
        match self.entries.get(self.index_after(cursor)).map(|next| &next.entry) {
            None => Read::UpToDate,
            Some(Entry::Frame(frame)) => Read::Frame(frame),
            Some(Entry::Gap { from, to, reason }) => {
                Read::Gap { to: *to, reason: *reason, recorded: *from == cursor }
            }
        }
    }

    /// Whether a reader at `cursor` has more of this numbering than the log: the log may yet come so far.
    pub fn is_behind(&self, cursor: Position) -> bool {
        let head = self.head();
        cursor.epoch == head.epoch && cursor.offset > head.offset
    }

    /// Bytes of the frames that a reader at `cursor` has not had.
    pub fn bytes_after(&self, cursor: Position) -> usize {
        self.added_since(self.index_after(cursor))
    }

    /// Whether a reader at `cursor` would still find everything after so many entries with so many bytes came.
    pub fn has_room(&self, cursor: Position, entries: usize, bytes: usize) -> bool {
        let LogLimits { bytes: bytes_max, entries: entries_max } = self.limits;
        let unread = self.entries.len() - self.index_after(cursor);
        // The newest entry stays, however large: one who has read everything loses nothing.
        unread == 0 || (unread + entries <= entries_max && self.bytes_after(cursor) + bytes <= bytes_max)
    }

    /// Whether what a reader at `cursor` has not had would fill one part in `parts` of the log at most.
    pub fn fills_at_most(&self, cursor: Position, parts: usize) -> bool {
        let unread = self.entries.len() - self.index_after(cursor);
        unread <= self.limits.entries / parts && self.bytes_after(cursor) <= self.limits.bytes / parts
    }

    fn index_after(&self, cursor: Position) -> usize {
        // Most readers have everything, or lack the last entry.
        let has = |index: usize| self.entries[index].entry.end() <= cursor;
        match self.entries.len() {
            0 => 0,
            count if has(count - 1) => count,
            1 => 0,
            count if has(count - 2) => count - 1,
            _ => self.entries.partition_point(|recorded| recorded.entry.end() <= cursor),
        }
    }

    /// Bytes of the entries from `index` on.
    fn added_since(&self, index: usize) -> usize {
        self.entries.get(index).map_or(0, |first| (self.added - first.before) as usize)
    }

    fn append(&mut self, entry: Entry) {
        let before = self.added;
        self.added += entry.bytes() as u64;
        self.entries.push_back(Recorded { entry, before });
        // The newest entry stays, however large.
        while self.entries.len() > 1
            && (self.bytes() > self.limits.bytes || self.entries.len() > self.limits.entries)
        {
            if let Some(oldest) = self.entries.pop_front() {
                self.base = oldest.entry.end();
            }
        }
    }
}

/// Whether a receiver at `position` takes `frame`: the delivery rule.
pub fn covers(frame: &Frame, position: Position) -> bool {
    let header = frame.header();
    header.epoch == position.epoch && header.after <= position.offset && position.offset < header.last
}

#[cfg(test)]
mod tests {
    use tiercast_codec::{Event, Message, Sealer, SigningKey};

    use super::*;

    const LIMITS: LogLimits = LogLimits { bytes: 1 << 20, entries: 4 };

    fn at(epoch: u64, offset: i64) -> Position {
        Position::new(epoch, offset)
    }

    fn frame(epoch: u64, after: i64, last: i64) -> Frame {
        let event = Event { offset: last, message: Message::default() };
        let channel = "test".parse().unwrap();
        let key = SigningKey::from_seed(&[1; 32]);
        Sealer::default().seal(&channel, at(epoch, after), last, 0, &[event], &key).unwrap()
    }

    fn log_of(frames: &[(u64, i64, i64)]) -> FrameLog {
        let mut log = FrameLog::new(LIMITS, at(frames[0].0, frames[0].1));
        for (epoch, after, last) in frames {
            log.push(frame(*epoch, *after, *last));
        }
        log
    }

    #[test]
    fn a_reader_inside_a_frame_gets_that_frame() {
        let log = log_of(&[(1, -1, 3), (1, 3, 9)]);
        let position = |cursor| match log.read(cursor) {
            Read::Frame(frame) => Some(frame.position()),
            _ => None,
        };
        assert_eq!(position(at(1, -1)), Some(at(1, 3)));
        assert_eq!(position(at(1, 2)), Some(at(1, 3)));
        assert_eq!(position(at(1, 3)), Some(at(1, 9)));
        assert_eq!(log.read(at(1, 9)), Read::UpToDate);
    }

    #[test]
    fn a_reader_beyond_the_head_is_ahead_of_the_log_or_has_seen_another_numbering() {
        let log = log_of(&[(1, -1, 3), (1, 3, 9)]);
        assert!(!log.is_behind(at(1, 9)));
        assert!(log.is_behind(at(1, 12)));
        assert!(!log.is_behind(at(2, 12)));
        for cursor in [at(1, 12), at(2, 0)] {
            let gap = Read::Gap { to: at(1, -1), reason: GapReason::Epoch, recorded: false };
            assert_eq!(log.read(cursor), gap);
        }
    }

    #[test]
    fn a_reader_that_falls_off_the_tail_is_told_so() {
        let log = log_of(&[(1, -1, 0), (1, 0, 1), (1, 1, 2), (1, 2, 3), (1, 3, 4)]);
        assert_eq!(log.base(), at(1, 0), "four entries are kept");
        assert_eq!(
            log.read(at(1, -1)),
            Read::Gap { to: at(1, 0), reason: GapReason::Retention, recorded: false }
        );
        assert!(matches!(log.read(at(1, 0)), Read::Frame(_)));
    }

    #[test]
    fn a_new_numbering_is_a_gap_exactly_where_the_old_one_ended() {
        let mut log = log_of(&[(1, -1, 5)]);
        log.jump(at(2, -1), GapReason::Epoch);
        log.push(frame(2, -1, 0));
        assert!(matches!(log.read(at(1, 4)), Read::Frame(_)));
        let gap = |recorded| Read::Gap { to: at(2, -1), reason: GapReason::Epoch, recorded };
        assert_eq!(log.read(at(1, 5)), gap(true));
        assert_eq!(log.read(at(1, 7)), gap(false), "somebody who saw more of the old numbering than we did");
        assert!(matches!(log.read(at(2, -1)), Read::Frame(_)));
    }

    #[test]
    fn a_numbering_that_sorts_before_the_old_one_empties_the_log() {
        let mut log = log_of(&[(7, -1, 5)]);
        log.jump(at(3, -1), GapReason::Epoch);
        log.push(frame(3, -1, 0));
        assert_eq!(
            log.read(at(7, 5)),
            Read::Gap { to: at(3, -1), reason: GapReason::Epoch, recorded: false }
        );
        assert!(matches!(log.read(at(3, -1)), Read::Frame(_)));
    }

    #[test]
    fn a_hole_in_the_numbering_is_a_gap_and_a_reader_inside_it_skips_the_rest() {
        let mut log = log_of(&[(1, -1, 5)]);
        log.jump(at(1, 90), GapReason::Source);
        log.push(frame(1, 90, 91));
        for (cursor, recorded) in [(5, true), (40, false)] {
            let gap = Read::Gap { to: at(1, 90), reason: GapReason::Source, recorded };
            assert_eq!(log.read(at(1, cursor)), gap);
        }
    }

    #[test]
    fn bytes_count_what_is_kept_and_what_is_ahead_of_a_reader() {
        let log = log_of(&[(1, -1, 0), (1, 0, 1), (1, 1, 2), (1, 2, 3), (1, 3, 4)]);
        let each = log.bytes() / 4;
        assert_eq!(log.bytes_after(at(1, 0)), 4 * each);
        assert_eq!(log.bytes_after(at(1, 2)), 2 * each);
        assert_eq!(log.bytes_after(at(1, 4)), 0);
    }

    #[test]
    fn there_is_room_as_long_as_nothing_unread_has_to_go() {
        let log = log_of(&[(1, -1, 0), (1, 0, 1), (1, 1, 2), (1, 2, 3)]);
        assert!(!log.has_room(at(1, -1), 1, 10), "four entries are all it keeps");
        assert!(log.has_room(at(1, 0), 1, 10));
        assert!(!log.has_room(at(1, 0), 2, 10), "a gap and a frame are two");
        assert!(!log.has_room(at(1, 0), 1, 2 << 20), "too large beside what is unread");
        assert!(log.has_room(at(1, 3), 1, 2 << 20), "nothing is unread");
    }

    #[test]
    fn what_is_unread_fills_a_part_of_the_log_by_entries_and_by_bytes() {
        let mut log = log_of(&[(1, -1, 0), (1, 0, 1), (1, 1, 2), (1, 2, 3)]);
        assert!(!log.fills_at_most(at(1, 0), 2));
        assert!(log.fills_at_most(at(1, 1), 2));
        assert!(!log.fills_at_most(at(1, 1), 4));
        assert!(log.fills_at_most(at(1, 2), 4));
        log.limits.bytes = log.bytes();
        assert!(log.fills_at_most(at(1, 1), 2));
        log.limits.bytes -= 2;
        assert!(!log.fills_at_most(at(1, 1), 2), "more than half of the bytes");
    }
}
