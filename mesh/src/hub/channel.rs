//! One channel of the hub: its log, the batch that is being filled, and who is fed by the server.

use std::{cmp::Reverse, collections::BTreeMap, num::NonZeroU32};

use bytes::Bytes;
use tiercast_codec::{
    ChannelName, Event, Frame, Gap, GapReason, Head, Message, Offset, PeerId, Position, Sealer, Signer,
    Since, ToPeer, WireMessage,
};

use super::{
    ChannelStats, Class, CommandError, HubConfig, Receiver,
    budget::{Budget, Priority},
    claims::Claims,
    pull::Pull,
    tree::Tree,
};
use crate::{FrameLog, Read, SourceUpdate, Time, batch::Batch, cursor::Cursor};

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
    batch: Batch,
    /// Those whom the server feeds, and how far each is.
    fed: BTreeMap<Receiver, Fed>,
    /// What others asked for once.
    pulls: BTreeMap<PeerId, Pull>,
    /// Those of them who say that they have more than the log.
    claims: Claims,
    head: Option<Head>,
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

/// One whom the server feeds.
#[derive(Debug)]
struct Fed {
    cursor: Cursor,
    /// Whether heads are sent to it: only to those who may pass them on.
    wants_heads: bool,
    claim: Claim,
    /// Where the channel was when this began: what lies before has been published for long, and tier 1 gets it in its turn
    /// as others do.
    backlog: Option<Position>,
}

/// What comes next for one whom the server feeds.
#[derive(Debug)]
pub(super) enum Next {
    /// Events, for one who has everything up to `after`.
    Frame { frame: Frame, after: Position },
    /// Events are gone for good.
    Gap(Gap),
    /// There is nothing, and this says so.
    Head(Head),
}

/// Whether one may have more than the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Claim {
    /// It has not, or it may: the log will come so far.
    None,
    /// It says so, and is sent nothing until the source has said what to make of it.
    Open,
    /// The channel never came so far: what the peer has is of another numbering.
    Refuted,
}

/// What the hub seals and signs with.
pub(super) struct Press<'a> {
    pub(super) sealer: &'a mut Sealer,
    pub(super) signer: &'a dyn Signer,
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
            SourceUpdate::Lost { reason } => self.source = SourceState::Lost { reason },
            SourceUpdate::Behind => self.is_behind = true,
            SourceUpdate::CaughtUp => {
                // What has come so far is the past.
                self.flush(now, press);
                self.is_behind = false;
            }
            SourceUpdate::End(end) => self.judge_claims(end),
        }
        if self.batch.due().is_some_and(|due| due <= now) {
            self.flush(now, press);
        }
        Ok(())
    }

    fn open(&mut self, now: Time, position: Position, config: &HubConfig, press: &mut Press<'_>) {
        self.source = SourceState::Open;
        self.flush(now, press);
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
        let frame = press
            .sealer
            .seal(&self.name, log.head(), last, now.0, &events, press.signer)
            .expect("events are checked for size and order before they are batched");
        self.stats.frames += 1;
        self.stats.direct_data_bytes += (frame.bytes().len() * self.tree.len()) as u64;
        self.last_said = now;
        log.push(frame);
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

    /// Where a subscription that asks for `since` starts, and whether nothing it asked for is gone; or why that is not
    /// known yet.
    pub(super) fn resolve(&self, since: Since) -> Result<(Position, bool), &'static str> {
        let log = self.log.as_ref().ok_or("is not connected yet")?;
        Ok(match since {
            Since::Now if self.source != SourceState::Open => return Err("is not connected now"),
            Since::Now if self.is_behind => return Err("is still reading what was published before now"),
            Since::Now => (log.head(), true),
            Since::Earliest => (log.base(), true),
            Since::Position(position) if log.is_behind(position) => (position, true),
            Since::Position(position) => match log.read(position) {
                Read::Gap { .. } => (position, false),
                Read::Frame(_) | Read::UpToDate => (position, true),
            },
        })
    }

    /// The server feeds `receiver` from `position` on, at most a window ahead of what it acknowledges.
    pub(super) fn feed(
        &mut self,
        receiver: Receiver,
        position: Position,
        window_bytes: NonZeroU32,
        wants_heads: bool,
    ) {
        self.claims.remove(receiver);
        let mut claim = Claim::None;
        if self.log.as_ref().is_some_and(|log| log.is_behind(position)) {
            self.claims.add(receiver, position);
            claim = Claim::Open;
        }
        if let Receiver::Peer(peer) = receiver {
            self.pulls.remove(&peer);
        }
        let (cursor, backlog) = (Cursor::new(position, window_bytes), self.head());
        self.fed.insert(receiver, Fed { cursor, wants_heads, claim, backlog });
    }

    /// The server gives a peer that somebody else feeds what it has beyond `position` now, at most up to `to`.
    pub(super) fn pull(&mut self, peer: PeerId, position: Position, to: Option<Position>) {
        if let Some(log) = self.log.as_ref().filter(|_| !self.feeds(peer)) {
            self.pulls.insert(peer, Pull::new(position, to.map_or(log.head(), |to| to.min(log.head()))));
        }
    }

    fn poll_pull(&mut self, now: Time, peer: PeerId, budget: &mut Budget) -> Option<Bytes> {
        let feeding = (self.name.id(), Receiver::Peer(peer));
        let next = self.pulls.get_mut(&peer).zip(self.log.as_ref());
        let Some((pull, frame)) = next.and_then(|(pull, log)| pull.read(log).map(|frame| (pull, frame)))
        else {
            self.pulls.remove(&peer);
            budget.forget(feeding);
            return None;
        };
        let length = frame.bytes().len();
        let priority = Priority { class: Class::Pull, ..self.tree.priority(peer) };
        if !budget.spend(now, feeding, priority, length) {
            return None;
        }
        pull.sent(frame);
        self.stats.data_bytes += length as u64;
        self.stats.pulled_bytes += length as u64;
        Some(frame.bytes().clone())
    }

    /// A peer says how far it is. False if the server does not feed it.
    pub(super) fn acknowledge(&mut self, peer: PeerId, position: Position) -> bool {
        let receiver = Receiver::Peer(peer);
        let (Some(fed), Some(log)) = (self.fed.get_mut(&receiver), &self.log) else { return false };
        fed.cursor.acknowledge(log, position);
        if fed.claim == Claim::None && log.is_behind(position) {
            self.claims.add(receiver, position);
            fed.claim = Claim::Open;
        }
        true
    }

    /// The server feeds `receiver` no longer.
    pub(super) fn starve(&mut self, receiver: Receiver) {
        self.fed.remove(&receiver);
        self.claims.remove(receiver);
    }

    /// A peer is gone.
    pub(super) fn forget(&mut self, peer: PeerId) {
        self.starve(Receiver::Peer(peer));
        self.pulls.remove(&peer);
    }

    /// The farthest claim to more than there is, if the source has to be asked where the channel ends.
    pub(super) fn question(&mut self) -> Option<Position> {
        self.claims.question()
    }

    fn judge_claims(&mut self, end: Position) {
        for (receiver, is_refuted) in self.claims.judged_by(end) {
            if let Some(fed) = self.fed.get_mut(&receiver) {
                fed.claim = if is_refuted { Claim::Refuted } else { Claim::None };
            }
        }
    }

    /// Whether the server feeds `peer`.
    pub(super) fn feeds(&self, peer: PeerId) -> bool {
        self.fed.contains_key(&Receiver::Peer(peer))
    }

    /// Those whom the server feeds.
    pub(super) fn fed(&self) -> impl Iterator<Item = Receiver> {
        self.fed.keys().copied()
    }

    /// Bytes that a subscriber who starts at `position` has to catch up with.
    pub(super) fn backlog_bytes(&self, position: Position) -> u64 {
        self.log.as_ref().map_or(0, |log| log.bytes_after(position) as u64)
    }

    /// How far the log is.
    pub(super) fn head(&self) -> Option<Position> {
        self.log.as_ref().map(FrameLog::head)
    }

    /// How far one is whom the server feeds.
    pub(super) fn reached(&self, receiver: Receiver) -> Option<Position> {
        Some(self.fed.get(&receiver)?.cursor.position())
    }

    /// The next bytes for a peer, if the budget allows.
    pub(super) fn poll_transmit(&mut self, now: Time, peer: PeerId, budget: &mut Budget) -> Option<Bytes> {
        if !self.feeds(peer) {
            return self.poll_pull(now, peer, budget);
        }
        let (bytes, counter) = match self.next(now, Receiver::Peer(peer), budget)? {
            Next::Frame { frame, .. } => (frame.bytes().clone(), &mut self.stats.data_bytes),
            Next::Gap(gap) => (ToPeer::Gap(gap).encode(), &mut self.stats.control_bytes),
            Next::Head(head) => (head.bytes().clone(), &mut self.stats.control_bytes),
        };
        *counter += bytes.len() as u64;
        Some(bytes)
    }

    /// What comes next for one whom the server feeds, if the budget allows.
    pub(super) fn next(&mut self, now: Time, receiver: Receiver, budget: &mut Budget) -> Option<Next> {
        let Fed { cursor, wants_heads, claim, backlog } = self.fed.get_mut(&receiver)?;
        let feeding = (self.name.id(), receiver);
        let log = self.log.as_ref()?;
        let after = cursor.position();
        let next = match claim {
            Claim::Open => Read::UpToDate,
            Claim::None => cursor.read(log),
            Claim::Refuted => Read::Gap { to: log.base(), reason: GapReason::Epoch, recorded: false },
        };
        match next {
            Read::Frame(frame) => {
                let mut priority = match receiver {
                    Receiver::Peer(peer) => self.tree.priority(peer),
                    Receiver::Reader(_) => Priority { class: Class::Direct, height: Reverse(1) },
                };
                if backlog.is_some_and(|head| frame.position() <= head) {
                    priority.class = priority.class.max(Class::Orphan);
                }
                if !budget.spend(now, feeding, priority, frame.bytes().len()) {
                    return None;
                }
                cursor.sent(frame);
                if matches!(receiver, Receiver::Reader(_)) {
                    // It has no window of its own: the driver asks when there is room.
                    cursor.acknowledge(log, frame.position());
                }
                Some(Next::Frame { frame: frame.clone(), after })
            }
            Read::Gap { to, reason, .. } => {
                cursor.skip(to);
                *claim = Claim::None;
                self.stats.gaps += 1;
                Some(Next::Gap(Gap { channel: self.name.clone(), from: after, to, reason }))
            }
            Read::UpToDate => {
                budget.return_turn(feeding);
                cursor.next_head(self.head.as_ref().filter(|_| *wants_heads)).cloned().map(Next::Head)
            }
        }
    }
}
