//! The connection on which marks are published. A broker that is short of memory or disk takes nothing more from a
//! connection that publishes, not even acknowledgements; so events come on another one.

use std::sync::Arc;

use lapin::Connection;
use tokio::sync::Mutex;

use super::{buffered::Buffered, connector::Connector, error::AmqpError, stats::AmqpStats};

/// Made when the first mark is published, and again when it has broken.
#[derive(Debug)]
pub(super) struct MarksConnection {
    connector: Arc<Connector>,
    stats: Arc<AmqpStats>,
    connection: Mutex<Option<Arc<Connection>>>,
}

impl MarksConnection {
    pub(super) fn new(connector: Arc<Connector>, stats: Arc<AmqpStats>) -> Self {
        Self { connector, stats, connection: Mutex::default() }
    }

    /// The connection, for one mark more. Refused while the broker takes none: they would come all at once later.
    pub(super) async fn connection(&self) -> Result<Arc<Connection>, AmqpError> {
        let mut current = self.connection.lock().await;
        let connection = match current.take().filter(|connection| connection.status().connected()) {
            Some(connection) => connection,
            None => Arc::new(self.connect().await?),
        };
        let is_blocked = connection.status().blocked();
        *current = Some(Arc::clone(&connection));
        if is_blocked { Err(AmqpError::Blocked) } else { Ok(connection) }
    }

    /// What is there to be closed.
    pub(super) async fn take(&self) -> Option<Arc<Connection>> {
        self.connection.lock().await.take()
    }

    async fn connect(&self) -> Result<Connection, AmqpError> {
        let buffered = Arc::new(Buffered::new(self.stats.clone()));
        let connecting = self.connector.connect("tiercast-signaling-server marks", buffered);
        connecting.await.map_err(AmqpError::Disconnected)
    }
}
