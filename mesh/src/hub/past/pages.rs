//! The pages of a channel's past that are kept. When there are too many, those go first that were read least recently;
//! but not before those have read who waited for them.

use std::collections::{BTreeMap, BTreeSet};

use tiercast_codec::Position;

use super::Waiter;
use crate::{FrameLog, Held, Read};

/// Pages by where they begin. None lies within another.
#[derive(Debug)]
pub(super) struct Pages {
    bytes_max: usize,
    bytes: usize,
    pages: BTreeMap<Position, Kept>,
    /// The pages that readers have waited for and not read yet.
    owed: BTreeMap<Waiter, Position>,
    /// Counts what is read.
    turn: u64,
}

#[derive(Debug)]
struct Kept {
    page: FrameLog,
    read: u64,
    /// How many have waited for it and not read it yet.
    owed: usize,
}

impl Pages {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, bytes: 0, pages: BTreeMap::new(), owed: BTreeMap::new(), turn: 0 }
    }

    /// Whether there is a page with what follows `position`.
    pub(super) fn has(&self, position: Position) -> bool {
        self.key_of(position).is_some()
    }

    /// What follows `position`.
    pub(super) fn read(&mut self, position: Position) -> Read<'_> {
        self.turn += 1;
        let key = self.key_of(position);
        let Some(kept) = key.and_then(|key| self.pages.get_mut(&key)) else { return Read::UpToDate };
        kept.read = self.turn;
        kept.page.read(position)
    }

    /// Keeps a page for which these have waited.
    pub(super) fn insert(&mut self, page: FrameLog, waited: &BTreeSet<Waiter>) {
        let (base, head) = (page.base(), page.head());
        let is_within_another = self.key_of(base).is_some_and(|key| self.pages[&key].page.head() >= head);
        if base == head || is_within_another {
            return;
        }
        let within: Vec<_> = self
            .pages
            .range(base..head)
            .filter(|(_, kept)| kept.page.head() <= head)
            .map(|(key, _)| *key)
            .collect();
        within.into_iter().for_each(|key| self.remove(key));
        self.turn += 1;
        self.bytes += weight(&page);
        self.owed.extend(waited.iter().map(|waiter| (*waiter, base)));
        self.pages.insert(base, Kept { page, read: self.turn, owed: waited.len() });
        while self.bytes > self.bytes_max && self.remove_least_read() {}
    }

    /// Whether pages of so many bytes would find room, beside those that have been waited for and not been read. If there
    /// are none, there is room for everything.
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        let owed = self.pages.values().filter(|kept| kept.owed > 0).map(|kept| weight(&kept.page));
        owed.sum::<usize>() + bytes <= self.bytes_max || self.owed.is_empty()
    }

    /// Whoever waited for a page has read, or wants it no more. Whether that was the last one.
    pub(super) fn settle(&mut self, waiter: Waiter) -> bool {
        let Some(key) = self.owed.remove(&waiter) else { return false };
        let Some(kept) = self.pages.get_mut(&key) else { return false };
        kept.owed -= 1;
        kept.owed == 0
    }

    pub(super) fn held(&self) -> Held {
        Held { what: "past", bytes: self.bytes, bytes_max: self.bytes_max }
    }

    /// Where the page begins that has what follows `position`. As none lies within another, those that begin later also end
    /// later.
    fn key_of(&self, position: Position) -> Option<Position> {
        let (key, kept) = self.pages.range(..=position).next_back()?;
        (position < kept.page.head()).then_some(*key)
    }

    /// False if all are waited for, or were just added.
    fn remove_least_read(&mut self) -> bool {
        let is_idle = |kept: &&Kept| kept.owed == 0 && kept.read < self.turn;
        let idle = self.pages.iter().filter(|(_, kept)| is_idle(kept));
        let key = idle.min_by_key(|(_, kept)| kept.read).map(|(key, _)| *key);
        key.inspect(|key| self.remove(*key)).is_some()
    }

    fn remove(&mut self, key: Position) {
        if let Some(kept) = self.pages.remove(&key) {
            self.bytes -= weight(&kept.page);
            self.owed.retain(|_, owed| *owed != key);
        }
    }
}

/// What a page is counted as: small ones are not for free.
fn weight(page: &FrameLog) -> usize {
    const OF_ITS_OWN: usize = 4 << 10;
    page.bytes() + OF_ITS_OWN
}
