//! The hub asks sources for pages of their past, on behalf of those who have waited longest.

use tiercast_codec::ChannelId;

use super::{Fetch, Hub, Output, PastUse, Timer, channel::Channel, past};
use crate::Time;

impl Hub {
    /// What is read of the past now.
    pub fn past(&self) -> PastUse {
        self.channels.values().map(|channel| &channel.past).fold(PastUse::default(), |sum, past| PastUse {
            fetching: sum.fetching + past.fetching(),
            waiting: sum.waiting + past.waiting(),
            waited: sum.waited.max(past.waited(self.now)),
            bytes: sum.bytes + past.held().bytes,
        })
    }

    /// Asks for as many pages as may be fetched at a time.
    pub(super) fn fetch_pages(&mut self, now: Time) {
        self.timers.clear(Timer::Pages);
        for (id, channel) in &mut self.channels {
            channel.past.make_room(now, |receiver| self.budget.makes_wait((*id, receiver)));
        }
        while let Some(fetch) = self.next_fetch(now) {
            self.outputs.push_back(Output::Fetch(fetch));
        }
        if self.channels.values().any(|channel| channel.past.is_queued()) {
            self.timers.set(Timer::Pages, now + past::RETRY);
        }
    }

    fn next_fetch(&mut self, now: Time) -> Option<Fetch> {
        let fetching: usize = self.channels.values().map(|channel| channel.past.fetching()).sum();
        if fetching >= self.config.past.fetches_max {
            return None;
        }
        let waits_since = |channel: &&mut Channel| channel.waits_since(now);
        loop {
            let waiting = self.channels.values_mut().filter(|channel| waits_since(channel).is_some());
            let fetch = waiting.min_by_key(waits_since)?.fetch();
            if fetch.is_some() {
                return fetch;
            }
        }
    }

    /// Wakes those who waited for a page.
    pub(super) fn wake_waiters(&mut self, id: ChannelId) {
        let Some(channel) = self.channels.get_mut(&id) else { return };
        for receiver in channel.past.take_woken() {
            self.wake(receiver);
        }
    }
}
