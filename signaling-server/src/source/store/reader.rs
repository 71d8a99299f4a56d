//! Reading old events: pages that say where they begin, so that what is gone is told.

use std::{io, path::PathBuf, sync::Arc};

use tiercast_codec::{Event, Offset, Position};
use tiercast_mesh::Time;

use super::{
    Extent, Shared, StoreError,
    folder::failed,
    record::Record,
    say_damaged,
    segment::{Found, Scan},
};

/// Reads the durable events of a channel, from any thread, beside whoever appends.
#[derive(Debug, Clone)]
pub(crate) struct Reader {
    shared: Arc<Shared>,
}

/// How much a page may hold. It holds one event at least, if there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PageLimits {
    pub(crate) events: usize,
    /// As [`tiercast_codec::Message::bytes`] counts.
    pub(crate) bytes: usize,
}

/// Events that follow each other, with nothing missing in between.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Page {
    /// The events are the first ones after this offset. If it is larger than the one that was asked for, what lies between
    /// is gone: removed, or damaged.
    pub(crate) after: Offset,
    /// None if nothing is left up to the last durable event.
    pub(crate) events: Vec<Event>,
}

impl Page {
    /// The offset of its last event.
    pub(crate) fn last(&self) -> Offset {
        self.events.last().map_or(self.after, |event| event.offset)
    }
}

impl Reader {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// The last durable event.
    pub(crate) fn position(&self) -> Position {
        Position::new(self.shared.epoch, self.shared.index().next - 1)
    }

    /// How much there is.
    pub(crate) fn extent(&self) -> Extent {
        let index = self.shared.index();
        let oldest = index.segments.front().map_or(index.next, |oldest| oldest.first);
        Extent { bytes: index.bytes(), oldest, damages: index.damages, syncs: index.syncs }
    }

    /// Before which offset about so many bytes of the newest events begin.
    pub(crate) fn newest(&self, bytes: u64) -> Offset {
        let index = self.shared.index();
        let mut sum = 0;
        let enough = index.segments.iter().rev().find(|segment| {
            sum += segment.bytes;
            sum >= bytes
        });
        enough.or(index.segments.front()).map_or(index.next, |segment| segment.first) - 1
    }

    /// Before which offset the events begin that were written since a time, and perhaps some that are older.
    pub(crate) fn before(&self, time: Time) -> Offset {
        let index = self.shared.index();
        let since = index.segments.iter().find(|segment| segment.written >= time);
        since.map_or(index.next, |segment| segment.first) - 1
    }

    /// Shows every event after an offset, and when it was published.
    pub(crate) fn each(&self, after: Offset, mut show: impl FnMut(Time, Event)) -> Result<(), StoreError> {
        let mut walk = self.walk(after);
        while let Some(record) = walk.next()? {
            let later = record.events().filter(|event| event.offset > after);
            later.for_each(|event| show(record.header.time, event));
        }
        Ok(())
    }

    /// The next events after an offset.
    pub(crate) fn read(&self, after: Offset, limits: PageLimits) -> Result<Page, StoreError> {
        let end = self.position().offset;
        let (mut page, mut walk, mut bytes) = (Page { after, events: Vec::new() }, self.walk(after), 0);
        while let Some(record) = walk.next()? {
            let before = record.header.first - 1;
            if before > page.last() {
                if !page.events.is_empty() {
                    return Ok(page);
                }
                page.after = before;
            }
            let last = page.last();
            for event in record.events().filter(|event| event.offset > last) {
                bytes += event.message.bytes();
                let is_full = page.events.len() >= limits.events || bytes > limits.bytes;
                if is_full && !page.events.is_empty() {
                    return Ok(page);
                }
                page.events.push(event);
            }
        }
        if page.events.is_empty() {
            page.after = after.max(end);
        }
        Ok(page)
    }

    /// Every whole record that ends after an offset, oldest first.
    fn walk(&self, after: Offset) -> Walk {
        Walk { shared: self.shared.clone(), after, scan: None }
    }
}

/// Goes from record to record, through all segments.
#[derive(Debug)]
struct Walk {
    shared: Arc<Shared>,
    after: Offset,
    scan: Option<Reading>,
}

/// A segment that is being read.
#[derive(Debug)]
struct Reading {
    first: Offset,
    /// Where the next one begins: what stands in this one from there on was taken back.
    until: Offset,
    path: PathBuf,
    scan: Scan,
}

impl Walk {
    fn next(&mut self) -> Result<Option<Record>, StoreError> {
        loop {
            let Some(reading) = &mut self.scan else {
                self.scan = self.open(self.after + 1)?;
                if self.scan.is_none() {
                    return Ok(None);
                }
                continue;
            };
            match reading.scan.next().map_err(failed(&reading.path))? {
                Found::Record(at, record) if record.header.first < reading.until => {
                    self.shared.mark(reading.first, record.header.first, at);
                    if record.header.last() > self.after {
                        self.after = record.header.last();
                        return Ok(Some(record));
                    }
                }
                Found::Damage(_) => self.shared.damaged(reading.first, reading.scan.next_offset()),
                Found::Torn(_) => {}
                Found::Record(..) | Found::End => {
                    let (until, next) = (reading.until, reading.scan.next_offset());
                    if next < until && until < Offset::MAX {
                        self.shared.damaged(reading.first, next);
                    }
                    self.scan = if until == Offset::MAX { None } else { self.open(until)? };
                    if self.scan.is_none() {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// The segment that has `offset`, or the first one after it.
    fn open(&self, mut offset: Offset) -> Result<Option<Reading>, StoreError> {
        while let Some((first, until, mark, bytes)) = self.shared.find(offset) {
            let path = self.shared.path(first);
            match Scan::open(&path, self.shared.epoch, mark.0, mark.1, bytes) {
                Ok(scan) => return Ok(Some(Reading { first, until, path, scan })),
                // Removed meanwhile, or by somebody else.
                Err(error) if error.kind() == io::ErrorKind::NotFound && until < Offset::MAX => {
                    self.shared.damaged(first, first);
                    offset = offset.max(until);
                }
                Err(error) => return Err(failed(&path)(error)),
            }
        }
        Ok(None)
    }
}

impl Shared {
    /// The segment to read for `offset`: its first offset, where the next one begins, from which record on, and its length.
    fn find(&self, offset: Offset) -> Option<(Offset, Offset, (Offset, u64), u64)> {
        let index = self.index();
        if offset >= index.next {
            return None;
        }
        let nth = index.segments.partition_point(|segment| segment.first <= offset).saturating_sub(1);
        let segment = index.segments.get(nth)?;
        let until = index.segments.get(nth + 1).map_or(Offset::MAX, |next| next.first);
        let mark = segment.marks.range(..=offset).next_back();
        let mark = mark.map_or((segment.first, 0), |(offset, place)| (*offset, *place));
        Some((segment.first, until, mark, segment.bytes))
    }

    fn mark(&self, segment: Offset, offset: Offset, place: u64) {
        let mut index = self.index();
        if let Some(segment) = index.segments.iter_mut().find(|other| other.first == segment) {
            segment.mark(offset, place);
        }
    }

    /// Says once of each segment that some of it is gone, from an offset on.
    fn damaged(&self, segment: Offset, offset: Offset) {
        let mut index = self.index();
        let damaged = index.segments.iter_mut().find(|other| other.first == segment);
        if let Some(damaged) = damaged.filter(|damaged| !damaged.is_damaged) {
            damaged.is_damaged = true;
            index.damages += 1;
            say_damaged(&self.path(segment), offset);
        }
    }
}
