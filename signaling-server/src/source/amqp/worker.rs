//! A channel's task: one session after another, each on the connection that there is.

use std::{convert::Infallible, sync::Arc};

use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

use super::{
    broker::Broker,
    config::{AmqpChannelConfig, Mode},
    connection::Link,
    dynamic::Binder,
    error::AmqpError,
    feed::Feed,
    past::Past,
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
    let mut worker = Worker { config, queue_bytes, feed, past, stream, queue, binder };
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
}

impl Worker {
    async fn run(&mut self, mut link: watch::Receiver<Link>) {
        let mut reconnect = Reconnect::new();
        loop {
            let Ok(broker) = self.wait_until_up(&mut link).await else { return };
            let started = Instant::now();
            let error = tokio::select! {
                // A connection that breaks shows in its channels, too, and there sometimes first.
                error = self.session(&broker) => match error.is_of_the_connection() {
                    true => AmqpError::Disconnected(broker.broken(&error)),
                    false => error,
                },
                reason = broken(&mut link, &broker) => AmqpError::Disconnected(reason),
            };
            let lasted = started.elapsed();
            if let Some(binder) = &self.binder {
                binder.failed(&error);
            }
            if error.needs_new_connection() {
                broker.give_up();
            }
            if matches!(error, AmqpError::SinkClosed) || self.feed.lost(&error.to_string()).await.is_err() {
                return;
            }
            // A broken connection has its own delay; a session that fails on a good one waits here.
            tokio::select! {
                () = sleep(reconnect.next_delay(lasted)), if broker.is_alive() => {}
                _ = broken(&mut link, &broker) => {}
            }
        }
    }

    async fn session(&mut self, broker: &Broker) -> AmqpError {
        let Self { config, queue_bytes, feed, past, stream, queue, binder } = self;
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
    let changed = link.wait_for(|link| !matches!(link, Link::Up(current) if current.is_same(broker))).await;
    match changed.as_deref() {
        Ok(Link::Down(reason)) => Arc::clone(reason),
        _ => "the connection was replaced".into(),
    }
}
