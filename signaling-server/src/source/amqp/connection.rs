//! The connection on which events come: made, watched, replaced when it breaks, and closed.

use std::{fmt::Display, future::Future, sync::Arc, time::Duration};

use futures_util::{StreamExt, stream::BoxStream};
use lapin::{Channel, Connection, Event};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, interval, sleep, timeout},
};
use tracing::info;

use super::{
    buffered::{Buffered, Counted},
    config::AmqpConfig,
    connector::Connector,
    error::{ACCESS_REFUSED, AmqpError, reply_code},
    marking::Marking,
    permission::{self, Denial},
    screen::FRAME_BYTES_MAX,
    stats::AmqpStats,
    unreachable,
};
use tiercast_platform::Reconnect;

/// Longest time to say goodbye to the broker at shutdown; unvalidated.
const CLOSE_MAX: Duration = Duration::from_secs(2);

/// How often the connection's state is looked at, should its own event not come; unvalidated.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Most deliveries that may be unacknowledged, however small: more is no faster (`docs/measurements.md`).
const PREFETCH_MAX: u16 = 1000;

/// What the channels know about the connection.
#[derive(Debug, Clone)]
pub(super) enum Link {
    /// The first attempt is under way.
    Connecting,
    /// Up; ends with `Down`.
    Up(Broker),
    /// The last attempt failed or the connection broke. Another attempt follows.
    Down(Arc<str>),
}

/// A connection that is, or was, up. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Broker {
    connection: Arc<Connection>,
    marking: Arc<Marking>,
    shown_url: Arc<str>,
    rpc_timeout: Duration,
    prefetch: u16,
    /// What gives the user all permissions that are needed.
    grant: Arc<str>,
    buffered: Arc<Buffered>,
    given_up: Arc<Notify>,
}

impl Broker {
    /// Opens an AMQP channel. It is closed when the last of its handles and consumers is dropped.
    pub(super) async fn open_channel(&self) -> Result<Channel, AmqpError> {
        self.rpc("opening an AMQP channel", self.connection.create_channel()).await
    }

    /// Opens an AMQP channel to publish a mark on.
    pub(super) async fn open_channel_for_a_mark(&self) -> Result<Channel, AmqpError> {
        let connection = self.marking.connection().await?;
        self.rpc("opening an AMQP channel for a mark", connection.create_channel()).await
    }

    /// Waits for the answer to a request, for a bounded time.
    pub(super) async fn rpc<T>(
        &self,
        what: &'static str,
        request: impl Future<Output = lapin::Result<T>>,
    ) -> Result<T, AmqpError> {
        match timeout(self.rpc_timeout, request).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(source)) => Err(self.refused(what, source)),
            Err(_) => Err(self.silent(what)),
        }
    }

    fn refused(&self, what: &'static str, source: lapin::Error) -> AmqpError {
        let is_denied = reply_code(&source) == Some(ACCESS_REFUSED);
        match is_denied.then(|| Denial::read(what, &source.to_string())).flatten() {
            Some(denial) => AmqpError::Denied { denial, grant: self.grant.clone() },
            None => AmqpError::Broker { what, source },
        }
    }

    /// The error for a request that was not answered in time.
    pub(super) fn silent(&self, what: &'static str) -> AmqpError {
        AmqpError::Timeout { what, broker: self.shown_url.clone(), limit: self.rpc_timeout }
    }

    /// What is said of this connection when it has ended.
    pub(super) fn broken(&self, why: &dyn Display) -> Arc<str> {
        unreachable::broken(&self.shown_url, why)
    }

    /// The longest time that the broker may take to answer.
    pub(super) fn rpc_timeout(&self) -> Duration {
        self.rpc_timeout
    }

    /// Deliveries that a consumer of events may have unacknowledged.
    pub(super) fn prefetch(&self) -> u16 {
        self.prefetch
    }

    /// Counts the bodies that come on an AMQP channel.
    pub(super) fn count_buffered(&self, channel: &Channel) -> Counted {
        self.buffered.count(channel.id())
    }

    pub(super) fn is_alive(&self) -> bool {
        self.connection.status().connected()
    }

    pub(super) fn is_same(&self, other: &Broker) -> bool {
        Arc::ptr_eq(&self.connection, &other.connection)
    }

    /// Asks for another connection in place of this one.
    pub(super) fn give_up(&self) {
        self.given_up.notify_one();
    }

    async fn close(&self) {
        let marking = self.marking.take().await;
        for connection in [&self.connection].into_iter().chain(&marking) {
            // Refused when the connection is gone already, which is as good.
            let _ = timeout(CLOSE_MAX, connection.close(200, "OK".into())).await;
        }
    }
}

/// Keeps the connection up and tells the channels.
pub(super) struct Keeper {
    connector: Arc<Connector>,
    rpc_timeout: Duration,
    prefetch: u16,
    grant: Arc<str>,
    stats: Arc<AmqpStats>,
    link: watch::Sender<Link>,
}

impl Keeper {
    pub(super) fn new(config: &AmqpConfig, stats: Arc<AmqpStats>, link: watch::Sender<Link>) -> Self {
        Self {
            connector: Arc::new(Connector::new(config)),
            rpc_timeout: Duration::from_millis(config.rpc_timeout_ms),
            prefetch: prefetch(config),
            grant: permission::grant(config).into(),
            stats,
            link,
        }
    }

    /// Connects again and again. Never returns; may be dropped at any time.
    pub(super) async fn keep(&self) {
        let mut reconnect = Reconnect::new();
        let mut connected_before = false;
        loop {
            let (reason, lasted) = match self.connect().await {
                Ok((broker, events)) => {
                    info!(broker = %self.connector.shown_url(), "connected to the broker");
                    if connected_before {
                        self.stats.count_reconnect();
                    }
                    connected_before = true;
                    let since = Instant::now();
                    (self.serve(broker, events).await, since.elapsed())
                }
                Err(reason) => (reason, Duration::ZERO),
            };
            let delay = reconnect.next_delay(lasted);
            // Why is said once, by each channel.
            info!(retry_in_ms = delay.as_millis(), "will connect to the broker again");
            self.link.send_replace(Link::Down(reason));
            sleep(delay).await;
        }
    }

    /// Closes the connection, if there is one.
    pub(super) async fn close(&self) {
        self.stats.set_connected(false);
        if let Link::Up(broker) = self.link.send_replace(Link::Down("shutting down".into())) {
            broker.close().await;
        }
    }

    async fn connect(&self) -> Result<(Broker, BoxStream<'static, Event>), Arc<str>> {
        let buffered = Arc::new(Buffered::new(self.stats.clone()));
        let connection = self.connector.connect("tiercast-signaling-server", buffered.clone()).await?;
        let events = connection.events_listener().boxed();
        let broker = Broker {
            connection: Arc::new(connection),
            marking: Arc::new(Marking::new(self.connector.clone(), self.stats.clone())),
            shown_url: self.connector.shown_url().clone(),
            rpc_timeout: self.rpc_timeout,
            prefetch: self.prefetch,
            grant: self.grant.clone(),
            buffered,
            given_up: Arc::default(),
        };
        Ok((broker, events))
    }

    /// Lets the channels use the connection until it breaks; says why it did.
    async fn serve(&self, broker: Broker, mut events: BoxStream<'static, Event>) -> Arc<str> {
        self.stats.set_connected(true);
        self.link.send_replace(Link::Up(broker.clone()));
        let mut look = interval(LOOK_EVERY);
        let reason = loop {
            tokio::select! {
                event = events.next() => match event {
                    // The errors of single AMQP channels come here, too.
                    Some(Event::Error(error)) if !broker.is_alive() => break broker.broken(&error),
                    Some(_) => {}
                    None => break broker.broken(&"the connection ended"),
                },
                _ = look.tick() => {
                    if !broker.is_alive() {
                        break broker.broken(&"the connection ended");
                    }
                }
                () = broker.given_up.notified() => break "the connection has no AMQP channels left".into(),
            }
        };
        self.stats.set_connected(false);
        self.link.send_replace(Link::Down(Arc::clone(&reason)));
        if broker.is_alive() {
            broker.close().await;
        }
        reason
    }
}

/// As many deliveries as fit into `buffer_bytes` if each is as large as it may be: the AMQP library keeps what comes
/// in memory without a bound of its own.
fn prefetch(config: &AmqpConfig) -> u16 {
    let message_bytes = config.max_event_bytes + FRAME_BYTES_MAX as usize;
    let fitting = (config.buffer_bytes / message_bytes).clamp(1, PREFETCH_MAX.into());
    fitting as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_messages_are_let_ahead_as_fit_if_each_is_as_large_as_it_may_be() {
        let mut config = AmqpConfig::new("amqp://broker".parse().expect("a URL"), Vec::new());
        assert_eq!(prefetch(&config), 56);
        config.max_event_bytes = 1_000;
        assert_eq!(prefetch(&config), 508);
        config.buffer_bytes = 1 << 40;
        assert_eq!(prefetch(&config), PREFETCH_MAX);
        (config.max_event_bytes, config.buffer_bytes) = (1 << 22, 65_536);
        assert_eq!(prefetch(&config), 1);
    }
}
