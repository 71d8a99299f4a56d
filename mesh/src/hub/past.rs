//! What lies before a channel's log: pages of it that the hub asks the channel's source for, shared by all who read there.
//!
//! Whoever comes to a place of which there is no page waits. Those who wait longest are served first, and whoever wants
//! about the same waits with them: however many come back at once, each page is fetched once.

use std::time::Duration;

use tiercast_codec::{ChannelName, GapReason, Position};

use super::{Fetch, PastLimits, Receiver};
use crate::{FrameLog, Held, Read, Time};

mod pages;
mod waiting;

use pages::Pages;
use waiting::Waiting;

/// One who reads a channel by position.
pub(super) type Waiter = Receiver;

/// A source that did not answer is asked again after so long. Unvalidated.
pub(super) const RETRY: Duration = Duration::from_secs(1);

/// The past of one channel.
#[derive(Debug)]
pub(super) struct Past {
    limits: PastLimits,
    /// Everything after it can be fetched.
    retained: Option<Position>,
    /// Where the present numbering began, as far as it is known.
    began: Option<Position>,
    pages: Pages,
    waiting: Waiting,
    /// Those who waited and may find something now.
    woken: Vec<Waiter>,
    /// Somebody has begun to wait since this was last looked at.
    is_wanted: bool,
    /// The source is not asked before this.
    not_before: Time,
}

/// Where a reader finds what it needs next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In the log.
    Log,
    /// In a page.
    Page,
    /// With the source.
    Source,
    /// Nowhere any more: it goes on here.
    Gone(Position, GapReason),
}

impl Past {
    pub(super) fn new(limits: PastLimits) -> Self {
        Self {
            limits,
            retained: None,
            began: None,
            pages: Pages::new(limits.bytes),
            waiting: Waiting::new(limits.page_events),
            woken: Vec::new(),
            is_wanted: false,
            not_before: Time(0),
        }
    }

    /// What comes next for a reader of the channel who has everything up to `position`, wherever that is. Nothing yet where
    /// it has to be fetched first: the reader is woken then.
    pub(super) fn read<'a>(
        &'a mut self,
        log: &'a FrameLog,
        now: Time,
        reader: Waiter,
        position: Position,
    ) -> Read<'a> {
        match self.place(log, position) {
            Place::Page => {
                self.waiting.remove(reader);
                self.pages.read(now, reader, position)
            }
            Place::Source => {
                self.release(reader);
                self.is_wanted |= self.waiting.add(now, reader, position);
                Read::UpToDate
            }
            Place::Log => {
                self.forget(reader);
                log.read(position)
            }
            Place::Gone(to, reason) => {
                self.forget(reader);
                Read::Gap { to, reason, recorded: false }
            }
        }
    }

    /// Whether one who has everything up to `position` can have all that follows.
    pub(super) fn has_all_after(&self, log: &FrameLog, position: Position) -> bool {
        match self.place(log, position) {
            _ if log.is_behind(position) => true,
            Place::Log => !matches!(log.read(position), Read::Gap { .. }),
            Place::Page | Place::Source => true,
            Place::Gone(..) => false,
        }
    }

    /// Whether one who begins at `position` would have to wait, and others have waited for too long already.
    pub(super) fn is_too_busy_for(&self, log: &FrameLog, now: Time, position: Position) -> bool {
        self.place(log, position) == Place::Source && self.waiting.longest(now) > self.limits.wait
    }

    /// The oldest position after which everything can be had.
    pub(super) fn start(&self, log: &FrameLog) -> Position {
        let base = log.base();
        self.retained
            .filter(|retained| retained.epoch == base.epoch)
            .map_or(base, |retained| retained.min(base))
    }

    fn place(&self, log: &FrameLog, position: Position) -> Place {
        let (base, start) = (log.base(), self.start(log));
        if position.epoch != base.epoch && !(base..=log.head()).contains(&position) {
            let began =
                self.began.filter(|began| began.epoch == base.epoch).map_or(base, |began| began.min(base));
            return Place::Gone(began.max(start), GapReason::Epoch);
        }
        match position {
            _ if position >= base => Place::Log,
            _ if self.pages.has(position) => Place::Page,
            _ if position < start => Place::Gone(start, GapReason::Retention),
            _ => Place::Source,
        }
    }

    /// The channel goes on at `position`. What was fetched of another numbering is of no use.
    pub(super) fn opened(&mut self, position: Position) {
        if self.began.is_none_or(|began| began.epoch != position.epoch) {
            self.began = Some(position);
            self.retained = self.retained.filter(|retained| retained.epoch == position.epoch);
            self.pages = Pages::new(self.limits.bytes);
            self.woken.extend(self.waiting.clear());
        }
        self.not_before = Time(0);
    }

    /// The source retains everything after this position.
    pub(super) fn retains(&mut self, position: Position) {
        if self.retained != Some(position) {
            self.retained = Some(position);
            // Some of them may wait for what is gone.
            self.woken.extend(self.waiting.unserved());
        }
    }

    /// The page that was asked for is there, sealed. If it begins later, what was before is gone.
    pub(super) fn fetched(&mut self, now: Time, asked: Position, page: FrameLog) {
        if page.base() > asked {
            self.retains(page.base());
        }
        let readers = self.waiting.answered(asked, &page);
        self.pages.insert(now, page, &readers);
        self.woken.extend(readers);
    }

    /// A page could not be fetched. Those who wait for it go on waiting.
    pub(super) fn not_fetched(&mut self, now: Time, after: Position) {
        if self.waiting.unanswered(after) {
            self.not_before = now + RETRY;
        }
    }

    /// The source answers nothing of what it was asked.
    pub(super) fn lost(&mut self) {
        self.waiting.all_unanswered();
    }

    /// The reader reads no more, or elsewhere, or waits for its receiver.
    pub(super) fn forget(&mut self, reader: Waiter) {
        self.waiting.remove(reader);
        self.release(reader);
    }

    /// The reader holds no page. The next one may be wanted.
    fn release(&mut self, reader: Waiter) {
        let makes_room = self.pages.release(reader);
        self.is_wanted |= makes_room && self.is_queued();
    }

    /// Those who waited and may find something now.
    pub(super) fn take_woken(&mut self) -> Vec<Waiter> {
        std::mem::take(&mut self.woken)
    }

    /// Whether somebody has begun to wait since this was last asked.
    pub(super) fn take_wanted(&mut self) -> bool {
        std::mem::take(&mut self.is_wanted)
    }

    /// Whether anybody waits for whom no page has been asked for.
    pub(super) fn is_queued(&self) -> bool {
        self.waiting.first().is_some()
    }

    /// Since when the first of them waits, if the source may be asked now.
    pub(super) fn queued_since(&self, now: Time) -> Option<Time> {
        self.waiting.first().filter(|_| self.has_room() && now >= self.not_before)
    }

    /// Where there is no room for those who wait, whoever has held a page for long enough lets it go.
    pub(super) fn make_room(&mut self, now: Time, waits_for_server: impl Fn(Waiter) -> bool) {
        if self.is_queued() && !self.has_room() {
            self.pages.release_slow(now, waits_for_server);
        }
    }

    /// Whether one more page would find room.
    fn has_room(&self) -> bool {
        self.pages.has_room(self.waiting.asked() + 1, self.limits.page_bytes)
    }

    /// Asks for the page that has been waited for longest, if none of those that were asked for will do.
    pub(super) fn ask(&mut self, channel: &ChannelName, log: &FrameLog) -> Option<Fetch> {
        let PastLimits { page_events: events_max, page_bytes: bytes_max, .. } = self.limits;
        // As far as there is anything, not only to the log: that goes on losing its beginning meanwhile.
        let to = log.head().offset;
        let after = self.waiting.ask()?;
        Some(Fetch { channel: channel.clone(), after, to, events_max, bytes_max })
    }

    /// How many pages are being fetched.
    pub(super) fn fetching(&self) -> usize {
        self.waiting.asked()
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// For how long the first of them has waited.
    pub(super) fn waited(&self, now: Time) -> Duration {
        self.waiting.longest(now)
    }

    /// What the pages hold, beside their bound.
    pub(super) fn held(&self) -> Held {
        self.pages.bytes()
    }
}
