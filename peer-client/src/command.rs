//! What a program and the peer's task say to each other.

use tiercast_codec::{ChannelName, Code, Position, Since};
use tiercast_mesh::peer::Delivery;
use tokio::sync::{mpsc, oneshot};

use crate::error::ClientError;

/// What the application wants.
#[derive(Debug)]
pub(crate) enum Command {
    Subscribe {
        channel: ChannelName,
        since: Since,
        notify: mpsc::Sender<Said>,
        done: oneshot::Sender<Result<(), ClientError>>,
    },
    Unsubscribe(ChannelName),
    Offer(u16),
    Close,
    #[cfg(feature = "faults")]
    Misbehave(Box<dyn crate::faults::Villain>),
    #[cfg(feature = "faults")]
    Weather(crate::link::Weather),
}

/// What the peer's task says to a subscription.
#[derive(Debug)]
pub(crate) enum Said {
    /// The server has granted it, for the first time or after a reconnect.
    Subscribed { position: Position, recovered: bool },
    /// Something of the channel, wanted or not.
    Delivery(Delivery),
    /// Nothing follows.
    Refused { code: Option<Code>, reason: String },
}

/// Ends a subscription with the reason, as soon as the application has room for it.
pub(crate) fn refuse(subscriber: mpsc::Sender<Said>, code: Option<Code>, reason: String) {
    tokio::spawn(async move {
        // An application that has gone needs no reason.
        let _ = subscriber.send(Said::Refused { code, reason }).await;
    });
}
