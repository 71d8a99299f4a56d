//! What the ends of a link signal to each other through the hub, and when it is too much: a signal comes from a
//! stranger and waits for a neighbour, so it has limits of its own, beyond which the link ends and nothing else.

use tiercast_codec::{Code, LinkId, PeerId, Signal};

use super::{Context, Tree};
use crate::{Time, hub::HubConfig};

/// What one end of a link has signaled.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Signaled {
    descriptions: u32,
    candidates: u32,
}

impl Signaled {
    /// Counts a signal. False if it is too large, or one too many.
    fn count(&mut self, signal: &Signal, config: &HubConfig) -> bool {
        match signal {
            Signal::Offer { sdp } | Signal::Answer { sdp } => {
                self.descriptions += 1;
                self.descriptions == 1 && sdp.len() <= config.signal_description_bytes
            }
            Signal::Candidate { candidate, mid } => {
                self.candidates += 1;
                self.candidates <= config.signal_candidates_max
                    && candidate.len() + mid.len() <= config.signal_candidate_bytes
            }
        }
    }
}

impl Tree {
    /// To whom a signal of `peer` for a link goes: the other end, if `peer` is one of its ends. One that is too much
    /// ends the link.
    pub(crate) fn signal(
        &mut self,
        now: Time,
        link: LinkId,
        peer: PeerId,
        signal: &Signal,
        context: &mut Context<'_>,
    ) -> Option<PeerId> {
        let state = self.links.get_mut(&link)?;
        let (end, other) = state.end_of(peer)?;
        if state.signaled[end].count(signal, context.config) {
            return Some(other);
        }
        self.end_for_signals(now, link, Some(peer), context);
        None
    }

    /// The signals for one end of a link are not being read, which may be the doing of other neighbours.
    pub(crate) fn unread(&mut self, now: Time, link: LinkId, context: &mut Context<'_>) {
        self.end_for_signals(now, link, None, context);
    }

    /// The two are not brought together again soon. That the link failed is held against the one at fault only: a child
    /// may have to stay with the server for that, a parent is one that a child could not reach.
    fn end_for_signals(
        &mut self,
        now: Time,
        link: LinkId,
        at_fault: Option<PeerId>,
        context: &mut Context<'_>,
    ) {
        let Some(state) = self.links.get_mut(&link) else { return };
        state.is_noted = true;
        let (parent, child) = (state.parent, state.child);
        let record = &mut self.node(child).record;
        record.refuse(now, parent, context.config);
        if at_fault == Some(child) {
            record.link_failed();
        } else if at_fault == Some(parent) {
            self.doubt(now, parent, child, context.config);
        }
        self.end(now, link, Code::SIGNAL_LIMIT, context.config);
        self.fill(now, context);
    }
}
