//! A windowed cursor over a log: what one receiver has been sent, at most a window ahead of what it has said that it
//! has. The server's sessions and a parent's links are served by the same.

use std::{collections::VecDeque, num::NonZeroU32};

use tiercast_codec::{Frame, Head, Position};

use crate::{FrameLog, Read};

/// What is under way is remembered in this many parts of a window: a receiver costs the same few bytes whatever window it
/// asks for and however small the frames are. That is finer than the quarters in which receivers acknowledge.
const PARTS: usize = 8;

/// How far a receiver has been sent a log.
#[derive(Debug)]
pub(crate) struct Cursor {
    position: Position,
    window_bytes: usize,
    in_flight: VecDeque<Part>,
    in_flight_bytes: usize,
    head_time_us: u64,
}

/// Frames that were sent one after the other and are acknowledged together.
#[derive(Debug)]
struct Part {
    end: Position,
    bytes: usize,
}

impl Cursor {
    /// A cursor for a receiver that has everything up to `position`.
    pub(crate) fn new(position: Position, window_bytes: NonZeroU32) -> Self {
        Self {
            position,
            window_bytes: window_bytes.get() as usize,
            in_flight: VecDeque::new(),
            in_flight_bytes: 0,
            head_time_us: 0,
        }
    }

    /// What the receiver has, or will have when all that was sent has arrived.
    pub(crate) fn position(&self) -> Position {
        self.position
    }

    /// Whether nothing is to be sent now: while a window is under way (the receiver may then fall off the log, and is told so
    /// when it goes on), and while the receiver is ahead of the log.
    pub(crate) fn waits(&self, log: &FrameLog) -> bool {
        self.in_flight_bytes >= self.window_bytes || log.is_behind(self.position)
    }

    /// What comes next for the receiver; nothing while it [waits](Self::waits).
    pub(crate) fn read<'a>(&self, log: &'a FrameLog) -> Read<'a> {
        if self.waits(log) { Read::UpToDate } else { log.read(self.position) }
    }

    /// This frame, which came next, was sent.
    pub(crate) fn sent(&mut self, frame: &Frame) {
        let (end, bytes) = (frame.position(), frame.bytes().len());
        self.position = end;
        self.in_flight_bytes += bytes;
        match self.in_flight.back_mut() {
            Some(part) if part.bytes + bytes <= self.window_bytes / PARTS => {
                *part = Part { end, bytes: part.bytes + bytes }
            }
            _ => self.in_flight.push_back(Part { end, bytes }),
        }
    }

    /// The receiver learns that it goes on at `to`. That weighs nothing.
    pub(crate) fn skip(&mut self, to: Position) {
        if to < self.position {
            // A numbering that sorts before the old one: no position in it acknowledges anything of the old one.
            self.in_flight.clear();
            self.in_flight_bytes = 0;
        }
        self.position = to;
    }

    /// The receiver says that it has everything up to `position`, whoever sent it that: what lies before is neither under
    /// way any more nor to be sent.
    pub(crate) fn acknowledge(&mut self, log: &FrameLog, position: Position) {
        while let Some(part) = self.in_flight.pop_front_if(|part| part.end <= position) {
            self.in_flight_bytes -= part.bytes;
        }
        // A numbering that is newer than the log's says nothing about where in the log the receiver is.
        if position > self.position && position.epoch <= log.head().epoch {
            self.position = position;
        }
    }

    /// A head that the receiver has not been sent and that says nothing about what is still to come.
    pub(crate) fn next_head<'a>(&mut self, head: Option<&'a Head>) -> Option<&'a Head> {
        let head = head.filter(|head| head.time_us > self.head_time_us && head.position <= self.position)?;
        self.head_time_us = head.time_us;
        Some(head)
    }
}

#[cfg(test)]
mod tests {
    use tiercast_codec::{BEFORE_FIRST, Event, GapReason, Message, Sealer, SigningKey};

    use super::*;
    use crate::LogLimits;

    const EPOCH: u64 = 7;
    const START: Position = Position { epoch: EPOCH, offset: BEFORE_FIRST };

    fn at(offset: i64) -> Position {
        Position::new(EPOCH, offset)
    }

    /// A log with so many frames of one event each, and the size of one.
    fn log(frames: i64) -> (FrameLog, usize) {
        let mut log = FrameLog::new(LogLimits { bytes: 1 << 20, entries: 1_000 }, START);
        (0..frames).for_each(|_| push(&mut log));
        let bytes = log.bytes() / frames as usize;
        (log, bytes)
    }

    fn push(log: &mut FrameLog) {
        let last = log.head().offset + 1;
        let event = Event { offset: last, message: Message::default() };
        let key = SigningKey::from_seed(&[1; 32]);
        let frame = Sealer::default().seal(&"test".parse().unwrap(), log.head(), last, 0, &[event], &key);
        log.push(frame.unwrap());
    }

    fn cursor(position: Position, window_bytes: usize) -> Cursor {
        Cursor::new(position, NonZeroU32::new(window_bytes as u32).unwrap())
    }

    /// Sends what may be sent. How many frames that were.
    fn send(cursor: &mut Cursor, log: &FrameLog) -> usize {
        let mut sent = 0;
        while let Read::Frame(frame) = cursor.read(log) {
            cursor.sent(frame);
            sent += 1;
        }
        sent
    }

    #[test]
    fn a_frame_is_begun_as_long_as_less_than_a_window_is_under_way() {
        let (log, bytes) = log(100);
        let mut cursor = cursor(START, 10 * bytes + 1);
        assert_eq!(send(&mut cursor, &log), 11);
        cursor.acknowledge(&log, at(4));
        assert_eq!(send(&mut cursor, &log), 5);
        cursor.acknowledge(&log, at(4));
        assert_eq!(send(&mut cursor, &log), 0, "that is not news");
    }

    #[test]
    fn one_frame_is_always_under_way_however_small_the_window_is() {
        let (log, _) = log(3);
        let mut cursor = cursor(START, 1);
        for offset in 0..3 {
            assert_eq!(send(&mut cursor, &log), 1);
            cursor.acknowledge(&log, at(offset));
        }
    }

    #[test]
    fn whoever_acknowledges_in_quarters_is_never_left_waiting_and_costs_little() {
        let (log, bytes) = log(900);
        let mut cursor = cursor(START, 100 * bytes);
        assert_eq!(send(&mut cursor, &log), 100);
        let mut received = 0;
        while received + 25 < 900 {
            received += 25;
            cursor.acknowledge(&log, at(received - 1));
            send(&mut cursor, &log);
            let ahead = cursor.position().offset + 1 - received;
            assert!((75..=100).contains(&ahead) || cursor.position() == log.head(), "{ahead} frames ahead");
            assert!(cursor.in_flight.len() <= 2 * PARTS + 1, "{}", cursor.in_flight.len());
        }
        assert_eq!(cursor.position(), log.head());
    }

    #[test]
    fn what_the_receiver_has_from_elsewhere_is_not_sent() {
        let (mut log, bytes) = log(100);
        let mut cursor = cursor(START, 10 * bytes);
        send(&mut cursor, &log);
        cursor.acknowledge(&log, at(79));
        assert_eq!(cursor.position(), at(79));
        assert_eq!(send(&mut cursor, &log), 10);
        // One who is ahead of the log is waited for.
        cursor.acknowledge(&log, at(100));
        assert_eq!(send(&mut cursor, &log), 0);
        (0..3).for_each(|_| push(&mut log));
        assert_eq!(send(&mut cursor, &log), 2);
    }

    #[test]
    fn one_who_has_a_newer_numbering_than_the_log_stays_where_it_is() {
        let (mut log, bytes) = log(20);
        let mut cursor = cursor(START, 10 * bytes);
        assert_eq!(send(&mut cursor, &log), 10);
        cursor.acknowledge(&log, Position::new(EPOCH + 1, 4));
        assert_eq!(cursor.position(), at(9));
        assert_eq!(send(&mut cursor, &log), 10, "nothing of that is under way any more");
        log.jump(Position::new(EPOCH + 1, BEFORE_FIRST), GapReason::Epoch);
        (0..7).for_each(|_| push(&mut log));
        cursor.acknowledge(&log, Position::new(EPOCH + 1, 4));
        assert_eq!(send(&mut cursor, &log), 2, "now the log knows it");
    }

    #[test]
    fn a_numbering_that_sorts_before_the_old_one_begins_with_nothing_under_way() {
        let (mut log, bytes) = log(20);
        let mut cursor = cursor(START, 4 * bytes);
        assert_eq!(send(&mut cursor, &log), 4);
        cursor.acknowledge(&log, at(0));
        log.jump(Position::new(EPOCH - 1, BEFORE_FIRST), GapReason::Epoch);
        (0..20).for_each(|_| push(&mut log));
        let Read::Gap { to, .. } = cursor.read(&log) else { panic!("no gap") };
        cursor.skip(to);
        assert_eq!(send(&mut cursor, &log), 4);
        cursor.acknowledge(&log, Position::new(EPOCH - 1, 3));
        assert_eq!(send(&mut cursor, &log), 4);
    }

    #[test]
    fn a_head_is_sent_once_and_after_all_that_it_speaks_of() {
        let (log, bytes) = log(2);
        let head = Head::sign(&"test".parse().unwrap(), log.head(), 5, &SigningKey::from_seed(&[1; 32]));
        let mut cursor = cursor(START, bytes);
        send(&mut cursor, &log);
        assert_eq!(cursor.next_head(Some(&head)), None);
        cursor.acknowledge(&log, at(0));
        send(&mut cursor, &log);
        assert_eq!(cursor.next_head(Some(&head)), Some(&head));
        assert_eq!(cursor.next_head(Some(&head)), None);
    }
}
