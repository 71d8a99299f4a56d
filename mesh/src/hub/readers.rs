//! Plain readers: clients that are no peers (SSE, long poll, JSON). Each is a cursor over one channel, and a filter.
//!
//! A reader is given whole frames and the filter to read them by, so that nothing is decoded here and a frame is written
//! in another form once for all. A filter that changes does so between two frames: what comes after is read by the new one.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    num::NonZeroU32,
    sync::Arc,
};

use tiercast_codec::{ChannelId, ChannelName, Code, Event, Frame, Gap, PatternSet, Position, Since};

use super::{Hub, Output, Receiver, Refusal, Rights, Timer, feeding::Next};
use crate::Time;

/// A reader, as the driver calls it. The number counts up and is never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReaderId(pub u64);

/// What a reader asks for.
#[derive(Debug, Clone)]
pub struct Reading {
    /// The channel.
    pub channel: ChannelName,
    /// Where to begin.
    pub since: Since,
    /// Which events.
    pub filter: Arc<PatternSet>,
    /// What it may read.
    pub rights: Rights,
}

/// Where a reader begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opening {
    /// What comes after this is given.
    pub position: Position,
    /// Where the channel is now, with what waits for its frame.
    pub head: Position,
    /// Whether everything after the position asked for is there. If not, a gap comes first.
    pub recovered: bool,
}

/// What comes next for a reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Portion {
    /// Events that come after `after`, by this filter. There may be none.
    Events {
        /// Where the reader was; the frame may begin before.
        after: Position,
        /// Holds them.
        frame: Frame,
        /// Which of them the reader wants.
        filter: Arc<PatternSet>,
        /// Which of them it may see.
        rights: Rights,
    },
    /// Events are gone for good.
    Gap(Gap),
}

impl Portion {
    /// Where the reader is after it.
    pub fn position(&self) -> Position {
        match self {
            Self::Events { frame, .. } => frame.position(),
            Self::Gap(gap) => gap.to,
        }
    }

    /// Whether this event of its frame is one that the reader wants and has not had.
    pub fn holds(&self, event: &Event) -> bool {
        match self {
            Self::Events { after, filter, rights, .. } => {
                let key = &event.message.routing_key;
                event.offset > after.offset && filter.matches(key) && rights.show(key)
            }
            Self::Gap(_) => false,
        }
    }
}

/// The readers.
#[derive(Debug, Default)]
pub(super) struct Readers(BTreeMap<ReaderId, Reader>);

#[derive(Debug)]
struct Reader {
    channel: ChannelId,
    filter: Arc<PatternSet>,
    rights: Rights,
    is_paused: bool,
    /// Whether the driver was told that there is something to read.
    is_announced: bool,
}

impl Readers {
    /// Whether the driver has to be told that there is something for a reader.
    pub(super) fn announce(&mut self, reader: ReaderId) -> bool {
        let reader = self.0.get_mut(&reader).filter(|reader| !reader.is_paused);
        reader.is_some_and(|reader| !std::mem::replace(&mut reader.is_announced, true))
    }
}

impl Hub {
    /// Somebody begins to read.
    pub fn open_reader(&mut self, now: Time, reader: ReaderId, reading: Reading) -> Result<Opening, Refusal> {
        self.now = now;
        let Reading { channel: name, since, filter, rights } = reading;
        let refuse = |code, reason: String| Err(Refusal::new(code, reason));
        let (id, comes_too_early) = (name.id(), self.has_no_time_for(since));
        let Some(channel) = self.channels.get_mut(&id).filter(|channel| channel.name == name) else {
            return refuse(Code::UNKNOWN_CHANNEL, format!("there is no channel `{name}` on this server"));
        };
        rights.check(now, &name)?;
        if self.readers.0.len() >= self.config.readers_max {
            let reason = format!("the server has all {} readers that it takes", self.config.readers_max);
            return refuse(Code::FULL, reason);
        }
        if comes_too_early {
            let reason = "the server feeds as many as it may: come back later".to_owned();
            return refuse(Code::NOT_READY, reason);
        }
        let (position, recovered) = match channel.resolve(now, since) {
            Ok(resolved) => resolved,
            Err(why) => return refuse(Code::NOT_READY, format!("the source of `{name}` {why}")),
        };
        let until = rights.until;
        let Entry::Vacant(place) = self.readers.0.entry(reader) else {
            return refuse(Code::UNEXPECTED, format!("reader {} is there already", reader.0));
        };
        place.insert(Reader { channel: id, filter, rights, is_paused: false, is_announced: false });
        channel.feed(Receiver::Reader(reader), position, NonZeroU32::MAX, false);
        if let Some(until) = until {
            self.timers.set(Timer::ReaderExpiry(reader), until);
        }
        let head = channel.position().unwrap_or(position);
        self.wake(Receiver::Reader(reader));
        self.ask_source(id);
        Ok(Opening { position, head, recovered })
    }

    /// What comes next for a reader, to be asked for when it can take some.
    pub fn poll_read(&mut self, reader: ReaderId) -> Option<Portion> {
        let state = self.readers.0.get_mut(&reader)?;
        let channel = self.channels.get_mut(&state.channel).filter(|_| !state.is_paused);
        let next =
            channel.and_then(|channel| channel.next(self.now, Receiver::Reader(reader), &mut self.budget));
        if let Some(due) = self.budget.due() {
            self.timers.set(Timer::Turns, due);
        }
        let portion = next.and_then(|next| match next {
            Next::Frame { frame, after } => Some(Portion::Events {
                after,
                frame,
                filter: state.filter.clone(),
                rights: state.rights.clone(),
            }),
            Next::Gap(gap) => Some(Portion::Gap(gap)),
            Next::Head(_) => None,
        });
        state.is_announced = portion.is_some();
        let id = state.channel;
        self.see_to_pages(id);
        portion
    }

    /// A reader wants other events from now on. Says after which position; nothing if there is no such reader.
    pub fn filter_reader(&mut self, reader: ReaderId, filter: Arc<PatternSet>) -> Option<Position> {
        let state = self.readers.0.get_mut(&reader)?;
        state.filter = filter;
        self.reached_by(reader)
    }

    /// A reader wants nothing until it says so again, and will then go on where it is. Says where that is.
    pub fn pause_reader(&mut self, reader: ReaderId, is_paused: bool) -> Option<Position> {
        let state = self.readers.0.get_mut(&reader)?;
        state.is_paused = is_paused;
        let id = state.channel;
        if let Some(channel) = self.channels.get_mut(&id).filter(|_| is_paused) {
            channel.past.forget(Receiver::Reader(reader));
        }
        self.see_to_pages(id);
        self.wake(Receiver::Reader(reader));
        self.reached_by(reader)
    }

    /// A reader is gone.
    pub fn close_reader(&mut self, reader: ReaderId) {
        let Some(state) = self.readers.0.remove(&reader) else { return };
        if let Some(channel) = self.channels.get_mut(&state.channel) {
            channel.starve(Receiver::Reader(reader));
        }
        self.see_to_pages(state.channel);
        self.budget.forget((state.channel, Receiver::Reader(reader)));
        self.timers.clear(Timer::ReaderExpiry(reader));
    }

    /// Has pages fetched that are wanted. Not at once: others may want the same ones.
    fn see_to_pages(&mut self, id: ChannelId) {
        if self.channels.get_mut(&id).is_some_and(|channel| channel.past.take_wanted()) {
            self.timers.set(Timer::Pages, self.now);
        }
    }

    /// A channel has ended, and those who read it with it.
    pub(super) fn close_readers(&mut self, channel: ChannelId, reason: &str) {
        let readers = self.readers.0.iter().filter(|(_, state)| state.channel == channel);
        for reader in readers.map(|(reader, _)| *reader).collect::<Vec<_>>() {
            self.end_reader(reader, Refusal::new(Code::NOT_READY, reason));
        }
    }

    /// A reader gets no more, and is told why.
    pub(super) fn end_reader(&mut self, reader: ReaderId, refusal: Refusal) {
        self.close_reader(reader);
        self.outputs.push_back(Output::CloseReader(reader, refusal));
    }

    /// How many readers there are.
    pub fn readers(&self) -> usize {
        self.readers.0.len()
    }

    fn reached_by(&self, reader: ReaderId) -> Option<Position> {
        let state = self.readers.0.get(&reader)?;
        self.channels.get(&state.channel)?.reached(Receiver::Reader(reader))
    }
}
