//! Whom the server feeds from a channel, and how far each is.

use std::num::NonZeroU32;

use bytes::Bytes;
use tiercast_codec::{Gap, GapReason, PeerId, Position, ToPeer, WireMessage};

use super::{
    Class,
    budget::{Budget, Priority},
    channel::Channel,
    pull::Pull,
};
use crate::{Read, Time, cursor::Cursor};

/// A peer that the server feeds.
#[derive(Debug)]
pub(super) struct Fed {
    cursor: Cursor,
    /// Whether heads are sent to it: only to those who may pass them on.
    wants_heads: bool,
    claim: Claim,
    /// Where the channel was when this began: what lies before has been published for long, and tier 1 gets it in its turn
    /// as others do.
    backlog: Option<Position>,
}

/// Whether a peer may have more than the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Claim {
    /// It has not, or it may: the log will come so far.
    None,
    /// It says so, and is sent nothing until the source has said what to make of it.
    Open,
    /// The channel never came so far: what the peer has is of another numbering.
    Refuted,
}

impl Channel {
    /// The server feeds `peer` from `position` on, at most a window ahead of what it acknowledges.
    pub(super) fn feed(
        &mut self,
        peer: PeerId,
        position: Position,
        window_bytes: NonZeroU32,
        wants_heads: bool,
    ) {
        self.claims.remove(peer);
        let mut claim = Claim::None;
        if self.log.as_ref().is_some_and(|log| log.is_behind(position)) {
            self.claims.add(peer, position);
            claim = Claim::Open;
        }
        self.pulls.remove(&peer);
        let (cursor, backlog) = (Cursor::new(position, window_bytes), self.head());
        self.fed.insert(peer, Fed { cursor, wants_heads, claim, backlog });
    }

    /// The server gives a peer that somebody else feeds what it has beyond `position` now, at most up to `to`.
    pub(super) fn pull(&mut self, peer: PeerId, position: Position, to: Option<Position>) {
        if let Some(log) = self.log.as_ref().filter(|_| !self.fed.contains_key(&peer)) {
            self.pulls.insert(peer, Pull::new(position, to.map_or(log.head(), |to| to.min(log.head()))));
        }
    }

    fn poll_pull(&mut self, now: Time, peer: PeerId, budget: &mut Budget) -> Option<Bytes> {
        let reader = (self.name.id(), peer);
        let next = self.pulls.get_mut(&peer).zip(self.log.as_ref());
        let Some((pull, frame)) = next.and_then(|(pull, log)| pull.read(log).map(|frame| (pull, frame)))
        else {
            self.pulls.remove(&peer);
            budget.forget(reader);
            return None;
        };
        let length = frame.bytes().len();
        let priority = Priority { class: Class::Pull, ..self.tree.priority(peer) };
        if !budget.spend(now, reader, priority, length) {
            return None;
        }
        pull.sent(frame);
        self.stats.data_bytes += length as u64;
        self.stats.pulled_bytes += length as u64;
        Some(frame.bytes().clone())
    }

    /// A peer says how far it is. False if the server does not feed it.
    pub(super) fn acknowledge(&mut self, peer: PeerId, position: Position) -> bool {
        let (Some(fed), Some(log)) = (self.fed.get_mut(&peer), &self.log) else { return false };
        fed.cursor.acknowledge(log, position);
        if fed.claim == Claim::None && log.is_behind(position) {
            self.claims.add(peer, position);
            fed.claim = Claim::Open;
        }
        true
    }

    /// The server feeds `peer` no longer.
    pub(super) fn starve(&mut self, peer: PeerId) {
        self.fed.remove(&peer);
        self.claims.remove(peer);
        self.past.forget(peer);
    }

    /// A peer is gone.
    pub(super) fn forget(&mut self, peer: PeerId) {
        self.starve(peer);
        self.pulls.remove(&peer);
    }

    /// Whether the server feeds `peer`.
    pub(super) fn feeds(&self, peer: PeerId) -> bool {
        self.fed.contains_key(&peer)
    }

    /// The peers that the server feeds.
    pub(super) fn fed(&self) -> impl Iterator<Item = PeerId> {
        self.fed.keys().copied()
    }

    /// The farthest claim to more than there is, if the source has to be asked where the channel ends.
    pub(super) fn question(&mut self) -> Option<Position> {
        self.claims.question()
    }

    pub(super) fn judge_claims(&mut self, end: Position) {
        for (peer, is_refuted) in self.claims.judged_by(end) {
            if let Some(fed) = self.fed.get_mut(&peer) {
                fed.claim = if is_refuted { Claim::Refuted } else { Claim::None };
            }
        }
    }

    /// The next bytes for a peer that the server feeds, if the budget allows.
    pub(super) fn poll_transmit(&mut self, now: Time, peer: PeerId, budget: &mut Budget) -> Option<Bytes> {
        let Some(Fed { cursor, wants_heads, claim, backlog }) = self.fed.get_mut(&peer) else {
            return self.poll_pull(now, peer, budget);
        };
        let reader = (self.name.id(), peer);
        let log = self.log.as_ref()?;
        let next = match claim {
            Claim::Open => Read::UpToDate,
            Claim::None if cursor.waits(log) => {
                self.past.forget(peer);
                Read::UpToDate
            }
            Claim::None => self.past.read(log, now, peer, cursor.position()),
            Claim::Refuted => Read::Gap { to: log.base(), reason: GapReason::Epoch, recorded: false },
        };
        match next {
            Read::Frame(frame) => {
                let mut priority = self.tree.priority(peer);
                let end = frame.position();
                if backlog.is_some_and(|head| end <= head) || end <= log.base() {
                    priority.class = priority.class.max(Class::Orphan);
                }
                if !budget.spend(now, reader, priority, frame.bytes().len()) {
                    return None;
                }
                cursor.sent(frame);
                self.stats.data_bytes += frame.bytes().len() as u64;
                Some(frame.bytes().clone())
            }
            Read::Gap { to, reason, .. } => {
                let gap = Gap { channel: self.name.clone(), from: cursor.position(), to, reason };
                cursor.skip(to);
                *claim = Claim::None;
                self.stats.gaps += 1;
                let bytes = ToPeer::Gap(gap).encode();
                self.stats.control_bytes += bytes.len() as u64;
                Some(bytes)
            }
            Read::UpToDate => {
                budget.return_turn(reader);
                let head = cursor.next_head(self.head.as_ref().filter(|_| *wants_heads))?;
                self.stats.control_bytes += head.bytes().len() as u64;
                Some(head.bytes().clone())
            }
        }
    }
}
