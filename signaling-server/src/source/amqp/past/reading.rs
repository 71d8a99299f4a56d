//! A page that is being read, and how much of it is whole.

use lapin::message::Delivery;
use tiercast_codec::{Event, Offset};
use tiercast_mesh::{Page, PageEntry, hub::Fetch};

use crate::source::amqp::{error::AmqpError, mark::Mark, message, omission::Omission};

/// What has come of a page.
pub(super) struct Reading {
    fetch: Fetch,
    page: Page,
    holes: Vec<Hole>,
    messages: usize,
    bytes: usize,
}

/// Offsets that no message has. That alone means nothing: the broker skips one at most segments' borders. But it cuts segments
/// also before one who reads, and then goes on at the oldest that is left.
#[derive(Debug, Clone, Copy)]
struct Hole {
    /// The last offset before it.
    after: Offset,
    /// The first message behind it.
    next: Offset,
    /// What the page had by then.
    entries: usize,
}

impl Reading {
    pub(super) fn new(fetch: Fetch) -> Self {
        let (asked, after) = (fetch.after, fetch.after.offset);
        let page = Page { asked, after, entries: Vec::new(), last: after };
        Self { fetch, page, holes: Vec::new(), messages: 0, bytes: 0 }
    }

    pub(super) fn is_full(&self) -> bool {
        let Fetch { to, events_max, bytes_max, .. } = self.fetch;
        self.page.last >= to || self.messages >= events_max || self.bytes >= bytes_max
    }

    /// Takes a message, if the page is not full. Marks of ours are no events.
    pub(super) fn take(&mut self, delivery: Delivery, queue: &str) -> Result<(), AmqpError> {
        if self.is_full() {
            return Ok(());
        }
        let offset = message::stream_offset(&delivery).ok_or(AmqpError::NoOffset)?;
        let after = self.page.last;
        if offset > after + 1 {
            self.holes.push(Hole { after, next: offset, entries: self.page.entries.len() });
        }
        self.page.last = offset.min(self.fetch.to);
        if offset > self.fetch.to || Mark::read(&delivery, queue).is_some() {
            return Ok(());
        }
        self.messages += 1;
        self.page.entries.push(match Omission::read(&delivery) {
            Some(_) => PageEntry::LeftOut(offset),
            None => {
                let message = message::from_stream(delivery);
                self.bytes += message.bytes();
                PageEntry::Event(Event { offset, message })
            }
        });
        Ok(())
    }

    /// Whether something may be missing, for which the stream's oldest message tells.
    pub(super) fn has_holes(&self) -> bool {
        !self.holes.is_empty()
    }

    /// The stream begins at `oldest` by now, and nobody knows what was in the holes before that. The page begins behind such a
    /// hole, or has a gap in its place.
    pub(super) fn tell_what_is_cut(&mut self, oldest: Offset) {
        let (page, to) = (&mut self.page, self.fetch.to);
        // The last one first, so that the others stay where they are.
        for hole in self.holes.iter().rev().filter(|hole| hole.after + 1 < oldest) {
            let last = hole.next - 1;
            if hole.after == page.asked.offset {
                (page.after, page.last) = (last, page.last.max(last));
            } else {
                page.entries.insert(hole.entries, PageEntry::LeftOut(last.min(to)));
            }
        }
    }

    pub(super) fn into_page(self) -> Page {
        self.page
    }
}

#[cfg(test)]
mod tests {
    use lapin::{
        BasicProperties,
        types::{AMQPValue, FieldTable},
    };
    use tiercast_codec::Position;

    use super::*;

    /// What is made of these offsets, asked for after 9 and up to 40, of a stream whose oldest message is this one.
    fn page(offsets: &[Offset], oldest: Offset) -> String {
        let mut reading = Reading::new(Fetch {
            channel: "ci".parse().unwrap(),
            after: Position::new(7, 9),
            to: 40,
            events_max: 100,
            bytes_max: 1_000,
        });
        for offset in offsets {
            let mut headers = FieldTable::default();
            headers.insert("x-stream-offset".into(), AMQPValue::LongLongInt(*offset));
            let mut delivery = Delivery::mock(1, "events".into(), "a".into(), false, b"body".to_vec());
            delivery.properties = BasicProperties::default().with_headers(headers);
            reading.take(delivery, "tiercast.ci").unwrap();
        }
        if reading.has_holes() {
            reading.tell_what_is_cut(oldest);
        }
        let Page { after, entries, last, .. } = reading.into_page();
        let shown = entries.into_iter().map(|entry| match entry {
            PageEntry::Event(event) => format!("{}, ", event.offset),
            PageEntry::LeftOut(offset) => format!("gap to {offset}, "),
        });
        format!("after {after}: {}up to {last}", shown.collect::<String>())
    }

    #[test]
    fn a_hole_in_what_is_retained_means_nothing() {
        assert_eq!(page(&[10, 11, 13, 14], 5), "after 9: 10, 11, 13, 14, up to 14");
        assert_eq!(page(&[11, 12], 10), "after 9: 11, 12, up to 12");
        assert_eq!(page(&[10, 45], 3), "after 9: 10, up to 40");
    }

    #[test]
    fn a_page_of_which_the_beginning_is_cut_begins_behind_that() {
        assert_eq!(page(&[20, 21, 23], 20), "after 19: 20, 21, 23, up to 23");
        assert_eq!(page(&[50], 50), "after 49: up to 49");
    }

    #[test]
    fn regression_a_page_has_a_gap_where_the_stream_was_cut_while_it_was_read() {
        assert_eq!(page(&[10, 11, 20, 21], 20), "after 9: 10, 11, gap to 19, 20, 21, up to 21");
        assert_eq!(page(&[10, 12, 20, 22], 20), "after 9: 10, gap to 11, 12, gap to 19, 20, 22, up to 22");
        assert_eq!(page(&[15, 16, 20, 21], 20), "after 14: 15, 16, gap to 19, 20, 21, up to 21");
        assert_eq!(page(&[10, 11, 45], 45), "after 9: 10, 11, gap to 40, up to 40");
    }
}
