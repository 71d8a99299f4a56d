//! A channel's task: one session after another, each on the connection that there is.

use std::{convert::Infallible, sync::Arc};

use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

use super::{
    broker::Broker,
    config::AmqpChannelConfig,
    connection::Link,
    dynamic::binder::Binder,
    error::AmqpError,
    feed::Feed,
    names::Mode,
    past::Past,
    patience::Patience,
    queue::{self, QueueState},
    stream::{self, StreamState},
};
use tiercast_platform::Reconnect;

/// Feeds one channel until the hub takes nothing more. May be dropped at any time.
pub(super) async fn run(
    config: AmqpChannelConfig,
    queue_bytes: usize,
    feed: Feed,
    past: Past,
    link: watch::Receiver<Link>,
    binder: Option<Binder>,
) {
    let (stream, queue) = (StreamState::remembered(feed.known()), QueueState::default());
    let (patience, reconnect) = (Patience::default(), Reconnect::new());
    let mut worker = Worker { config, queue_bytes, feed, past, stream, queue, binder, patience, reconnect };
    worker.run(link).await;
}

struct Worker {
    config: AmqpChannelConfig,
    queue_bytes: usize,
    feed: Feed,
    past: Past,
    stream: StreamState,
    queue: QueueState,
    /// Only of a channel whose bindings come and go.
    binder: Option<Binder>,
    /// With the node of the cluster.
    patience: Patience,
    reconnect: Reconnect,
}

impl Worker {
    async fn run(&mut self, mut link: watch::Receiver<Link>) {
        while let Ok(broker) = self.wait_until_up(&mut link).await {
            self.patience.begin();
            if self.work(&broker, &mut link).await.is_err() {
                return;
            }
        }
    }

    /// Runs one session after another on a connection, for as long as it is the one in use.
    async fn work(&mut self, broker: &Broker, link: &mut watch::Receiver<Link>) -> Result<(), AmqpError> {
        loop {
            let started = Instant::now();
            let error = tokio::select! {
                // A connection that breaks shows in its channels, too, and there sometimes first.
                error = self.session(broker) => match error.is_of_the_connection() {
                    true => AmqpError::Disconnected(broker.broken(&error)),
                    false => error,
                },
                reason = broken(link, broker) => AmqpError::Disconnected(reason),
            };
            let lasted = started.elapsed();
            if !self.feed.is_lost() {
                self.patience.was_served(lasted, &broker.in_vain);
            }
            if let Some(binder) = &self.binder {
                binder.failed(&error);
            }
            let is_held_against_it =
                broker.is_alive() && link.borrow().is(broker) && error.may_be_the_nodes();
            if error.needs_new_connection() {
                broker.give_up(&error);
            } else if is_held_against_it
                && self.patience.is_over(broker.nodes, &broker.in_vain)
                && broker.give_up(&error)
            {
                broker.in_vain.add();
            }
            if matches!(error, AmqpError::SinkClosed) {
                return Err(error);
            }
            self.feed.lost(&error.to_string()).await?;
            tokio::select! {
                biased;
                _ = broken(link, broker) => return Ok(()),
                // A broken connection has its own delay; a session that fails on a good one waits here.
                () = sleep(self.reconnect.next_delay(lasted)), if broker.is_alive() => {}
            }
        }
    }

    async fn session(&mut self, broker: &Broker) -> AmqpError {
        let Self { config, queue_bytes, feed, past, stream, queue, binder, .. } = self;
        let ended: Result<Infallible, AmqpError> = match config.mode {
            Mode::Stream => stream::run(broker, config, feed, past, stream, binder.as_ref()).await,
            Mode::Queue => queue::run(broker, config, *queue_bytes, feed, queue).await,
        };
        match ended {
            Err(error) => error,
        }
    }

    /// Waits for a connection, and passes on why there is none meanwhile.
    async fn wait_until_up(&mut self, link: &mut watch::Receiver<Link>) -> Result<Broker, AmqpError> {
        loop {
            let now = link.borrow_and_update().clone();
            match now {
                Link::Up(broker) => return Ok(broker),
                Link::Connecting => {}
                Link::Down(reason) => self.feed.lost(&reason).await?,
            }
            // An error means that the source has ended.
            link.changed().await.map_err(|_| AmqpError::SinkClosed)?;
        }
    }
}

/// Waits for a connection; nothing if the source has ended.
pub(super) async fn wait_until_up(link: &mut watch::Receiver<Link>) -> Option<Broker> {
    let up = link.wait_for(|link| matches!(link, Link::Up(_))).await.ok()?;
    match &*up {
        Link::Up(broker) => Some(broker.clone()),
        Link::Connecting | Link::Down(_) => None,
    }
}

/// Waits until this connection is no longer the one in use; says why.
async fn broken(link: &mut watch::Receiver<Link>, broker: &Broker) -> Arc<str> {
    let changed = link.wait_for(|link| !link.is(broker)).await;
    match changed.as_deref() {
        Ok(Link::Down(reason)) => Arc::clone(reason),
        _ => "the connection was replaced".into(),
    }
}
