//! What a source tells the hub about its channel.

use tiercast_codec::{Event, Message, Offset, Position};

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
    /// Everything after this position can be [fetched](crate::hub::Output::Fetch), for all that is known now. Said before
    /// [`SourceUpdate::Opened`], and again when more of it is gone; a source that never says it keeps nothing.
    Retains(Position),
    /// The answer to [`Output::Fetch`](crate::hub::Output::Fetch).
    Fetched(Page),
    /// The other answer: there is no page now. The hub asks again later.
    NotFetched {
        /// The position that was asked for.
        after: Position,
    },
    /// The connection is gone and is being retried.
    Lost {
        /// Why, for people.
        reason: String,
    },
}

/// A run of a channel's past.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// The position that was asked for.
    pub asked: Position,
    /// Where it begins: at the offset that was asked for or, where what followed is no longer retained, behind that.
    pub after: Offset,
    /// All that there is between `after` and `last`, in offset order.
    pub entries: Vec<PageEntry>,
    /// How far it reaches: beyond its last entry where nothing follows that for a while. Beyond `asked`, always.
    pub last: Offset,
}

/// Something in a channel's past.
#[derive(Debug, Clone, PartialEq)]
pub enum PageEntry {
    /// An event.
    Event(Event),
    /// Here was one that cannot be given: a gap takes its place.
    LeftOut(Offset),
}
