//! Frames as plain clients get them: decoded once, and written once in each form, for all who read them.

use std::{
    collections::{HashMap, VecDeque},
    ops::Range,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use bytes::Bytes;
use tiercast_codec::{ChannelName, Epoch, Event, Frame, Offset, Position};
use tiercast_mesh::hub::Portion;

mod event_json;
mod forms;
mod plain_json;

pub(crate) use forms::Form;

/// What is kept for a frame is reckoned as so many times its events: decoded, and in each form.
const COPIES: usize = 5;

/// The frames that were written last. What falls out is written again for those who are that far behind.
#[derive(Debug)]
pub(crate) struct Sheets {
    bytes_max: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    by_range: HashMap<Key, Arc<Sheet>>,
    /// Oldest first.
    order: VecDeque<(Key, usize)>,
    bytes: usize,
}

/// Two frames that cover the same range hold the same events.
type Key = (ChannelName, Epoch, Offset, Offset);

/// A frame's events, and how they are written.
#[derive(Debug)]
pub(crate) struct Sheet {
    channel: ChannelName,
    frame: Frame,
    events: OnceLock<Vec<Event>>,
    forms: [OnceLock<Written>; 4],
}

/// All events of a frame, one after the other.
#[derive(Debug)]
struct Written {
    bytes: Bytes,
    /// Where each ends.
    ends: Vec<usize>,
}

impl Sheets {
    /// Keeps about so many bytes.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, kept: Mutex::default() }
    }

    /// The sheet of a frame of ours.
    pub(crate) fn of(&self, channel: &ChannelName, frame: &Frame) -> Arc<Sheet> {
        let header = frame.header();
        let key = (channel.clone(), header.epoch, header.after, header.last);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sheet) = kept.by_range.get(&key) {
            return sheet.clone();
        }
        let sheet = Arc::new(Sheet {
            channel: channel.clone(),
            frame: frame.clone(),
            events: OnceLock::new(),
            forms: Default::default(),
        });
        kept.add(key, header.inflated_bytes as usize * COPIES, sheet.clone(), self.bytes_max);
        sheet
    }

    /// About how many bytes are kept.
    pub(crate) fn bytes(&self) -> usize {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).bytes
    }
}

impl Kept {
    fn add(&mut self, key: Key, bytes: usize, sheet: Arc<Sheet>, bytes_max: usize) {
        self.by_range.insert(key.clone(), sheet);
        self.order.push_back((key, bytes));
        self.bytes += bytes;
        while self.bytes > bytes_max
            && let Some((oldest, bytes)) = self.order.pop_front()
        {
            self.by_range.remove(&oldest);
            self.bytes -= bytes;
        }
    }
}

impl Sheet {
    fn events(&self) -> &[Event] {
        self.events.get_or_init(|| self.frame.events().expect("the hub has sealed it"))
    }

    /// Where one is who has had the nth event.
    pub(crate) fn position(&self, nth: usize) -> Position {
        Position::new(self.frame.header().epoch, self.events()[nth].offset)
    }

    /// One event in a form.
    pub(crate) fn event(&self, form: Form, nth: usize) -> Bytes {
        self.written(form).slice(nth..nth + 1)
    }

    /// These events in a form: all at once, or in pieces where others lie between. Few are a copy, lest whoever reads them
    /// slowly keeps all of the frame in memory.
    pub(crate) fn pieces(&self, form: Form, wanted: &[usize]) -> Vec<Bytes> {
        let written = self.written(form);
        let pieces: Vec<_> = runs(wanted).into_iter().map(|run| written.slice(run)).collect();
        let length: usize = pieces.iter().map(Bytes::len).sum();
        if pieces.is_empty() || 2 * length >= written.bytes.len() {
            return pieces;
        }
        vec![pieces.concat().into()]
    }

    /// Which events a portion holds.
    pub(crate) fn wanted(&self, portion: &Portion) -> impl Iterator<Item = usize> {
        let held = self.events().iter().enumerate().filter(|(_, event)| portion.holds(event));
        held.map(|(nth, _)| nth)
    }

    fn written(&self, form: Form) -> &Written {
        self.forms[form as usize].get_or_init(|| {
            let mut bytes = Vec::new();
            let write = |(nth, event): (usize, &Event)| {
                let position = self.position(nth);
                forms::write(&mut bytes, form, &self.channel, position, event);
                bytes.len()
            };
            let ends = self.events().iter().enumerate().map(write).collect();
            Written { bytes: bytes.into(), ends }
        })
    }
}

impl Written {
    fn slice(&self, events: Range<usize>) -> Bytes {
        let begin = events.start.checked_sub(1).map_or(0, |before| self.ends[before]);
        self.bytes.slice(begin..events.end.checked_sub(1).map_or(0, |last| self.ends[last]))
    }
}

/// Numbers that follow one another, together.
fn runs(numbers: &[usize]) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for &number in numbers {
        match runs.last_mut() {
            Some(run) if run.end == number => run.end += 1,
            _ => runs.push(number..number + 1),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use tiercast_codec::{BEFORE_FIRST, Message, PatternSet, Sealer, SigningKey};
    use tiercast_mesh::hub::Rights;

    use super::*;

    fn at(offset: i64) -> Position {
        Position::new(7, offset)
    }

    fn channel() -> ChannelName {
        "builds".parse().unwrap()
    }

    /// A frame of four events from `first` on, with routing keys a, b, a, a.
    fn frame(first: i64) -> Frame {
        let message = |key: &str| Message { routing_key: key.into(), ..Message::default() };
        let event = |(offset, key)| Event { offset, message: message(key) };
        let events: Vec<_> = (first..).zip(["a", "b", "a", "a"]).map(event).collect();
        let key = SigningKey::from_seed(&[1; 32]);
        Sealer::default().seal(&channel(), at(first - 1), first + 3, 0, &events, &key).unwrap()
    }

    fn portion(after: i64, patterns: &[&str]) -> Portion {
        let filter =
            PatternSet::new(patterns.iter().map(|pattern| pattern.parse().unwrap()).collect()).into();
        Portion::Events { after: at(after), frame: frame(0), filter, rights: Rights::default() }
    }

    fn pieces(sheet: &Sheet, form: Form, portion: &Portion) -> Vec<Bytes> {
        sheet.pieces(form, &sheet.wanted(portion).collect::<Vec<_>>())
    }

    fn text(pieces: &[Bytes]) -> String {
        pieces.iter().map(|piece| String::from_utf8(piece.to_vec()).unwrap()).collect()
    }

    #[test]
    fn who_wants_all_of_a_frame_gets_it_in_one_piece_that_all_share() {
        let sheets = Sheets::new(1 << 20);
        let whole = portion(BEFORE_FIRST, &[]);
        let [one] = &*pieces(&sheets.of(&channel(), &frame(0)), Form::Json, &whole) else { panic!("pieces") };
        let [other] = &*pieces(&sheets.of(&channel(), &frame(0)), Form::Json, &whole) else {
            panic!("pieces")
        };
        assert_eq!(one.as_ptr(), other.as_ptr());
        assert_eq!(text(std::slice::from_ref(one)).matches("\"position\"").count(), 4);
    }

    #[test]
    fn who_wants_some_gets_these_and_what_follows_its_position() {
        let sheet = Sheets::new(1 << 20).of(&channel(), &frame(0));
        let some = pieces(&sheet, Form::Json, &portion(BEFORE_FIRST, &["a"]));
        assert_eq!(some.len(), 2, "the first, and the last two");
        for (offset, is_there) in [(0, true), (1, false), (2, true), (3, true)] {
            assert_eq!(text(&some).contains(&format!("\"7-{offset}\"")), is_there, "{offset}");
        }
        let rest = text(&pieces(&sheet, Form::Sse, &portion(2, &[])));
        assert!(rest.starts_with("id: 7-3\ndata: {") && rest.ends_with("}\n\n"), "{rest}");
        assert!(pieces(&sheet, Form::Sse, &portion(BEFORE_FIRST, &["c"])).is_empty());
        assert_eq!(sheet.event(Form::Json, 1), event_json::write(&channel(), at(1), &sheet.events()[1]));
    }

    #[test]
    fn regression_who_wants_little_of_a_frame_does_not_keep_the_rest_of_it() {
        let sheet = Sheets::new(1 << 20).of(&channel(), &frame(0));
        let [one] = &*pieces(&sheet, Form::List, &portion(BEFORE_FIRST, &["b"])) else { panic!("pieces") };
        assert_eq!(one, &sheet.event(Form::List, 1));
        assert!(one.is_unique() && !sheet.event(Form::List, 1).is_unique());
    }

    #[test]
    fn what_is_kept_is_bounded_and_the_oldest_goes_first() {
        let each = frame(0).header().inflated_bytes as usize * COPIES;
        let sheets = Sheets::new(2 * each + each / 2);
        let first = sheets.of(&channel(), &frame(0));
        for begin in [4, 8] {
            sheets.of(&channel(), &frame(begin));
        }
        assert_eq!(sheets.bytes(), 2 * each);
        assert!(!Arc::ptr_eq(&first, &sheets.of(&channel(), &frame(0))), "made anew");
    }
}
