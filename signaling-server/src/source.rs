//! Sources: where the events of a channel come from.

use std::{future::Future, pin::Pin};

use tiercast_codec::{ChannelName, Position};
use tiercast_mesh::{SourceUpdate, hub::Fetch};
use tokio::sync::{mpsc, watch};

pub mod amqp;
pub(crate) mod embedded;
pub(crate) mod message_ids;
pub(crate) mod roster;
pub(crate) mod store;
pub(crate) mod stored;

/// Takes what sources say to the hub. Bounded: a source that is faster than the hub waits.
pub type SourceSink = mpsc::Sender<(String, SourceUpdate)>;

/// What the hub wants to know from a source.
#[derive(Debug, Clone)]
pub enum Question {
    /// Where a channel ends now. Answered by [`SourceUpdate::End`]. At most one such question for each channel waits for its
    /// answer.
    End {
        /// The channel.
        channel: ChannelName,
        /// The farthest position that a peer claims to have. A source that has come so far itself need not look.
        claimed: Position,
    },
    /// A page of a channel's past, of what the source has said that it [retains](SourceUpdate::Retains). Answered by
    /// [`SourceUpdate::Fetched`] or [`SourceUpdate::NotFetched`], or not at all by a source that says it is lost.
    Page(Fetch),
}

impl Question {
    /// The channel.
    pub fn channel(&self) -> &ChannelName {
        match self {
            Question::End { channel, .. } => channel,
            Question::Page(fetch) => &fetch.channel,
        }
    }
}

/// Brings the hub's questions.
pub type Questions = mpsc::Receiver<Question>;

/// Turns true when the server shuts down.
pub type Shutdown = watch::Receiver<bool>;

/// Feeds one or more channels until shutdown, reconnecting by itself for as long as that takes.
pub trait Source: Send + 'static {
    /// Runs the source. Updates are named by channel. Returns after `shutdown` turns true (or the sink is
    /// closed), with every connection closed.
    fn run(
        self: Box<Self>,
        sink: SourceSink,
        questions: Questions,
        shutdown: Shutdown,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}
