//! What a session reads of one channel, and what is being bound for it.

use futures_util::future::BoxFuture;
use tiercast_codec::{Pattern, Position};
use tiercast_mesh::hub::{Portion, Refusal};
use tokio::time::Instant;

use crate::{
    driver::Handle,
    source::amqp::dynamic::Lease,
    transport::{subscription::Subscription, turns::next_of, visit::Visit},
};

/// A subscription of a session.
pub(super) struct Read {
    pub(super) subscription: Subscription,
    pub(super) visit: Visit,
    /// How far it is, and how far the client knows that it is, and since when.
    pub(super) reached: Position,
    pub(super) said: Position,
    pub(super) said_at: Instant,
    /// In the order in which it was asked for. With the patterns that it has these are no more than `limits.patterns_max`.
    binding: Vec<Binding>,
}

/// Patterns that are being bound, which may take as long as `amqp.dynamic.bind_ms`; all else goes on meanwhile.
struct Binding {
    /// The request.
    id: u64,
    /// What is still wanted of them.
    patterns: Vec<Pattern>,
    /// How many there were in the beginning.
    count: usize,
    leasing: BoxFuture<'static, Result<Lease, Refusal>>,
}

/// What comes next of a subscription.
pub(super) enum Next {
    Portion(Result<Portion, Refusal>),
    /// The broker has bound what was asked for in this place, or not.
    Leased(usize, Result<Lease, Refusal>),
}

impl Read {
    pub(super) fn new(subscription: Subscription, visit: Visit) -> Self {
        let position = subscription.opening().position;
        let (reached, said, said_at) = (position, position, Instant::now());
        Self { subscription, visit, reached, said, said_at, binding: Vec::new() }
    }

    /// Waits for what comes next. May be dropped while it waits.
    pub(super) async fn next(&mut self) -> Next {
        let leasing = next_of(self.binding.iter_mut().map(|one| &mut one.leasing), 0);
        tokio::select! {
            portion = self.subscription.next() => Next::Portion(portion),
            (leased, nth) = leasing => Next::Leased(nth, leased),
        }
    }

    /// How many patterns it has with these, and with those that are being bound.
    pub(super) fn count_with(&self, more: &[Pattern]) -> usize {
        let filter = self.subscription.filter();
        let new = more.iter().filter(|pattern| !filter.contains(pattern));
        filter.len() + self.binding_count() + new.count()
    }

    /// Wants these, too. Says after which position nothing of them is missing; or nothing yet, if the broker has to bind them.
    pub(super) async fn bind(
        &mut self,
        handle: &Handle,
        id: u64,
        patterns: Vec<Pattern>,
    ) -> Result<Option<Position>, Refusal> {
        match self.subscription.lease(handle, &patterns, self.binding_count()) {
            None => self.subscription.bind(patterns).await.map(Some),
            Some(leasing) => {
                self.binding.push(Binding { id, count: patterns.len(), patterns, leasing });
                Ok(None)
            }
        }
    }

    /// The broker has bound what was asked for in this place, or not. Names the request, and says after which position nothing
    /// is missing of what is still wanted.
    pub(super) async fn leased(
        &mut self,
        nth: usize,
        leased: Result<Lease, Refusal>,
    ) -> (u64, Result<Position, Refusal>) {
        let Binding { id, patterns, .. } = self.binding.remove(nth);
        match leased {
            Ok(lease) => {
                self.subscription.absorb(lease, &patterns);
                (id, self.subscription.bind(patterns).await)
            }
            Err(refusal) => (id, Err(refusal)),
        }
    }

    /// Wants these no more, nor when they have been bound. Says after which position.
    pub(super) async fn unbind(&mut self, patterns: Vec<Pattern>) -> Result<Position, Refusal> {
        for binding in &mut self.binding {
            binding.patterns.retain(|pattern| !patterns.contains(pattern));
        }
        self.subscription.unbind(patterns).await
    }

    /// Gives up what is being bound. Names the requests.
    pub(super) fn give_up_binding(&mut self) -> Vec<u64> {
        self.binding.drain(..).map(|binding| binding.id).collect()
    }

    fn binding_count(&self) -> usize {
        self.binding.iter().map(|binding| binding.count).sum()
    }
}
