//! Batching: which events share a frame.
//!
//! An event that comes after a quiet while is sealed at once. Those that follow within the delay wait for
//! each other, until the delay is over or a frame is full. So a slow channel pays no latency and a fast one
//! pays few frames.

use std::time::Duration;

use tiercast_codec::Event;

use crate::Time;

/// When events are sealed into a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchLimits {
    /// Least time between two frames that are not full. 5 ms: below what people and links notice.
    pub delay: Duration,
    /// A frame with this many bytes of events is full. 16 KiB: one data channel message.
    pub bytes: usize,
    /// A frame with this many events is full.
    pub events: usize,
}

impl Default for BatchLimits {
    fn default() -> Self {
        Self { delay: Duration::from_millis(5), bytes: 16 << 10, events: 64 }
    }
}

/// The events that wait for their frame.
#[derive(Debug)]
pub(crate) struct Batch {
    limits: BatchLimits,
    events: Vec<Event>,
    bytes: usize,
    /// No frame before this, unless it is full.
    not_before: Time,
}

impl Batch {
    pub(crate) fn new(limits: BatchLimits) -> Self {
        Self { limits, events: Vec::new(), bytes: 0, not_before: Time(0) }
    }

    /// Adds an event; returns the events of the frame that it completes or does not fit into.
    pub(crate) fn push(&mut self, now: Time, event: Event) -> Option<Vec<Event>> {
        let bytes = event.message.bytes();
        let overflows = !self.events.is_empty() && self.bytes + bytes > self.limits.bytes;
        let full = if overflows { self.take(now) } else { None };
        self.bytes += bytes;
        self.events.push(event);
        full.or_else(|| {
            let is_full = self.events.len() >= self.limits.events || self.bytes >= self.limits.bytes;
            if is_full { self.take(now) } else { None }
        })
    }

    /// When the waiting events are due.
    pub(crate) fn due(&self) -> Option<Time> {
        (!self.events.is_empty()).then_some(self.not_before)
    }

    /// Takes the waiting events, due or not.
    pub(crate) fn take(&mut self, now: Time) -> Option<Vec<Event>> {
        if self.events.is_empty() {
            return None;
        }
        self.bytes = 0;
        self.not_before = now + self.limits.delay;
        Some(std::mem::take(&mut self.events))
    }

    /// The offset of the newest waiting event.
    pub(crate) fn last(&self) -> Option<i64> {
        self.events.last().map(|event| event.offset)
    }
}

#[cfg(test)]
mod tests {
    use tiercast_codec::Message;

    use super::*;

    fn event(offset: i64, bytes: usize) -> Event {
        Event { offset, message: Message { body: vec![0; bytes].into(), ..Message::default() } }
    }

    fn offsets(events: Option<Vec<Event>>) -> Vec<i64> {
        events.unwrap_or_default().iter().map(|event| event.offset).collect()
    }

    #[test]
    fn the_first_event_after_a_pause_is_due_at_once_and_the_next_waits_for_the_delay() {
        let mut batch = Batch::new(BatchLimits::default());
        let start = Time(1_000_000);
        assert!(batch.push(start, event(0, 10)).is_none());
        assert!(batch.due().unwrap() <= start);
        assert_eq!(offsets(batch.take(start)), [0]);
        batch.push(start + Duration::from_millis(1), event(1, 10));
        batch.push(start + Duration::from_millis(2), event(2, 10));
        assert_eq!(batch.due(), Some(start + Duration::from_millis(5)));
        assert_eq!(offsets(batch.take(start + Duration::from_millis(5))), [1, 2]);
        assert_eq!(batch.due(), None);
    }

    #[test]
    fn a_frame_is_full_at_64_events() {
        let mut batch = Batch::new(BatchLimits::default());
        let full = (0..64).find_map(|offset| batch.push(Time(0), event(offset, 1)));
        assert_eq!(offsets(full).len(), 64);
        assert_eq!(batch.due(), None);
    }

    #[test]
    fn an_event_that_does_not_fit_starts_the_next_frame() {
        let mut batch = Batch::new(BatchLimits::default());
        assert!(batch.push(Time(0), event(0, 10_000)).is_none());
        assert_eq!(offsets(batch.push(Time(0), event(1, 10_000))), [0]);
        assert_eq!(offsets(batch.push(Time(0), event(2, 1_000_000))), [1]);
        assert_eq!(offsets(batch.take(Time(0))), [2]);
    }
}
