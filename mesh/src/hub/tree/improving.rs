//! Slowly the tree becomes better than it grew: those who can carry more come to stand above those who carry less.
//!
//! Every `improve` one peer at most is given a better place, so that what churn or the order of arrival did is repaired
//! without a storm. What it costs to find that peer depends on how many different numbers of places there are, not on
//! how many peers. Only those move who have stood where they are for a while, and only if it saves them two tiers:
//! otherwise two alike would change places for ever.

use std::{cmp::Reverse, time::Duration};

use tiercast_codec::PeerId;

use super::{Action, Context, Timer, Tree};
use crate::Time;

/// A move saves so many tiers at least. Unvalidated.
const TIERS_SAVED_MIN: u32 = 2;

/// Whoever takes another's place has so many times as many places at least.
const WIDER: usize = 2;

/// So many peers of the same kind are tried, as some pairs cannot connect.
const TRIED: usize = 4;

/// Where nothing can be improved it is looked again after so many times as long.
const REST: u32 = 20;

impl Tree {
    pub(super) fn on_improve(&mut self, now: Time, context: &mut Context<'_>) {
        if self.nodes.is_empty() {
            return;
        }
        let interval: Duration = context.config.improve;
        let has_moved = self.improve(now, context);
        // What was tried may have opened a place.
        self.fill(now, context);
        self.timers.set(Timer::Improve, now + if has_moved { interval } else { interval * REST });
    }

    /// Makes one improvement, the most useful first.
    fn improve(&mut self, now: Time, context: &mut Context<'_>) -> bool {
        self.seat(now, context)
            || self.promote(now, context)
            || self.draw_near(now, context)
            || self.raise(now, context)
            || self.exchange(now, context)
    }

    /// One who waits and stands in is given the place of one who has fewer places and goes below it.
    fn seat(&mut self, now: Time, context: &mut Context<'_>) -> bool {
        let waiting: Vec<_> = self.index.standing_in.iter().take(TRIED).map(|(_, peer)| *peer).collect();
        waiting.into_iter().any(|peer| {
            let places = self.nodes[&peer].places();
            let narrower =
                self.index.widths().take_while(|(width, ..)| width * WIDER <= places && *width < places);
            let lower: Vec<_> = narrower.flat_map(|(width, ..)| self.highest(width)).collect();
            lower.into_iter().any(|other| self.displace(now, peer, other, context))
        })
    }

    /// One of those with the most places goes to tier 1, if nobody stands there or one with far fewer, whose place it
    /// takes. The server can feed it only from the position that it names when it has lost its parent, so it gets
    /// what is published then a round trip later.
    fn promote(&mut self, now: Time, context: &mut Context<'_>) -> bool {
        let Some((most, ..)) = self.index.widths().next_back().filter(|(most, ..)| *most > 0) else {
            return false;
        };
        let has_room = self.index.count(1) < context.config.tier1.of(self.relays);
        let narrow =
            self.index.roots.first().filter(|(fewest, _)| fewest * WIDER <= most).map(|(_, root)| *root);
        let is_old = |peer: &PeerId| now.since(self.nodes[peer].joined) >= context.config.tier1_after;
        let Some(peer) = self.highest(most).into_iter().find(is_old) else { return false };
        match narrow {
            _ if has_room => {}
            Some(root) => self.demote(root),
            None => return false,
        }
        self.root(peer);
        self.actions.push(Action::Moved);
        true
    }

    /// One who stands far down is given a free place farther up: of those with as many places the nearest.
    fn raise(&mut self, now: Time, context: &mut Context<'_>) -> bool {
        let Some((top, _, open)) = self.index.open.first().copied() else { return false };
        let low = self.index.widths().rev().filter(|(_, _, lowest)| *lowest >= top + 1 + TIERS_SAVED_MIN);
        let mut low: Vec<_> = low.flat_map(|(width, ..)| self.lowest(width)).collect();
        low.sort_by_key(|peer| (Reverse(self.nodes[peer].places()), self.nearness(*peer, open).roughly()));
        low.into_iter().any(|peer| {
            let saves =
                |parent: &PeerId| self.nodes[parent].tier + 1 + TIERS_SAVED_MIN <= self.nodes[&peer].tier;
            let parent = self.parent_for(now, peer).filter(saves);
            parent.inspect(|parent| self.begin_move(now, *parent, peer, None, context)).is_some()
        })
    }

    /// One who stands far down takes the place of one with fewer places farther up.
    fn exchange(&mut self, now: Time, context: &mut Context<'_>) -> bool {
        let widths: Vec<_> = self.index.widths().collect();
        let mut pairs = Vec::new();
        for (few, highest, _) in &widths {
            let wider = widths.iter().filter(|(many, ..)| *many >= (few * WIDER).max(1));
            pairs.extend(wider.filter_map(|(many, _, lowest)| {
                let saved = lowest.checked_sub(*highest).filter(|saved| *saved >= TIERS_SAVED_MIN)?;
                Some((saved as usize * (many - few), *few, *many))
            }));
        }
        pairs.sort_unstable_by(|one, other| other.cmp(one));
        pairs.into_iter().take(TRIED).any(|(_, few, many)| {
            let (low, high) = (self.lowest(many), self.highest(few));
            let pairs = low.iter().flat_map(|peer| high.iter().map(move |other| (*peer, *other)));
            let pairs: Vec<_> = pairs.collect();
            pairs.into_iter().any(|(peer, other)| {
                self.nodes[&peer].tier >= self.nodes[&other].tier + TIERS_SAVED_MIN
                    && self.displace(now, peer, other, context)
            })
        })
    }

    /// Lets a peer take the place of another, which goes below it where it has room, else somewhere
    /// else. Not if more tiers would go down than come up.
    fn displace(&mut self, now: Time, peer: PeerId, other: PeerId, context: &mut Context<'_>) -> bool {
        let Some(link) = self.nodes[&other].place.link() else { return false };
        let above = self.links[&link].parent;
        let falls_deeper = self.nodes[&other].height > self.nodes[&peer].height;
        if falls_deeper || !self.will_do(now, above, &self.below(peer)) {
            return false;
        }
        let find = |tree: &Self| {
            Some(peer).filter(|peer| tree.is_refuge(now, above, *peer, other)).or_else(|| {
                tree.parent_for(now, other).filter(|refuge| tree.is_refuge(now, above, *refuge, other))
            })
        };
        let mut refuge = find(self);
        if refuge.is_none() && self.displace_standby(now, other, context) {
            refuge = find(self);
        }
        refuge.inspect(|refuge| self.begin_move(now, *refuge, other, Some(peer), context)).is_some()
    }

    /// Whether one who leaves a place below `above` can go there.
    fn is_refuge(&self, now: Time, above: PeerId, refuge: PeerId, other: PeerId) -> bool {
        refuge != above
            && self.nodes[&refuge].entry.open.is_some()
            && self.will_do(now, refuge, &self.below(other))
    }

    fn highest(&self, places: usize) -> Vec<PeerId> {
        self.index.with_places(places).take(TRIED).map(|(_, peer)| peer).collect()
    }

    fn lowest(&self, places: usize) -> Vec<PeerId> {
        self.index.with_places(places).rev().take(TRIED).map(|(_, peer)| peer).collect()
    }
}
