//! What a source tells the hub about its channel.

use tiercast_codec::{Event, Message, Position};

/// One step in the life of a source, in the order in which it happened.
#[derive(Debug, Clone, PartialEq)]
pub enum SourceUpdate {
    /// Connected: the next event is the first one after this position.
    ///
    /// Said at the start and after every reconnect. Where the position is not the one that the hub has
    /// reached (another epoch, or a larger offset), events are lost for good and every receiver gets a gap.
    Opened(Position),
    /// Events that the broker has numbered, in offset order, with nothing missing since the last update.
    Events(Vec<Event>),
    /// Messages without numbers, in order; the hub gives each the next offset.
    Messages(Vec<Message>),
    /// The connection is gone and is being retried.
    Lost {
        /// Why, for people.
        reason: String,
    },
}
