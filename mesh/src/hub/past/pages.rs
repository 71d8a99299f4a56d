//! The pages of a channel's past that are kept. When there are too many, those go first that were read least recently;
//! but none that somebody holds: who has waited for it, or reads it and waits only for the server. Who takes long over a page
//! that others need room for holds it no more.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tiercast_codec::Position;

use super::Waiter;
use crate::{FrameLog, Held, Read, Time};

/// A page is held for so long where others need the room: a megabyte of it comes to 1.6 Mbit/s. Who is slower may find it gone
/// and waits for it again. Unvalidated.
const HOLD: Duration = Duration::from_secs(5);

/// Pages by where they begin. None lies within another.
#[derive(Debug)]
pub(super) struct Pages {
    bytes_max: usize,
    bytes: usize,
    pages: BTreeMap<Position, Kept>,
    /// The page that each reader holds.
    held: BTreeMap<Waiter, Hold>,
    /// Counts what is read.
    turn: u64,
}

#[derive(Debug)]
struct Hold {
    page: Position,
    since: Time,
}

#[derive(Debug)]
struct Kept {
    page: FrameLog,
    read: u64,
    /// By how many it is held.
    holders: usize,
}

impl Pages {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, bytes: 0, pages: BTreeMap::new(), held: BTreeMap::new(), turn: 0 }
    }

    /// Whether there is a page with what follows `position`.
    pub(super) fn has(&self, position: Position) -> bool {
        self.key_of(position).is_some()
    }

    /// What follows `position`, for a reader that holds the page from now on.
    pub(super) fn read(&mut self, now: Time, reader: Waiter, position: Position) -> Read<'_> {
        let Some(key) = self.key_of(position) else { return Read::UpToDate };
        if self.held.get(&reader).is_none_or(|hold| hold.page != key) {
            self.hold(now, reader, key);
        }
        self.turn += 1;
        let Some(kept) = self.pages.get_mut(&key) else { return Read::UpToDate };
        kept.read = self.turn;
        kept.page.read(position)
    }

    /// Keeps a page, which is held by those who have waited for it.
    pub(super) fn insert(&mut self, now: Time, page: FrameLog, waited: &BTreeSet<Waiter>) {
        let (base, head) = (page.base(), page.head());
        let is_within_another = self.key_of(base).is_some_and(|key| self.pages[&key].page.head() >= head);
        if base == head || is_within_another {
            return;
        }
        let within = self.pages.range(base..head).filter(|(_, kept)| kept.page.head() <= head);
        let within: Vec<_> = within.map(|(key, _)| *key).collect();
        within.into_iter().for_each(|key| self.remove(key));
        self.turn += 1;
        self.bytes += weight(&page);
        self.pages.insert(base, Kept { page, read: self.turn, holders: 0 });
        waited.iter().for_each(|waiter| self.hold(now, *waiter, base));
        while self.bytes > self.bytes_max && self.remove_least_read() {}
    }

    /// Whether so many more pages of so many bytes would find room beside those that are held. One always does where none is.
    pub(super) fn has_room(&self, pages: usize, bytes: usize) -> bool {
        let held = self.pages.values().filter(|kept| kept.holders > 0).map(|kept| weight(&kept.page));
        let all = held.sum::<usize>() + pages * (bytes + OF_ITS_OWN);
        all <= self.bytes_max || pages == 1 && self.held.is_empty()
    }

    /// A reader holds no page any more. Whether that frees one.
    pub(super) fn release(&mut self, reader: Waiter) -> bool {
        let Some(hold) = self.held.remove(&reader) else { return false };
        let Some(kept) = self.pages.get_mut(&hold.page) else { return false };
        kept.holders -= 1;
        kept.holders == 0
    }

    /// Those hold no page any more who have for long enough, unless it is the server that makes them wait.
    pub(super) fn release_slow(&mut self, now: Time, waits_for_server: impl Fn(Waiter) -> bool) {
        let is_slow =
            |(reader, hold): &(&Waiter, &Hold)| now.since(hold.since) >= HOLD && !waits_for_server(**reader);
        let slow: Vec<_> = self.held.iter().filter(is_slow).map(|(reader, _)| *reader).collect();
        slow.into_iter().for_each(|reader| _ = self.release(reader));
    }

    fn hold(&mut self, now: Time, reader: Waiter, key: Position) {
        self.release(reader);
        if let Some(kept) = self.pages.get_mut(&key) {
            kept.holders += 1;
            self.held.insert(reader, Hold { page: key, since: now });
        }
    }

    /// The bytes of all pages, beside their bound.
    pub(super) fn bytes(&self) -> Held {
        Held { what: "past", bytes: self.bytes, bytes_max: self.bytes_max }
    }

    /// Where the page begins that has what follows `position`. As none lies within another, those that begin later also end
    /// later.
    fn key_of(&self, position: Position) -> Option<Position> {
        let (key, kept) = self.pages.range(..=position).next_back()?;
        (position < kept.page.head()).then_some(*key)
    }

    /// False if all are held, or were just added.
    fn remove_least_read(&mut self) -> bool {
        let idle = self.pages.iter().filter(|(_, kept)| kept.holders == 0 && kept.read < self.turn);
        let key = idle.min_by_key(|(_, kept)| kept.read).map(|(key, _)| *key);
        key.inspect(|key| self.remove(*key)).is_some()
    }

    fn remove(&mut self, key: Position) {
        if let Some(kept) = self.pages.remove(&key) {
            self.bytes -= weight(&kept.page);
            self.held.retain(|_, hold| hold.page != key);
        }
    }
}

/// Bytes that a page is counted as beyond those of its frames: small ones are not for free.
const OF_ITS_OWN: usize = 4 << 10;

fn weight(page: &FrameLog) -> usize {
    page.bytes() + OF_ITS_OWN
}
