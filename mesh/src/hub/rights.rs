//! What somebody may read, and until when. It is decided at the door; the hub keeps to it.

use std::sync::Arc;

use tiercast_codec::{ChannelName, Code, PatternSet};

use super::Refusal;
use crate::Time;

/// What somebody may read. The default is everything, for good.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rights {
    /// The one channel; none: all of them.
    pub channel: Option<ChannelName>,
    /// Which of its events; none: all of them.
    pub filter: Option<Arc<PatternSet>>,
    /// Until then; none: for good.
    pub until: Option<Time>,
}

impl Rights {
    /// What one is told whose time is over.
    pub fn expired() -> Refusal {
        Refusal::new(Code::EXPIRED, "the key has expired: get a new one")
    }

    /// Whether a channel may be read now.
    pub(super) fn check(&self, now: Time, channel: &ChannelName) -> Result<(), Refusal> {
        if self.until.is_some_and(|until| until <= now) {
            return Err(Self::expired());
        }
        match &self.channel {
            Some(only) if only != channel => {
                let reason = format!("this key is for `{only}` and not for `{channel}`");
                Err(Refusal::new(Code::NOT_ALLOWED, reason))
            }
            _ => Ok(()),
        }
    }

    /// Whether a peer may read a channel now. Peers get and pass on whole frames.
    pub(super) fn check_peer(&self, now: Time, channel: &ChannelName) -> Result<(), Refusal> {
        self.check(now, channel)?;
        if self.filter.is_none() {
            return Ok(());
        }
        let reason = "this key is for some events only, and peers get all: read by SSE, poll, or JSON";
        Err(Refusal::new(Code::NOT_ALLOWED, reason))
    }

    /// Whether an event with this routing key may be seen.
    pub(super) fn show(&self, routing_key: &str) -> bool {
        self.filter.as_ref().is_none_or(|filter| filter.matches(routing_key))
    }
}
