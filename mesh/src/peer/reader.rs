//! The application's cursor over the log: which events it has been given.

use std::collections::VecDeque;

use tiercast_codec::{ChannelName, Event, GapReason, Position};

use crate::{FrameLog, Read};

/// Something for the application.
#[derive(Debug, Clone, PartialEq)]
pub enum Delivery {
    /// An event.
    Event {
        /// Its channel.
        channel: ChannelName,
        /// Its position.
        position: Position,
        /// When the server sealed its frame, in microseconds since the Unix epoch.
        sealed_us: u64,
        /// The event.
        event: Event,
    },
    /// Events that are gone for good: those after `from`, up to where the channel goes on.
    Gap {
        /// The channel.
        channel: ChannelName,
        /// What the application has.
        from: Position,
        /// Where the channel goes on.
        to: Position,
        /// Why.
        reason: GapReason,
    },
    /// All that had been published by the time of a reconnect has been given.
    CaughtUp {
        /// The channel.
        channel: ChannelName,
        /// What the application has.
        position: Position,
    },
}

/// Reads a log for the application, event by event.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) position: Position,
    /// The events of the frame before `position` that have not been given yet.
    events: VecDeque<Event>,
    sealed_us: u64,
    /// How far the channel was at the last reconnect, while the application has not got that far.
    goal: Option<Position>,
}

impl Reader {
    pub(super) fn new(position: Position) -> Self {
        Self { position, events: VecDeque::new(), sealed_us: 0, goal: None }
    }

    /// There has been a reconnect, and the channel is this far.
    pub(super) fn catch_up(&mut self, goal: Position) {
        self.goal = Some(goal);
    }

    /// The next delivery.
    pub(super) fn next(&mut self, channel: &ChannelName, log: &FrameLog) -> Option<Delivery> {
        loop {
            if let Some(event) = self.events.pop_front() {
                let position = Position::new(self.position.epoch, event.offset);
                let sealed_us = self.sealed_us;
                return Some(Delivery::Event { channel: channel.clone(), position, sealed_us, event });
            }
            if self.goal.take_if(|goal| *goal <= self.position).is_some() {
                return Some(Delivery::CaughtUp { channel: channel.clone(), position: self.position });
            }
            let from = self.position;
            match log.read(from) {
                Read::UpToDate => return None,
                Read::Gap { to, reason, .. } => {
                    self.position = to;
                    return Some(Delivery::Gap { channel: channel.clone(), from, to, reason });
                }
                Read::Frame(frame) => {
                    self.position = frame.position();
                    self.sealed_us = frame.header().time_us;
                    let Ok(events) = frame.events() else {
                        // Signed by the server and yet not decodable: all that can be said is what is missing.
                        let (channel, to) = (channel.clone(), self.position);
                        return Some(Delivery::Gap { channel, from, to, reason: GapReason::Source });
                    };
                    self.events = events.into_iter().filter(|event| event.offset > from.offset).collect();
                }
            }
        }
    }
}
