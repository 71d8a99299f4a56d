//! Which messages a channel has already: whoever publishes one again, under the id of the first, is given its offset.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    time::Duration,
};

use ring::digest::{SHA256, digest};
use tiercast_codec::{Message, Offset};
use tiercast_mesh::Time;

/// For how long message ids are remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DuplicateLimits {
    /// Those of so many of a channel's newest events; 0: of none. Default 100,000.
    pub events: u64,
    /// And of those only that are no older. Default 10 minutes.
    pub age: Duration,
}

impl Default for DuplicateLimits {
    fn default() -> Self {
        Self { events: 100_000, age: Duration::from_secs(600) }
    }
}

/// Ids are remembered by their digests, which are all of one size.
type Digest = [u8; 32];

/// The ids of a channel's newest events.
#[derive(Debug)]
pub(crate) struct MessageIds {
    limits: DuplicateLimits,
    offsets: HashMap<Digest, Offset>,
    oldest_first: VecDeque<(Offset, Time, Digest)>,
}

/// What became of messages that were to be published at once.
#[derive(Debug, PartialEq)]
pub(crate) struct Numbered {
    /// Those that are new. They get the next offsets, one by one.
    pub(crate) new: Vec<Message>,
    /// The offset of each message, and whether it is that of one before.
    pub(crate) offsets: Vec<(Offset, bool)>,
}

impl MessageIds {
    pub(crate) fn new(limits: DuplicateLimits) -> Self {
        Self { limits, offsets: HashMap::new(), oldest_first: VecDeque::new() }
    }

    /// Tells new messages from known ones. The new ones are remembered from now on, with offsets from `next` on.
    pub(crate) fn number(&mut self, now: Time, next: Offset, messages: Vec<Message>) -> Numbered {
        self.expire(now, next);
        let mut numbered = Numbered { new: Vec::new(), offsets: Vec::new() };
        for message in messages {
            let offset = next + numbered.new.len() as Offset;
            let known = self.remember(now, offset, &message);
            numbered.offsets.push((known.unwrap_or(offset), known.is_some()));
            if known.is_none() {
                numbered.new.push(message);
            }
        }
        numbered
    }

    /// Remembers an event. If its id is known already, gives the offset of the first that had it.
    pub(crate) fn remember(&mut self, time: Time, offset: Offset, message: &Message) -> Option<Offset> {
        let id = message.message_id.as_ref().filter(|_| self.limits.events > 0)?;
        let id: Digest = digest(&SHA256, id.as_bytes()).as_ref().try_into().expect("SHA-256 has 32 bytes");
        match self.offsets.entry(id) {
            Entry::Occupied(known) => Some(*known.get()),
            Entry::Vacant(free) => {
                free.insert(offset);
                self.oldest_first.push_back((offset, time, id));
                None
            }
        }
    }

    /// What has this offset or a later one was not published after all.
    pub(crate) fn forget_from(&mut self, next: Offset) {
        while let Some((_, _, id)) = self.oldest_first.pop_back_if(|(offset, ..)| *offset >= next) {
            self.offsets.remove(&id);
        }
    }

    fn expire(&mut self, now: Time, next: Offset) {
        let oldest = next.saturating_sub_unsigned(self.limits.events);
        let age = self.limits.age;
        let is_over =
            |(offset, time, _): &mut (Offset, Time, Digest)| *offset < oldest || now.since(*time) > age;
        while let Some((_, _, id)) = self.oldest_first.pop_front_if(is_over) {
            self.offsets.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: DuplicateLimits = DuplicateLimits { events: 3, age: Duration::from_secs(10) };

    fn messages<const N: usize>(ids: [&str; N]) -> Vec<Message> {
        let message = |id: &str| Message {
            message_id: Some(id.to_owned()).filter(|id| !id.is_empty()),
            ..Message::default()
        };
        ids.map(message).into()
    }

    fn seconds(seconds: u64) -> Time {
        Time(seconds * 1_000_000)
    }

    #[test]
    fn an_id_has_the_offset_of_the_first_that_bore_it_also_within_a_batch() {
        let mut ids = MessageIds::new(LIMITS);
        let numbered = ids.number(seconds(0), 5, messages(["a", "", "b", "a", ""]));
        assert_eq!(numbered.offsets, [(5, false), (6, false), (7, false), (5, true), (8, false)]);
        assert_eq!(numbered.new, messages(["a", "", "b", ""]));
        assert_eq!(ids.number(seconds(10), 8, messages(["b"])).offsets, [(7, true)]);
    }

    #[test]
    fn an_id_is_forgotten_after_so_many_events_or_so_long() {
        let mut ids = MessageIds::new(LIMITS);
        ids.number(seconds(0), 0, messages(["a", "b"]));
        assert_eq!(ids.number(seconds(0), 4, messages(["a", "b"])).offsets, [(4, false), (1, true)]);
        assert_eq!(ids.number(seconds(11), 5, messages(["a"])).offsets, [(5, false)]);
        assert_eq!((ids.offsets.len(), ids.oldest_first.len()), (1, 1), "what is forgotten takes no memory");
    }

    #[test]
    fn what_could_not_be_published_is_not_remembered() {
        let mut ids = MessageIds::new(LIMITS);
        ids.number(seconds(0), 0, messages(["a"]));
        ids.number(seconds(0), 1, messages(["b", "c"]));
        ids.forget_from(1);
        assert_eq!(ids.number(seconds(0), 1, messages(["c", "a"])).offsets, [(1, false), (0, true)]);
    }

    #[test]
    fn without_a_window_nothing_is_a_duplicate() {
        let mut ids = MessageIds::new(DuplicateLimits { events: 0, ..LIMITS });
        assert_eq!(ids.number(seconds(0), 0, messages(["a", "a"])).offsets, [(0, false), (1, false)]);
    }
}
