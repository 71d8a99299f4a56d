//! Sources: where the events of a channel come from.

use std::{future::Future, pin::Pin};

use tiercast_mesh::SourceUpdate;
use tokio::sync::{mpsc, watch};

pub mod amqp;
pub(crate) mod embedded;

/// Takes what sources say to the hub. Bounded: a source that is faster than the hub waits.
pub type SourceSink = mpsc::Sender<(String, SourceUpdate)>;

/// Turns true when the server shuts down.
pub type Shutdown = watch::Receiver<bool>;

/// Feeds one or more channels until shutdown, reconnecting by itself for as long as that takes.
pub trait Source: Send + 'static {
    /// Runs the source. Updates are named by channel. Returns after `shutdown` turns true (or the sink is
    /// closed), with every connection closed.
    fn run(self: Box<Self>, sink: SourceSink, shutdown: Shutdown)
    -> Pin<Box<dyn Future<Output = ()> + Send>>;
}
