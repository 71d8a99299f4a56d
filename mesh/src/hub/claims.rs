//! Claims to more than the hub has: whether a numbering ever came so far is for its source to say.
//!
//! A peer that comes from another server may rightly be ahead of this one, which then catches up. But where the source
//! has lost its end, the offsets that come next are those of other events, and the peer must be told. So a claim is
//! judged by where the channel ends, and by a look that was taken after the claim had been made.

use std::collections::BTreeMap;

use tiercast_codec::Position;

use super::Receiver;

/// The claims of one channel.
#[derive(Debug, Default)]
pub(super) struct Claims {
    /// Made since the last question.
    new: BTreeMap<Receiver, Position>,
    /// Those that the open question is about.
    asked: Option<BTreeMap<Receiver, Position>>,
}

impl Claims {
    /// Somebody claims to have everything up to `position`.
    pub(super) fn add(&mut self, receiver: Receiver, position: Position) {
        self.remove(receiver);
        self.new.insert(receiver, position);
    }

    /// It claims nothing any more.
    pub(super) fn remove(&mut self, receiver: Receiver) {
        self.new.remove(&receiver);
        if let Some(asked) = &mut self.asked {
            asked.remove(&receiver);
        }
    }

    /// The farthest of the claims that have to be asked about now. One question at a time.
    pub(super) fn question(&mut self) -> Option<Position> {
        if self.asked.is_some() {
            return None;
        }
        let claimed = self.new.values().max().copied()?;
        self.asked = Some(std::mem::take(&mut self.new));
        Some(claimed)
    }

    /// The answer: since the question, the channel has ended here. Gives whose claims are judged by it, and whether
    /// they are refuted: they claim to have more than that.
    pub(super) fn judged_by(&mut self, end: Position) -> Vec<(Receiver, bool)> {
        let is_refuted = |claimed: Position| claimed.epoch == end.epoch && claimed.offset > end.offset;
        let asked = self.asked.take().unwrap_or_default();
        asked.into_iter().map(|(receiver, claimed)| (receiver, is_refuted(claimed))).collect()
    }
}

#[cfg(test)]
mod tests {
    use tiercast_codec::PeerId;

    use super::*;

    fn at(offset: i64) -> Position {
        Position::new(7, offset)
    }

    fn peer(number: u64) -> Receiver {
        Receiver::Peer(PeerId(number))
    }

    #[test]
    fn a_claim_is_refuted_by_an_end_before_it_and_by_no_other() {
        let mut claims = Claims::default();
        for number in [1, 2, 3] {
            claims.add(peer(number), at(number as i64 * 10));
        }
        claims.remove(peer(3));
        assert_eq!(claims.question(), Some(at(20)));
        assert_eq!(claims.judged_by(at(19)), [(peer(1), false), (peer(2), true)]);
        claims.add(peer(1), at(10));
        claims.question();
        let another = Position::new(8, 0);
        assert_eq!(claims.judged_by(another), [(peer(1), false)], "it says nothing about this numbering");
    }

    #[test]
    fn a_claim_that_is_made_after_the_question_waits_for_the_next_one() {
        let mut claims = Claims::default();
        claims.add(peer(1), at(10));
        assert_eq!(claims.question(), Some(at(10)));
        claims.add(peer(1), at(11));
        claims.add(peer(2), at(20));
        assert_eq!(claims.question(), None, "one at a time");
        assert!(claims.judged_by(at(5)).is_empty());
        assert_eq!(claims.question(), Some(at(20)));
        assert_eq!(claims.judged_by(at(5)), [(peer(1), true), (peer(2), true)]);
    }
}
