//! Dynamic channels: exchanges that no channel of the configuration names, for clients that ask for them by patterns.
//!
//! All who want the same exchange share one stream and one channel of the hub. A pattern is bound when the first one wants
//! it, and unbound some time after the last one does not any more; when nothing is bound, the channel and the stream go,
//! too. `wants.rs` knows what is wanted of an exchange, `binder.rs` binds it, and at the desk (`desk.rs`) both meet.
//! `service.rs` runs that as long as there is something to do.

pub(super) mod binder;
mod desk;
mod error;
mod lease;
mod ledger;
pub(super) mod rules;
pub(super) mod service;
mod wants;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tiercast_codec::{ChannelName, Code, Pattern};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, timeout},
};

use desk::Desk;
pub use error::DynamicError;
pub use lease::Lease;
use ledger::Ledger;
pub use rules::{CHANNEL_PREFIX, DynamicConfig, ExchangePattern};
pub(crate) use rules::{channel_of, check_vhost};

use super::names::Exchange;
use crate::{source::roster::Roster, state::StateError};

/// Knows all exchanges that are in use, and how many there may be.
#[derive(Debug)]
pub(crate) struct Dynamic {
    config: DynamicConfig,
    roster: Roster,
    ledger: Arc<Ledger>,
    book: Mutex<Book>,
    /// Desks that nobody serves yet.
    opening: mpsc::Sender<Arc<Desk>>,
    /// Tells that a desk is no more.
    ended: watch::Sender<()>,
}

/// The desks that are to be served.
#[derive(Debug)]
pub(crate) struct Opened {
    /// Those of an earlier start.
    left: Vec<Arc<Desk>>,
    new: mpsc::Receiver<Arc<Desk>>,
}

#[derive(Debug, Default)]
struct Book {
    desks: BTreeMap<Exchange, Arc<Desk>>,
    refused: BTreeMap<Code, u64>,
    is_closed: bool,
}

/// What there is at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct DynamicStats {
    /// Exchanges in use.
    pub(crate) exchanges: usize,
    /// Patterns that are bound or about to be, over all of them.
    pub(crate) bindings: usize,
    /// Requests that were refused, by code.
    pub(crate) refused: BTreeMap<Code, u64>,
}

impl Dynamic {
    /// What clients may ask for, and where those come out that are asked for. `roster` makes their channels, and `dir`
    /// keeps what may be bound.
    pub(crate) fn new(
        config: &DynamicConfig,
        roster: Roster,
        dir: Option<&Path>,
    ) -> Result<(Arc<Self>, Opened), StateError> {
        let config = config.clone();
        let ledger = Arc::new(dir.map_or_else(|| Ok(Ledger::default()), Ledger::load)?);
        let linger = Duration::from_millis(config.linger_ms);
        let left = |(exchange, patterns)| Arc::new(Desk::left(exchange, patterns, linger));
        let left: Vec<_> = ledger.left().into_iter().map(left).collect();
        let desks = left.iter().map(|desk| (desk.exchange().clone(), desk.clone())).collect();
        let book = Mutex::new(Book { desks, ..Book::default() });
        let (opening, new) = mpsc::channel(config.exchanges_max);
        let ended = watch::Sender::new(());
        Ok((Arc::new(Self { config, roster, ledger, book, opening, ended }), Opened { left, new }))
    }

    /// Exchanges that there may be at a time.
    pub(crate) fn exchanges_max(&self) -> usize {
        self.config.exchanges_max
    }

    /// What there is now.
    pub(crate) fn stats(&self) -> DynamicStats {
        let book = self.lock();
        let (exchanges, bindings) = (book.desks.len(), book.bindings());
        DynamicStats { exchanges, bindings, refused: book.refused.clone() }
    }

    /// The channel of an exchange that clients may ask for. It has the same name on every server.
    pub(crate) fn channel(&self, exchange: &str) -> Result<ChannelName, DynamicError> {
        self.allowed(exchange).map(|exchange| channel_of(&exchange))
    }

    /// Binds these patterns of an exchange for somebody who has so many of it already.
    pub(crate) async fn lease(
        &self,
        exchange: &str,
        patterns: BTreeSet<Pattern>,
        beside: usize,
    ) -> Result<Lease, DynamicError> {
        let limit = Duration::from_millis(self.config.bind_ms);
        let leasing = timeout(limit, self.try_lease(exchange, patterns, beside)).await;
        let leased = leasing.unwrap_or_else(|_| Err(DynamicError::NotReady(exchange.to_owned())));
        leased.inspect_err(|error| *self.lock().refused.entry(error.code()).or_default() += 1)
    }

    async fn try_lease(
        &self,
        exchange: &str,
        patterns: BTreeSet<Pattern>,
        beside: usize,
    ) -> Result<Lease, DynamicError> {
        let exchange = self.check(exchange, &patterns, beside)?;
        let mut ended = self.ended.subscribe();
        loop {
            let place = self.opening.reserve().await.map_err(|_| DynamicError::Stopped)?;
            match self.take(&exchange, &patterns, place)? {
                Some(desk) => return Lease::begin(self.roster.clone(), desk, patterns).await,
                // It is being let go; another one comes in its place.
                None => ended.changed().await.map_err(|_| DynamicError::Stopped)?,
            }
        }
    }

    /// The exchange of this name, if clients may ask for it.
    fn allowed(&self, exchange: &str) -> Result<Exchange, DynamicError> {
        let exchange: Exchange = exchange.parse().map_err(DynamicError::Name)?;
        if self.config.allows(&exchange) {
            Ok(exchange)
        } else {
            Err(DynamicError::NotAllowed(exchange.to_string()))
        }
    }

    fn check(
        &self,
        exchange: &str,
        patterns: &BTreeSet<Pattern>,
        beside: usize,
    ) -> Result<Exchange, DynamicError> {
        let exchange = self.allowed(exchange)?;
        let DynamicConfig { subscription_patterns_max, pattern_hashes_max: max, .. } = self.config;
        if patterns.is_empty() {
            return Err(DynamicError::NoPattern);
        }
        if patterns.len() + beside > subscription_patterns_max {
            return Err(DynamicError::TooManyPatterns(subscription_patterns_max));
        }
        match patterns.iter().find(|pattern| !self.config.bears(pattern)) {
            Some(pattern) => Err(DynamicError::TooManyHashes { pattern: pattern.to_string(), max }),
            None => Ok(exchange),
        }
    }

    /// Takes the patterns at the desk of the exchange, or at a new one; nothing if that is just being let go.
    fn take(
        &self,
        exchange: &Exchange,
        patterns: &BTreeSet<Pattern>,
        place: mpsc::Permit<'_, Arc<Desk>>,
    ) -> Result<Option<Arc<Desk>>, DynamicError> {
        let mut book = self.lock();
        if book.is_closed {
            return Err(DynamicError::Stopped);
        }
        let desk = book.desks.get(exchange).cloned();
        if let Some(full) = self.what_is_full(&book, desk.as_deref(), patterns) {
            // What nobody wants makes room.
            book.desks.values().for_each(|desk| desk.change(|wants| wants.hasten(Instant::now())));
            return Err(full);
        }
        let take = |desk: &Desk| desk.change(|wants| wants.take(patterns, Instant::now()));
        if let Some(desk) = desk {
            return Ok(take(&desk).then_some(desk));
        }
        let desk = Arc::new(Desk::new(exchange.clone(), Duration::from_millis(self.config.linger_ms)));
        take(&desk);
        book.desks.insert(exchange.clone(), desk.clone());
        place.send(desk.clone());
        Ok(Some(desk))
    }

    fn what_is_full(
        &self,
        book: &Book,
        desk: Option<&Desk>,
        patterns: &BTreeSet<Pattern>,
    ) -> Option<DynamicError> {
        let new = desk.map_or(patterns.len(), |desk| desk.with(|wants| wants.lacks(patterns)));
        let there = desk.map_or(0, |desk| desk.with(|wants| wants.len()));
        let DynamicConfig { exchanges_max, bindings_max, exchange_patterns_max, .. } = self.config;
        let full = |what, max| Some(DynamicError::Full { what, max });
        if desk.is_none() && book.desks.len() >= exchanges_max {
            full("exchanges", exchanges_max)
        } else if new > 0 && there + new > exchange_patterns_max {
            full("patterns of the exchange", exchange_patterns_max)
        } else if new > 0 && book.bindings() + new > bindings_max {
            full("bindings", bindings_max)
        } else {
            None
        }
    }

    /// Lets go of everything, at once.
    pub(super) fn close(&self) {
        let mut book = self.lock();
        book.is_closed = true;
        book.desks.values().for_each(|desk| desk.change(|wants| wants.abandon(Instant::now())));
    }

    /// A desk is no more.
    fn end(&self, desk: &Desk) {
        self.lock().desks.remove(desk.exchange());
        self.ended.send_replace(());
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        // Whole at any time, whoever panicked.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    fn bindings(&self) -> usize {
        self.desks.values().map(|desk| desk.with(|wants| wants.len())).sum()
    }
}
