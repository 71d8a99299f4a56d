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
    /// What is said from here on may be the channel's past: the source has not reached its end. Said before
    /// [`SourceUpdate::Opened`]; a source that never says it is always at the end.
    Behind,
    /// What was said so far reaches what was the channel's end after [`SourceUpdate::Behind`].
    CaughtUp,
    /// The answer to [`Output::FindEnd`](crate::hub::Output::FindEnd): since the question the channel has ended here.
    /// It may go on meanwhile.
    End(Position),
    /// The connection is gone and is being retried.
    Lost {
        /// Why, for people.
        reason: String,
    },
}
