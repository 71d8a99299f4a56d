//! What came before its turn: frames behind one that is lost or late, and the holes before them.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tiercast_codec::{BEFORE_FIRST, Frame, Nack, Position, limits::FRAME_BYTES_MAX};

use crate::{Held, Time, covers};

/// Holes that are asked for at a time.
const HOLES_MAX: usize = 8;

/// How often a hole is asked for. After that it is up to the server.
const TIMES_MAX: u32 = 6;

/// Frames that wait for others.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    /// By where they begin, and by what is to come before them: that is the same but for the first frame of a numbering, which
    /// waits for all that is known to be missing of the one before.
    frames: BTreeMap<(Position, Position), Frame>,
    bytes: usize,
    /// How far whoever feeds us says that it has sent.
    end: Option<Position>,
    /// What was asked for, by where it begins.
    asked: BTreeMap<Position, Asked>,
}

#[derive(Debug, Clone, Copy)]
struct Asked {
    at: Time,
    times: u32,
}

impl Ahead {
    /// Keeps a frame until we have everything up to `before`. There is room for a window and the frame with which that is
    /// exceeded: nobody who keeps to it sends more. False if there is none.
    pub(super) fn put(&mut self, frame: Frame, before: Position, window_bytes: usize) -> bool {
        let has_room = self.bytes < window_bytes;
        if has_room && !self.holds(&frame, before) {
            self.bytes += frame.bytes().len();
            self.frames.insert((frame.position_before(), before), frame);
        }
        has_room
    }

    /// What waits, beside its bound.
    pub(super) fn held(&self, window_bytes: usize) -> Held {
        Held { what: "ahead", bytes: self.bytes, bytes_max: window_bytes + FRAME_BYTES_MAX }
    }

    /// Whether a frame waits already, for the same.
    pub(super) fn holds(&self, frame: &Frame, before: Position) -> bool {
        self.frames.contains_key(&(frame.position_before(), before))
    }

    /// What is to come before the first frame that waits.
    pub(super) fn first(&self) -> Option<Position> {
        self.frames.first_key_value().map(|((_, before), _)| *before)
    }

    /// Whoever feeds us has sent everything up to `position`. While something of our numbering is missing, how far the next
    /// one is does not count.
    pub(super) fn ends_at(&mut self, position: Position, ours: Position) {
        let is_later = position.epoch > ours.epoch || Some(position) <= self.end;
        if !(self.lacks(ours).is_some() && is_later) {
            self.end = Some(position);
        }
    }

    /// Whoever said how far it has sent feeds us no more.
    pub(super) fn forget_end(&mut self) {
        self.end = None;
    }

    /// How far we know to be missing something.
    pub(super) fn goal(&self, ours: Position) -> Option<Position> {
        self.first().or(self.end).filter(|goal| *goal > ours)
    }

    /// How far something of the numbering of `ours` is missing, by whoever feeds us.
    pub(super) fn lacks(&self, ours: Position) -> Option<Position> {
        self.end.filter(|end| end.epoch == ours.epoch && *end > ours)
    }

    /// The frame whose turn it is, where we have everything up to `ours`.
    pub(super) fn next(&mut self, ours: Position) -> Option<Frame> {
        let lacks = self.lacks(ours).is_some();
        while let Some(entry) = self.frames.first_entry() {
            let (_, before) = *entry.key();
            let begins = begins_anew(entry.get(), ours);
            if before > ours || (begins && lacks) {
                break;
            }
            let frame = entry.remove();
            self.bytes -= frame.bytes().len();
            if begins || covers(&frame, ours) {
                return Some(frame);
            }
        }
        None
    }

    /// Nothing that came is of use any more.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// What lies between what we have and what we know to be there.
    fn holes(&self, ours: Position) -> Vec<Nack> {
        let mut holes = Vec::new();
        let mut after = ours;
        for ((_, to), frame) in &self.frames {
            if *to > after {
                holes.push(Nack { after, to: *to });
            }
            after = after.max(frame.position());
        }
        holes.extend(self.end.filter(|end| *end > after).map(|to| Nack { after, to }));
        holes.truncate(HOLES_MAX);
        holes
    }

    /// The holes to ask for now, each with how often that was done before; a hole is asked for again after `pause`.
    pub(super) fn ask(&mut self, now: Time, ours: Position, pause: Duration) -> Vec<(Nack, u32)> {
        let holes = self.holes(ours);
        let there: BTreeSet<_> = holes.iter().map(|hole| hole.after).collect();
        self.asked.retain(|after, _| there.contains(after));
        let mut due = Vec::new();
        for hole in holes {
            let times = match self.asked.get(&hole.after) {
                None => 0,
                Some(asked) if asked.times < TIMES_MAX && now >= asked.at + pause => asked.times,
                Some(_) => continue,
            };
            self.asked.insert(hole.after, Asked { at: now, times: times + 1 });
            due.push((hole, times));
        }
        due
    }

    /// When there is a hole to ask for again.
    pub(super) fn ask_at(&self, pause: Duration) -> Option<Time> {
        let open = self.asked.values().filter(|asked| asked.times < TIMES_MAX);
        open.map(|asked| asked.at + pause).min()
    }
}

/// Whether a frame is the first one of a numbering after that of `ours`.
pub(super) fn begins_anew(frame: &Frame, ours: Position) -> bool {
    frame.header().epoch > ours.epoch && frame.header().after == BEFORE_FIRST
}

#[cfg(test)]
mod tests {
    use tiercast_codec::{ChannelName, Event, Message, Sealer, SigningKey};

    use super::*;

    const PAUSE: Duration = Duration::from_millis(100);

    fn at(offset: i64) -> Position {
        Position::new(7, offset)
    }

    /// A frame with the event of this offset.
    fn frame(offset: i64) -> Frame {
        frame_of(at(0).epoch, offset)
    }

    fn frame_of(epoch: u64, offset: i64) -> Frame {
        let channel: ChannelName = "test".parse().unwrap();
        let event = Event { offset, message: Message::default() };
        let key = SigningKey::from_seed(&[1; 32]);
        Sealer::default().seal(&channel, Position::new(epoch, offset - 1), offset, 0, &[event], &key).unwrap()
    }

    fn ahead(offsets: &[i64]) -> Ahead {
        let mut ahead = Ahead::default();
        offsets.iter().for_each(|offset| assert!(ahead.put(frame(*offset), at(offset - 1), usize::MAX)));
        ahead
    }

    fn hole(after: i64, to: i64) -> Nack {
        Nack { after: at(after), to: at(to) }
    }

    #[test]
    fn frames_wait_for_their_turn_and_no_longer() {
        let mut ahead = ahead(&[9, 3, 5, 4]);
        assert_eq!(ahead.next(at(1)), None);
        for offset in [3, 4, 5] {
            assert_eq!(ahead.next(at(offset - 1)), Some(frame(offset)));
        }
        assert_eq!(ahead.next(at(9)), None, "it came meanwhile");
        assert_eq!(ahead.bytes, 0);
    }

    #[test]
    fn there_is_room_for_a_window_and_a_frame() {
        let mut ahead = Ahead::default();
        let bytes = frame(3).bytes().len();
        let kept = [3, 4, 5].map(|offset| ahead.put(frame(offset), at(offset - 1), bytes + 1));
        assert_eq!(kept, [true, true, false]);
        assert_eq!((ahead.frames.len(), ahead.bytes), (2, 2 * bytes));
    }

    #[test]
    fn regression_how_far_the_next_numbering_is_does_not_hide_what_is_missing_of_ours() {
        let mut ahead = Ahead::default();
        ahead.ends_at(at(7), at(5));
        ahead.ends_at(Position::new(8, 3), at(5));
        assert_eq!(ahead.lacks(at(5)), Some(at(7)));
        ahead.ends_at(at(6), at(5));
        assert_eq!(
            [6, 7].map(|ours| ahead.lacks(at(ours))),
            [Some(at(7)), None],
            "what was said first came later"
        );
        let (next, ours) = (Position::new(8, 3), Position::new(8, 2));
        ahead.ends_at(next, at(7));
        assert_eq!(ahead.lacks(ours), Some(next));
        ahead.forget_end();
        assert_eq!(ahead.lacks(ours), None);
    }

    #[test]
    fn regression_a_new_numbering_waits_for_the_old_one_whoever_feeds_us_by_then() {
        let mut ahead = Ahead::default();
        ahead.ends_at(at(3), at(1));
        assert!(ahead.put(frame_of(8, 0), at(3), usize::MAX));
        ahead.forget_end();
        assert_eq!(ahead.ask(Time(0), at(1), PAUSE), [(hole(1, 3), 0)]);
        assert!(ahead.put(frame(4), at(3), usize::MAX), "another had more of it");
        assert_eq!(ahead.next(at(2)), None);
        assert_eq!(ahead.next(at(3)), Some(frame(4)));
        assert_eq!(ahead.next(at(4)), Some(frame_of(8, 0)));
    }

    #[test]
    fn holes_are_asked_for_at_once_and_again_after_a_while_but_not_for_ever() {
        let mut ahead = ahead(&[3, 7]);
        ahead.ends_at(at(9), at(1));
        let all = [hole(1, 2), hole(3, 6), hole(7, 9)];
        assert_eq!(ahead.ask(Time(0), at(1), PAUSE), all.map(|hole| (hole, 0)));
        assert_eq!(ahead.ask(Time(99_999), at(1), PAUSE), []);
        assert_eq!(ahead.ask_at(PAUSE), Some(Time(100_000)));
        assert_eq!(ahead.next(at(2)), Some(frame(3)));
        assert_eq!(ahead.ask(Time(100_000), at(3), PAUSE), [(all[1], 1), (all[2], 1)]);
        for time in 2..10 {
            ahead.ask(Time(time * 100_000), at(3), PAUSE);
        }
        assert_eq!((ahead.ask(Time(9_000_000), at(3), PAUSE), ahead.ask_at(PAUSE)), (vec![], None));
    }
}
