//! What turns events into signed frames: those that are published now, and pages of the past.

use tiercast_codec::{ChannelName, Event, Frame, GapReason, Offset, Position, Sealer, Signer};

use crate::{BatchLimits, FrameLog, LogLimits, Page, PageEntry, Time, batch::Batch};

/// A page is as large as it is.
const WHOLE: LogLimits = LogLimits { bytes: usize::MAX, entries: usize::MAX };

/// What the hub seals and signs with.
pub(super) struct Press<'a> {
    pub(super) sealer: &'a mut Sealer,
    pub(super) signer: &'a dyn Signer,
}

impl Press<'_> {
    /// Seals all that the channel has after `before` and up to `last`. Events are in order, and each fits a frame.
    pub(super) fn seal(
        &mut self,
        now: Time,
        channel: &ChannelName,
        before: Position,
        last: Offset,
        events: &[Event],
    ) -> Frame {
        self.sealer
            .seal(channel, before, last, now.0, events, self.signer)
            .expect("events are checked for size and order before they are sealed")
    }

    /// Seals a page of the past, frame by frame as it would have been when it was published.
    pub(super) fn seal_page(
        &mut self,
        now: Time,
        channel: &ChannelName,
        page: Page,
        limits: BatchLimits,
    ) -> FrameLog {
        let begin = Position::new(page.asked.epoch, page.after);
        let mut binding = Binding {
            now,
            channel,
            press: self,
            log: FrameLog::new(WHOLE, begin),
            batch: Batch::new(limits),
        };
        page.entries.into_iter().for_each(|entry| binding.add(entry));
        binding.end(page.last)
    }
}

/// A page that is being sealed.
struct Binding<'a, 'b> {
    now: Time,
    channel: &'a ChannelName,
    press: &'a mut Press<'b>,
    log: FrameLog,
    batch: Batch,
}

impl Binding<'_, '_> {
    fn add(&mut self, entry: PageEntry) {
        let reached = self.reached();
        match entry {
            PageEntry::Event(event) if event.offset <= reached => {}
            PageEntry::Event(event) if event.message.fits_frame() => {
                if let Some(events) = self.batch.push(self.now, event) {
                    self.seal(&events, None);
                }
            }
            PageEntry::Event(Event { offset, .. }) | PageEntry::LeftOut(offset) => self.leave_out(offset),
        }
    }

    fn leave_out(&mut self, offset: Offset) {
        if let Some(events) = self.batch.take(self.now) {
            self.seal(&events, None);
        }
        let head = self.log.head();
        if offset > head.offset {
            self.log.jump(Position { offset, ..head }, GapReason::Source);
        }
    }

    /// The last frame says how far the page reaches, even if it has no event.
    fn end(mut self, last: Offset) -> FrameLog {
        if last > self.log.head().offset {
            let events = self.batch.take(self.now).unwrap_or_default();
            self.seal(&events, Some(last));
        }
        self.log
    }

    fn seal(&mut self, events: &[Event], last: Option<Offset>) {
        let before = self.log.head();
        let last = events.last().map(|event| event.offset).max(last).unwrap_or(before.offset);
        self.log.push(self.press.seal(self.now, self.channel, before, last, events));
    }

    fn reached(&self) -> Offset {
        self.batch.last().unwrap_or(self.log.head().offset)
    }
}
