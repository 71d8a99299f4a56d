//! The broker, as sessions see it: AMQP channels on a connection, requests that are answered in time, and what is said
//! when they are not.

use std::{fmt::Display, future::Future, sync::Arc, time::Duration};

use lapin::{Channel, Connection};
use tokio::{sync::watch, time::timeout};

use super::{
    buffered::{Buffered, Counted},
    error::{ACCESS_REFUSED, AmqpError, reply_code},
    marks_connection::MarksConnection,
    patience::InVain,
    permission::Denial,
    stats::AmqpStats,
    unreachable,
};

/// Longest time to say goodbye to the broker at shutdown; unvalidated.
const CLOSE_MAX: Duration = Duration::from_secs(2);

/// A connection that is, or was, up. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Broker {
    pub(super) connection: Arc<Connection>,
    pub(super) marks: Arc<MarksConnection>,
    pub(super) shown_url: Arc<str>,
    pub(super) rpc_timeout: Duration,
    pub(super) prefetch: u16,
    /// What gives the user all permissions that are needed.
    pub(super) grant: Arc<str>,
    pub(super) buffered: Arc<Buffered>,
    pub(super) stats: Arc<AmqpStats>,
    /// How many nodes the cluster has, as far as they are named.
    pub(super) nodes: usize,
    /// What changing the connection has not helped.
    pub(super) in_vain: Arc<InVain>,
    /// Why somebody wants another connection in place of this one.
    pub(super) given_up: watch::Sender<Option<Arc<str>>>,
}

impl Broker {
    /// Opens an AMQP channel. It is closed when the last of its handles and consumers is dropped.
    pub(super) async fn open_channel(&self) -> Result<Channel, AmqpError> {
        self.rpc("opening an AMQP channel", self.create_channel()).await
    }

    /// The AMQP library gives the number of a channel that the broker has closed with an error to one more channel, which
    /// ends with the same error, and then to none. As such channels are not missed, another is tried.
    async fn create_channel(&self) -> lapin::Result<Channel> {
        loop {
            match self.connection.create_channel().await {
                Err(error) if self.is_alive() && reply_code(&error).is_some() => {}
                created => return created,
            }
        }
    }

    /// Opens an AMQP channel to publish a mark on.
    pub(super) async fn open_channel_for_a_mark(&self) -> Result<Channel, AmqpError> {
        let connection = self.marks.connection().await?;
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

    /// Counts a mark that was put into a stream.
    pub(super) fn count_mark(&self) {
        self.stats.count_mark();
    }

    pub(super) fn is_alive(&self) -> bool {
        self.connection.status().connected()
    }

    pub(super) fn is_same(&self, other: &Broker) -> bool {
        Arc::ptr_eq(&self.connection, &other.connection)
    }

    /// Asks for another connection in place of this one, to the next node if there is one. False if somebody has already.
    pub(super) fn give_up(&self, why: &dyn Display) -> bool {
        let reason = format!("gave up the connection to the broker {}: {why}", self.shown_url);
        self.given_up.send_if_modified(|given_up| {
            let is_first = given_up.is_none();
            given_up.get_or_insert(reason.into());
            is_first
        })
    }

    pub(super) async fn close(&self) {
        let marks = self.marks.take().await;
        for connection in [&self.connection].into_iter().chain(&marks) {
            // Refused when the connection is gone already, which is as good.
            let _ = timeout(CLOSE_MAX, connection.close(200, "OK".into())).await;
        }
    }
}
