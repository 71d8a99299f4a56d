//! The connection on which events come: made, watched, replaced when it breaks, and closed.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, stream::BoxStream};
use lapin::Event;
use tokio::{
    sync::watch,
    time::{Instant, interval, sleep},
};
use tracing::info;

use super::{
    broker::Broker, buffered::Buffered, config::AmqpConfig, connector::Connector,
    marks_connection::MarksConnection, patience::InVain, permission, screen::FRAME_BYTES_MAX,
    stats::AmqpStats,
};
use tiercast_platform::Reconnect;

/// How often the connection's state is looked at, should its own event not come; unvalidated.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Longest wait for the next attempt to connect. Servers are few, and thousands of clients wait for each: less than the
/// 20 s of clients. Unvalidated.
const RECONNECT_MAX: Duration = Duration::from_secs(5);

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

impl Link {
    /// Whether it is this connection that is up.
    pub(super) fn is(&self, broker: &Broker) -> bool {
        matches!(self, Self::Up(current) if current.is_same(broker))
    }
}

/// Keeps the connection up and tells the channels.
pub(super) struct Keeper {
    connector: Arc<Connector>,
    rpc_timeout: Duration,
    prefetch: u16,
    grant: Arc<str>,
    stats: Arc<AmqpStats>,
    in_vain: Arc<InVain>,
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
            in_vain: Arc::default(),
            link,
        }
    }

    /// Connects again and again. Never returns; may be dropped at any time.
    pub(super) async fn keep(&self) {
        let mut reconnect = Reconnect::up_to(RECONNECT_MAX);
        let mut connected_before = false;
        loop {
            let (reason, lasted) = match self.connect().await {
                Ok((broker, events)) => {
                    info!(broker = %self.connector.node().shown_url, "connected to the broker");
                    if connected_before {
                        self.stats.count_reconnect();
                    }
                    connected_before = true;
                    let since = Instant::now();
                    (self.serve(broker, events).await, since.elapsed())
                }
                Err(reason) => (reason, Duration::ZERO),
            };
            self.connector.go_on();
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
            marks: Arc::new(MarksConnection::new(self.connector.clone(), self.stats.clone())),
            shown_url: self.connector.node().shown_url.clone(),
            rpc_timeout: self.rpc_timeout,
            prefetch: self.prefetch,
            grant: self.grant.clone(),
            buffered,
            stats: self.stats.clone(),
            nodes: self.connector.nodes(),
            in_vain: self.in_vain.clone(),
            given_up: watch::Sender::default(),
        };
        Ok((broker, events))
    }

    /// Lets the channels use the connection until it breaks; says why it did.
    async fn serve(&self, broker: Broker, mut events: BoxStream<'static, Event>) -> Arc<str> {
        self.stats.set_connected(true);
        self.link.send_replace(Link::Up(broker.clone()));
        let (mut look, mut given_up) = (interval(LOOK_EVERY), broker.given_up.subscribe());
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
                Ok(reason) = given_up.wait_for(Option::is_some) => break reason.clone().expect("there is one"),
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
