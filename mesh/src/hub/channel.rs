//! One channel of the hub: its source, its log, and the batch that is being filled.

use std::collections::BTreeMap;

use tiercast_codec::{ChannelName, Event, GapReason, Head, Message, Offset, PeerId, Position, Signer, Since};

use super::{
    ChannelStats, CommandError, Fetch, HubConfig, Receiver, claims::Claims, fed::Fed, past::Past,
    press::Press, pull::Pull, tree::Tree,
};
use crate::{FrameLog, Page, SourceUpdate, Time, batch::Batch};

/// A channel of the hub.
#[derive(Debug)]
pub(super) struct Channel {
    pub(super) name: ChannelName,
    pub(super) tree: Tree,
    pub(super) stats: ChannelStats,
    pub(super) source: SourceState,
    /// Whether the source is still reading the channel's past.
    is_behind: bool,
    /// What has been said so far. None until the source is open for the first time.
    pub(super) log: Option<FrameLog>,
    /// What was said before that.
    pub(super) past: Past,
    batch: Batch,
    /// Those whom the server feeds, and how far each is.
    pub(super) fed: BTreeMap<Receiver, Fed>,
    /// What others asked for once.
    pub(super) pulls: BTreeMap<PeerId, Pull>,
    /// Those of them who say that they have more than the log.
    pub(super) claims: Claims,
    pub(super) head: Option<Head>,
    /// What those are told who are fed by others.
    told: Option<Head>,
    last_said: Time,
}

/// Whether events can arrive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceState {
    /// Not connected yet.
    Opening,
    /// Connected.
    Open,
    /// Disconnected, and being retried.
    Lost {
        /// Why, for people.
        reason: String,
    },
}

impl Channel {
    pub(super) fn new(name: ChannelName, config: &HubConfig) -> Self {
        Self {
            name,
            tree: Tree::new(config),
            stats: ChannelStats::default(),
            source: SourceState::Opening,
            is_behind: false,
            log: None,
            past: Past::new(config.past),
            batch: Batch::new(config.batch),
            fed: BTreeMap::new(),
            pulls: BTreeMap::new(),
            claims: Claims::default(),
            head: None,
            told: None,
            last_said: Time(0),
        }
    }

    /// The position of the newest event that was taken, sealed or not.
    pub(super) fn position(&self) -> Option<Position> {
        let sealed = self.log.as_ref()?.head();
        Some(Position::new(sealed.epoch, self.batch.last().unwrap_or(sealed.offset)))
    }

    pub(super) fn update(
        &mut self,
        now: Time,
        update: SourceUpdate,
        config: &HubConfig,
        press: &mut Press<'_>,
    ) -> Result<(), CommandError> {
        match update {
            SourceUpdate::Opened(position) => self.open(now, position, config, press),
            SourceUpdate::Events(events) => self.take_events(now, events, press)?,
            SourceUpdate::Messages(messages) => self.take_messages(now, messages, press)?,
            SourceUpdate::Lost { reason } => {
                self.source = SourceState::Lost { reason };
                self.past.lost();
            }
            SourceUpdate::Behind => self.is_behind = true,
            SourceUpdate::CaughtUp => {
                // What has come so far is the past.
                self.flush(now, press);
                self.is_behind = false;
            }
            SourceUpdate::End(end) => self.judge_claims(end),
            SourceUpdate::Retains(position) => self.past.retains(position),
            SourceUpdate::Fetched(page) => self.take_page(now, page, config, press),
            SourceUpdate::NotFetched { after } => self.lack_page(now, after),
        }
        if self.batch.due().is_some_and(|due| due <= now) {
            self.flush(now, press);
        }
        Ok(())
    }

    fn open(&mut self, now: Time, position: Position, config: &HubConfig, press: &mut Press<'_>) {
        self.source = SourceState::Open;
        self.flush(now, press);
        self.past.opened(position);
        match &mut self.log {
            None => self.log = Some(FrameLog::new(config.log, position)),
            Some(log) => {
                let head = log.head();
                if position.epoch != head.epoch {
                    log.jump(position, GapReason::Epoch);
                } else if position.offset > head.offset {
                    log.jump(position, GapReason::Source);
                }
            }
        }
    }

    fn take_events(
        &mut self,
        now: Time,
        events: Vec<Event>,
        press: &mut Press<'_>,
    ) -> Result<(), CommandError> {
        for event in events {
            let reached = self.position().ok_or(CommandError::NotOpen)?;
            // What a source repeats after a reconnect is known already.
            if event.offset > reached.offset {
                self.take(now, event, press);
            }
        }
        Ok(())
    }

    fn take_messages(
        &mut self,
        now: Time,
        messages: Vec<Message>,
        press: &mut Press<'_>,
    ) -> Result<(), CommandError> {
        for message in messages {
            let reached = self.position().ok_or(CommandError::NotOpen)?;
            self.take(now, Event { offset: reached.offset + 1, message }, press);
        }
        Ok(())
    }

    fn take(&mut self, now: Time, event: Event, press: &mut Press<'_>) {
        self.stats.events += 1;
        if !event.message.fits_frame() {
            return self.skip(now, event.offset, press);
        }
        if let Some(full) = self.batch.push(now, event) {
            self.seal(now, full, press);
        }
    }

    /// An event that no frame can hold: a gap takes its place.
    fn skip(&mut self, now: Time, offset: Offset, press: &mut Press<'_>) {
        self.stats.unfit += 1;
        self.flush(now, press);
        if let Some(log) = &mut self.log {
            log.jump(Position::new(log.head().epoch, offset), GapReason::Source);
        }
    }

    /// Seals what waits.
    pub(super) fn flush(&mut self, now: Time, press: &mut Press<'_>) {
        if let Some(events) = self.batch.take(now) {
            self.seal(now, events, press);
        }
    }

    fn seal(&mut self, now: Time, events: Vec<Event>, press: &mut Press<'_>) {
        let (Some(log), Some(last)) = (&mut self.log, events.last().map(|event| event.offset)) else {
            return;
        };
        let frame = press.seal(now, &self.name, log.head(), last, &events);
        self.stats.frames += 1;
        self.stats.direct_data_bytes += (frame.bytes().len() * self.tree.len()) as u64;
        self.last_said = now;
        log.push(frame);
    }

    /// A page of the past has come. One of another numbering, or without anything new, is of no use to anybody.
    fn take_page(&mut self, now: Time, page: Page, config: &HubConfig, press: &mut Press<'_>) {
        let asked = page.asked;
        if self.head().is_some_and(|head| head.epoch == asked.epoch) && page.last > asked.offset {
            self.stats.pages += 1;
            let sealed = press.seal_page(now, &self.name, page, config.batch);
            self.past.fetched(now, asked, sealed);
        } else {
            self.lack_page(now, asked);
        }
    }

    fn lack_page(&mut self, now: Time, asked: Position) {
        self.stats.pages_failed += 1;
        self.past.not_fetched(now, asked);
    }

    /// Since when somebody waits for whom the source may be asked now.
    pub(super) fn waits_since(&self, now: Time) -> Option<Time> {
        self.past.queued_since(now).filter(|_| self.source == SourceState::Open)
    }

    /// The page that has been waited for longest.
    pub(super) fn fetch(&mut self) -> Option<Fetch> {
        self.past.ask(&self.name, self.log.as_ref()?)
    }

    /// When the waiting events are due.
    pub(super) fn flush_due(&self) -> Option<Time> {
        self.batch.due()
    }

    /// Signs a head if the channel has been quiet for `interval`. Returns when to look again.
    pub(super) fn say_head(&mut self, now: Time, interval: std::time::Duration, signer: &dyn Signer) -> Time {
        let due = self.last_said + interval;
        if now < due {
            return due;
        }
        self.last_said = now;
        self.head = self.log.as_ref().map(|log| Head::sign(&self.name, log.head(), now.0, signer));
        now + interval
    }

    /// How far the channel is, for a peer of the mesh that somebody else feeds. Signed once for all who ask before the
    /// next frame.
    pub(super) fn head_for_one(&mut self, now: Time, peer: PeerId, signer: &dyn Signer) -> Option<&Head> {
        let position = self.log.as_ref()?.head();
        if self.feeds(peer) || !self.tree.is_relay(peer) {
            return None;
        }
        if self.told.as_ref().is_none_or(|told| told.position != position) {
            self.told = Some(Head::sign(&self.name, position, now.0, signer));
        }
        let told = self.told.as_ref()?;
        self.stats.control_bytes += told.bytes().len() as u64;
        Some(told)
    }

    /// Whether one who begins here and now gets what is published from now on, and nothing older.
    pub(super) fn is_current(&self) -> bool {
        self.log.is_some() && self.source == SourceState::Open && !self.is_behind
    }

    /// Where a subscription that asks for `since` starts, and whether nothing it asked for is gone; or why that is not
    /// known yet.
    pub(super) fn resolve(&self, now: Time, since: Since) -> Result<(Position, bool), &'static str> {
        let log = self.log.as_ref().ok_or("is not connected yet")?;
        let start = match since {
            Since::Now if self.source != SourceState::Open => return Err("is not connected now"),
            Since::Now if self.is_behind => return Err("is still reading what was published before now"),
            Since::Now => log.head(),
            Since::Earliest => self.past.start(log),
            Since::Position(position) => position,
        };
        if self.past.is_too_busy_for(log, now, start) {
            return Err("is asked for more of the past than it gives at a time");
        }
        Ok((start, self.past.has_all_after(log, start)))
    }

    /// Bytes that a subscriber who starts at `position` has to catch up with.
    pub(super) fn backlog_bytes(&self, position: Position) -> u64 {
        self.log.as_ref().map_or(0, |log| log.bytes_after(position) as u64)
    }

    /// How far the log is.
    pub(super) fn head(&self) -> Option<Position> {
        self.log.as_ref().map(FrameLog::head)
    }
}
