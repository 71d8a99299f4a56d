//! Whom the server feeds from a channel, and how far each is.

use std::{cmp::Reverse, num::NonZeroU32};

use bytes::Bytes;
use tiercast_codec::{Frame, Gap, GapReason, Head, PeerId, Position, ToPeer, WireMessage};

use super::{
    Class, Receiver,
    budget::{Budget, Priority},
    channel::Channel,
    fed::{Claim, Fed},
    pull::Pull,
};
use crate::{Read, Time, cursor::Cursor};

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

impl Channel {
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
        self.stats.data_events += u64::from(frame.header().event_count);
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
        self.past.forget(receiver);
    }

    /// A peer is gone.
    pub(super) fn forget(&mut self, peer: PeerId) {
        self.starve(Receiver::Peer(peer));
        self.pulls.remove(&peer);
    }

    /// Whether the server feeds `peer`.
    pub(super) fn feeds(&self, peer: PeerId) -> bool {
        self.fed.contains_key(&Receiver::Peer(peer))
    }

    /// Those whom the server feeds.
    pub(super) fn fed(&self) -> impl Iterator<Item = Receiver> {
        self.fed.keys().copied()
    }

    /// The farthest claim to more than there is, if the source has to be asked where the channel ends.
    pub(super) fn question(&mut self) -> Option<Position> {
        self.claims.question()
    }

    pub(super) fn judge_claims(&mut self, end: Position) {
        for (receiver, is_refuted) in self.claims.judged_by(end) {
            if let Some(fed) = self.fed.get_mut(&receiver) {
                fed.claim = if is_refuted { Claim::Refuted } else { Claim::None };
            }
        }
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
            Next::Frame { frame, .. } => {
                self.stats.data_events += u64::from(frame.header().event_count);
                (frame.bytes().clone(), &mut self.stats.data_bytes)
            }
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
            Claim::None if cursor.waits(log) => {
                self.past.forget(receiver);
                Read::UpToDate
            }
            Claim::None => self.past.read(log, now, receiver, after),
            Claim::Refuted => Read::Gap { to: log.base(), reason: GapReason::Epoch, recorded: false },
        };
        match next {
            Read::Frame(frame) => {
                let mut priority = match receiver {
                    Receiver::Peer(peer) => self.tree.priority(peer),
                    Receiver::Reader(_) => Priority { class: Class::Direct, height: Reverse(1) },
                };
                let end = frame.position();
                if backlog.is_some_and(|head| end <= head) || end <= log.base() {
                    priority.class = priority.class.max(Class::Orphan);
                }
                if !budget.spend(now, feeding, priority, frame.bytes().len()) {
                    return None;
                }
                cursor.sent(frame);
                if matches!(receiver, Receiver::Reader(_)) {
                    // It has no window of its own: the driver asks when there is room.
                    cursor.acknowledge(log, end);
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
