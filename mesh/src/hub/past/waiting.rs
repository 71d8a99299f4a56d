//! Those who wait for a page of a channel's past, in the order in which they began to.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tiercast_codec::{Offset, Position};

use super::Waiter;
use crate::{FrameLog, Time};

/// Who waits for what.
#[derive(Debug)]
pub(super) struct Waiting {
    waiters: BTreeMap<Waiter, Wait>,
    /// Those for whom no page has been asked for.
    queue: BTreeSet<(Time, Waiter)>,
    /// The pages that were asked for, by where they begin.
    asked: BTreeMap<Position, Asked>,
    /// How far a page reaches, going by the last one: whoever waits for what lies so near waits for the same page.
    reach: Offset,
}

#[derive(Debug)]
struct Wait {
    since: Time,
    position: Position,
    /// The page that it waits for, if that was asked for.
    page: Option<Position>,
}

/// A page that was asked for, and who waits for it.
#[derive(Debug)]
struct Asked {
    since: Time,
    waiters: BTreeSet<Waiter>,
}

impl Waiting {
    /// Nobody waits; a page is thought to reach so far.
    pub(super) fn new(reach: usize) -> Self {
        Self {
            waiters: BTreeMap::new(),
            queue: BTreeSet::new(),
            asked: BTreeMap::new(),
            reach: reach.try_into().unwrap_or(Offset::MAX),
        }
    }

    /// Somebody waits for what follows `position`. Whether a page has to be asked for.
    pub(super) fn add(&mut self, now: Time, waiter: Waiter, position: Position) -> bool {
        if self.waiters.get(&waiter).is_some_and(|wait| wait.position == position) {
            return false;
        }
        self.remove(waiter);
        let wait = Wait { since: now, position, page: None };
        self.waiters.insert(waiter, wait);
        if self.join(waiter) {
            return false;
        }
        self.queue.insert((now, waiter))
    }

    /// It waits no more.
    pub(super) fn remove(&mut self, waiter: Waiter) {
        let Some(wait) = self.waiters.remove(&waiter) else { return };
        self.queue.remove(&(wait.since, waiter));
        if let Some(asked) = wait.page.and_then(|page| self.asked.get_mut(&page)) {
            asked.waiters.remove(&waiter);
        }
    }

    /// Since when the first waits for whom no page has been asked for.
    pub(super) fn first(&self) -> Option<Time> {
        self.queue.first().map(|(since, _)| *since)
    }

    /// The page that the first of the queue needs; those who are served by one that was asked for leave the queue.
    pub(super) fn ask(&mut self) -> Option<Position> {
        while let Some((since, waiter)) = self.queue.pop_first() {
            if self.join(waiter) {
                continue;
            }
            let wait = self.waiters.get_mut(&waiter)?;
            wait.page = Some(wait.position);
            let asked = Asked { since, waiters: BTreeSet::from([waiter]) };
            self.asked.insert(wait.position, asked);
            return Some(wait.position);
        }
        None
    }

    /// A page has come. Lets those go who waited for it, and who find in it what they wait for.
    pub(super) fn answered(&mut self, asked: Position, page: &FrameLog) -> BTreeSet<Waiter> {
        let covered = page.base()..page.head();
        self.reach = (covered.end.offset - covered.start.offset).max(1);
        let finds =
            |(_, wait): &(&Waiter, &Wait)| wait.page == Some(asked) || covered.contains(&wait.position);
        let waiters: BTreeSet<_> = self.waiters.iter().filter(finds).map(|(waiter, _)| *waiter).collect();
        waiters.iter().for_each(|waiter| self.remove(*waiter));
        self.asked.remove(&asked);
        waiters
    }

    /// A page will not come: it has to be asked for again. False if it was not asked for.
    pub(super) fn unanswered(&mut self, page: Position) -> bool {
        let Some(asked) = self.asked.remove(&page) else { return false };
        for waiter in asked.waiters {
            if let Some(wait) = self.waiters.get_mut(&waiter) {
                wait.page = None;
                self.queue.insert((wait.since, waiter));
            }
        }
        true
    }

    /// The same for all pages.
    pub(super) fn all_unanswered(&mut self) {
        while let Some(page) = self.asked.keys().next().copied() {
            self.unanswered(page);
        }
    }

    /// Lets those go for whom no page has been asked for.
    pub(super) fn unserved(&mut self) -> Vec<Waiter> {
        let waiters: Vec<_> = self.queue.iter().map(|(_, waiter)| *waiter).collect();
        waiters.iter().for_each(|waiter| self.remove(*waiter));
        waiters
    }

    /// Lets everybody go, and forgets what was asked for.
    pub(super) fn clear(&mut self) -> Vec<Waiter> {
        (self.queue, self.asked) = Default::default();
        std::mem::take(&mut self.waiters).into_keys().collect()
    }

    /// How many pages have been asked for.
    pub(super) fn asked(&self) -> usize {
        self.asked.len()
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.waiters.len()
    }

    /// How long the first has waited, be its page asked for or not.
    pub(super) fn longest(&self, now: Time) -> Duration {
        let asked = self.asked.values().filter(|asked| !asked.waiters.is_empty()).map(|asked| asked.since);
        asked.chain(self.first()).min().map(|since| now.since(since)).unwrap_or_default()
    }

    /// Lets a waiter wait for a page that was asked for and probably has what it needs.
    fn join(&mut self, waiter: Waiter) -> bool {
        let Some(wait) = self.waiters.get_mut(&waiter) else { return true };
        let Some((page, asked)) = self.asked.range_mut(..=wait.position).next_back() else { return false };
        if page.epoch != wait.position.epoch || wait.position.offset - page.offset >= self.reach {
            return false;
        }
        wait.page = Some(*page);
        asked.waiters.insert(waiter)
    }
}
