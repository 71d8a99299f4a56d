//! Binds and unbinds what a desk says, one pattern after the other: RabbitMQ stalls whoever publishes while a queue with
//! thousands of bindings is deleted (`docs/measurements.md`).
//!
//! AMQP tells bindings apart by their arguments. Ours name the server, so that none unbinds what another needs; a message
//! that matches bindings of several is in the stream once.

use std::{convert::Infallible, future::pending, sync::Arc};

use lapin::{
    Channel, ExchangeKind,
    options::{ExchangeDeclareOptions, ExchangeDeleteOptions, QueueDeleteOptions},
    types::{AMQPValue, FieldTable},
};
use tiercast_codec::{Offset, Pattern, Position};
use tokio::time::{Duration, Instant, sleep, sleep_until};
use tracing::{debug, info, warn};

use super::{
    super::{
        broker::Broker,
        error::{AmqpError, PRECONDITION_FAILED, reply_code},
        lifetime::Lifetime,
        mark::Mark,
        topology::{self, NOT_FOUND, bind_marks, bind_one},
    },
    desk::Desk,
    error::DynamicError,
    ledger::Ledger,
    wants::{Complete, Step, Wants},
};

/// The argument of a binding that names the server.
const SERVER_ARGUMENT: &str = "x-tiercast-server";

/// Time between two attempts to put a mark that the broker does not take, as in an alarm. Unvalidated.
const MARK_AGAIN: Duration = Duration::from_secs(2);

/// Does what one desk says.
#[derive(Debug)]
pub(in super::super) struct Binder {
    desk: Arc<Desk>,
    ledger: Arc<Ledger>,
}

impl Binder {
    pub(super) fn new(desk: Arc<Desk>, ledger: Arc<Ledger>) -> Self {
        Self { desk, ledger }
    }

    /// Makes sure that the exchange is there, before anything is made for it.
    pub(in super::super) async fn find_exchange(&self, broker: &Broker) -> Result<(), AmqpError> {
        let exchange = self.exchange();
        let channel = broker.open_channel().await?;
        let options = ExchangeDeclareOptions { passive: true, ..Default::default() };
        let (kind, none) = (ExchangeKind::Topic, FieldTable::default());
        let declaration = channel.exchange_declare(exchange.into(), kind, options, none);
        let found = broker.rpc("looking for the exchange", declaration).await;
        found.map_err(|error| topology::name_missing(error, exchange))?;
        if self.desk.begin() {
            info!(channel = %self.desk.channel(), exchange, "dynamic channel");
        }
        Ok(())
    }

    /// Binds what is wanted, in this life of the stream. Where what was bound is no longer known to be so: gives the
    /// place at which the channel has to begin.
    pub(in super::super) async fn enter(
        &self,
        broker: &Broker,
        queue: &str,
        lifetime: Lifetime,
    ) -> Result<Option<Offset>, AmqpError> {
        let goes_on = self.desk.with(|wants| wants.enter(lifetime));
        let patterns = self.desk.with(Wants::needed);
        self.note().await;
        // Whoever has something bound is bound to the marks, too: by that others see that the stream is in use.
        let channel = broker.open_channel().await?;
        bind_marks(broker, &channel, queue, self.arguments()).await?;
        self.bind(broker, queue, &patterns).await?;
        if goes_on { Ok(None) } else { Mark::Here.place(broker, queue).await.map(Some) }
    }

    /// The channel is open here, or goes on if nothing is said.
    pub(in super::super) fn opened(&self, lifetime: Lifetime, begins: Option<Position>) {
        match begins {
            Some(position) => self.desk.change(|wants| wants.opened(lifetime, position)),
            None => self.desk.change(Wants::resumed),
        }
    }

    /// A mark has come at this position, when everything up to `reached` had been handed over.
    pub(in super::super) fn came_by(&self, mark: &str, since: Position, reached: Position) {
        self.desk.came_by(mark, Complete { since, reached });
    }

    /// A session has ended by this.
    pub(in super::super) fn failed(&self, error: &AmqpError) {
        if let Some(failure) = DynamicError::of(error, self.exchange()) {
            debug!(exchange = self.exchange(), %error, "dynamic channel refused");
            self.desk.change(|wants| wants.fail(failure));
        }
    }

    async fn keep(&self, broker: &Broker, queue: &str) -> Result<Infallible, AmqpError> {
        let mut changes = self.desk.changes();
        loop {
            changes.borrow_and_update();
            match self.desk.with(|wants| wants.next_step(Instant::now())) {
                Step::Bind(patterns) => {
                    self.note().await;
                    self.bind(broker, queue, &patterns).await?;
                }
                Step::Mark => self.mark(broker, queue).await,
                Step::Unbind(patterns) => {
                    self.unbind(broker, queue, &patterns).await?;
                    self.note().await;
                }
                Step::Wait(until) => {
                    let due = async {
                        match until {
                            Some(until) => sleep_until(until).await,
                            None => pending().await,
                        }
                    };
                    tokio::select! {
                        _ = changes.changed() => {}
                        () = due => {}
                    }
                }
            }
        }
    }

    /// One after the other. A pattern that the broker refuses is no matter of the others.
    async fn bind(&self, broker: &Broker, queue: &str, patterns: &[Pattern]) -> Result<(), AmqpError> {
        let exchange = self.exchange();
        let mut channel = broker.open_channel().await?;
        for pattern in patterns {
            match bind_one(broker, &channel, queue, exchange, pattern, self.arguments()).await {
                Ok(()) => self.desk.with(|wants| wants.bound(pattern)),
                // As one that is no number, for exchanges whose patterns are numbers.
                Err(error)
                    if matches!(error, AmqpError::Denied { .. }) || is(&error, PRECONDITION_FAILED) =>
                {
                    warn!(exchange, %pattern, %error, "pattern refused");
                    let why = DynamicError::Denied(exchange.to_owned());
                    self.desk.change(|wants| wants.refused(pattern, why));
                    // The refusal has ended the AMQP channel.
                    channel = broker.open_channel().await?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn unbind(&self, broker: &Broker, queue: &str, patterns: &[Pattern]) -> Result<(), AmqpError> {
        let exchange = self.exchange();
        let channel = broker.open_channel().await?;
        for (at, pattern) in patterns.iter().enumerate() {
            match self.unbind_one(broker, &channel, queue, exchange, &pattern.to_string()).await {
                Ok(()) => self.desk.change(|wants| wants.unbound(std::slice::from_ref(pattern))),
                Err(error @ AmqpError::Denied { .. }) => {
                    warn!(exchange, %pattern, %error, "what nobody wants stays bound; tried again");
                    self.desk.with(|wants| wants.stays_bound(&patterns[at..], Instant::now()));
                    return Ok(());
                }
                Err(error) if is(&error, NOT_FOUND) => {
                    // The exchange is gone, and with it all that was bound.
                    self.desk.change(|wants| wants.unbound(&patterns[at..]));
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn unbind_one(
        &self,
        broker: &Broker,
        channel: &Channel,
        queue: &str,
        exchange: &str,
        key: &str,
    ) -> Result<(), AmqpError> {
        let unbinding = channel.queue_unbind(queue.into(), exchange.into(), key.into(), self.arguments());
        broker.rpc("binding no more", unbinding).await
    }

    async fn mark(&self, broker: &Broker, queue: &str) {
        let id = Mark::id();
        // Before it can come.
        self.desk.with(|wants| wants.awaits(&id, Instant::now()));
        if let Err(error) = Mark::Here.put(broker, queue, &id).await {
            warn!(queue, %error, "what was bound is not known to be complete; tried again");
            sleep(MARK_AGAIN).await;
            self.desk.with(|wants| wants.marks_again(Instant::now()));
        }
    }

    /// Lets go of the stream, of which nothing of ours is bound any more, and deletes it if no other server has
    /// anything bound to it.
    pub(super) async fn let_go(&self, broker: &Broker, queue: &str) -> Result<(), AmqpError> {
        let channel = broker.open_channel().await?;
        match self.unbind_one(broker, &channel, queue, queue, "").await {
            Err(error) if !is(&error, NOT_FOUND) => return Err(error),
            _ => {}
        }
        let channel = broker.open_channel().await?;
        let if_unused = ExchangeDeleteOptions { if_unused: true, ..Default::default() };
        let deletion = channel.exchange_delete(queue.into(), if_unused);
        match broker.rpc("deleting the exchange for marks", deletion).await {
            Ok(()) => {
                let deletion = channel.queue_delete(queue.into(), QueueDeleteOptions::default());
                broker.rpc("deleting the stream", deletion).await?;
                info!(exchange = self.exchange(), queue, "nobody wants the exchange: its stream is deleted");
            }
            Err(error) if is(&error, PRECONDITION_FAILED) => {
                info!(exchange = self.exchange(), queue, "its stream is left to other servers");
            }
            Err(error) => return Err(error),
        }
        self.ledger.strike(self.desk.exchange()).await;
        Ok(())
    }

    async fn note(&self) {
        let may_be_bound = self.desk.with(|wants| wants.may_be_bound());
        self.ledger.note(self.desk.exchange(), may_be_bound).await;
    }

    fn exchange(&self) -> &str {
        self.desk.exchange().as_str()
    }

    fn arguments(&self) -> FieldTable {
        let mut arguments = FieldTable::default();
        arguments.insert(SERVER_ARGUMENT.into(), AMQPValue::LongString(self.ledger.server().into()));
        arguments
    }
}

/// Keeps bound what is wanted as long as the session lasts. What the configuration binds stays as it is.
pub(in super::super) async fn keep_bound(
    binder: Option<&Binder>,
    broker: &Broker,
    queue: &str,
) -> Result<Infallible, AmqpError> {
    match binder {
        Some(binder) => binder.keep(broker, queue).await,
        None => pending().await,
    }
}

/// From where on it is known what is in the stream, of which everything after `retained` is still there: where bindings
/// come and go, from where the channel began in the present life of its stream.
pub(in super::super) fn known_from(binder: Option<&Binder>, retained: Position) -> Position {
    binder
        .and_then(|binder| binder.desk.with(|wants| wants.begins()))
        .map_or(retained, |begins| begins.max(retained))
}

fn is(error: &AmqpError, code: u16) -> bool {
    matches!(error, AmqpError::Broker { source, .. } if reply_code(source) == Some(code))
}
