//! The one connection to the broker: made, watched, replaced when it breaks, and closed.

use std::{fmt::Display, future::Future, sync::Arc, time::Duration};

use futures_util::{StreamExt, stream::BoxStream};
use lapin::{Channel, Connection, ConnectionProperties, Event, uri::AMQPUri};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, interval, sleep, timeout},
};
use tracing::info;

use super::{
    buffered::{Buffered, Counted},
    config::AmqpConfig,
    error::{ACCESS_REFUSED, AmqpError, reply_code},
    permission::{self, Denial},
    screen::FRAME_BYTES_MAX,
    stats::AmqpStats,
    transport, unreachable,
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
        // Refused when the connection is gone already, which is as good.
        let _ = timeout(CLOSE_MAX, self.connection.close(200, "OK".into())).await;
    }
}

/// Keeps the connection up and tells the channels.
pub(super) struct Keeper {
    uri: AMQPUri,
    shown_url: Arc<str>,
    connect_timeout: Duration,
    rpc_timeout: Duration,
    max_event_bytes: usize,
    prefetch: u16,
    grant: Arc<str>,
    stats: Arc<AmqpStats>,
    link: watch::Sender<Link>,
}

impl Keeper {
    pub(super) fn new(config: &AmqpConfig, stats: Arc<AmqpStats>, link: watch::Sender<Link>) -> Self {
        let connect_timeout = Duration::from_millis(config.connect_timeout_ms);
        let mut uri = config.url.uri().clone();
        uri.query.frame_max = Some(FRAME_BYTES_MAX);
        uri.query.heartbeat = Some(config.heartbeat_s);
        uri.query.connection_timeout = Some(config.connect_timeout_ms);
        Self {
            uri,
            shown_url: config.url.to_string().into(),
            connect_timeout,
            rpc_timeout: Duration::from_millis(config.rpc_timeout_ms),
            max_event_bytes: config.max_event_bytes,
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
                    info!(broker = %self.shown_url, "connected to the broker");
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
        // No auto-recovery: it replays from the original offset or hangs (`docs/measurements.md`).
        let properties =
            ConnectionProperties::default().with_connection_name("tiercast-signaling-server".into());
        let buffered = Arc::new(Buffered::new(self.stats.clone()));
        let connecting =
            transport::connect(self.uri.clone(), properties, self.max_event_bytes, buffered.clone());
        let connection = match timeout(self.connect_timeout, connecting).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => return Err(unreachable::refused(&self.shown_url, &error)),
            Err(_) => return Err(unreachable::silent(&self.shown_url, self.connect_timeout)),
        };
        let events = connection.events_listener().boxed();
        let broker = Broker {
            connection: Arc::new(connection),
            shown_url: self.shown_url.clone(),
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
