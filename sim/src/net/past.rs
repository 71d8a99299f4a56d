//! The past of the first channel, as a stream keeps it: pages are given of what is retained.

use tiercast_codec::{Offset, Position};
use tiercast_mesh::{Page, PageEntry, SourceUpdate, hub::Fetch};

use super::{Happening, Net};

impl Net {
    /// The source says that it retains everything after `after`, and forgets what was before.
    pub fn retain(&mut self, after: Offset) {
        self.forget_past(after);
        self.source(SourceUpdate::Retains(Position::new(self.position.epoch, after)));
    }

    /// What was published up to `after` is gone, and the hub does not know yet.
    pub fn forget_past(&mut self, after: Offset) {
        self.history.retain(|event| event.offset > after);
    }

    /// The hub wants a page.
    pub(super) fn fetch(&mut self, fetch: Fetch) {
        if let Some(time) = self.fetch_time {
            self.queue.plan(self.now + time, Happening::Answer(self.answer(&fetch)));
        }
        self.fetches.push(fetch);
    }

    /// What the source answers now.
    pub fn answer(&self, fetch: &Fetch) -> SourceUpdate {
        let asked = fetch.after;
        if asked.epoch != self.position.epoch {
            return SourceUpdate::NotFetched { after: asked };
        }
        let oldest = self.history.first().map_or(self.position.offset + 1, |event| event.offset);
        let after = asked.offset.max(oldest - 1);
        let (mut entries, mut bytes, mut last) = (Vec::new(), 0, after.max(fetch.to));
        for event in self.history.iter().filter(|event| event.offset > after && event.offset <= fetch.to) {
            bytes += event.message.bytes();
            entries.push(PageEntry::Event(event.clone()));
            if entries.len() >= fetch.events_max || bytes >= fetch.bytes_max {
                last = event.offset;
                break;
            }
        }
        SourceUpdate::Fetched(Page { asked, after, entries, last })
    }
}
