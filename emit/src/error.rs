//! Why an event was not published, or may not have been.

use std::time::Duration;

use tiercast_codec::{ChannelNameError, Code, EventNameError};

/// Why an event was not published, or may not have been.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EmitError {
    /// Not a server's address.
    #[error("`{0}` is no address of a server: write one such as http://127.0.0.1:8780")]
    Server(String),
    /// It asks for TLS.
    #[error(
        "`{0}` is TLS, and an emitter speaks http:// only: use the server's own http://HOST:PORT, or put a proxy in \
         between that speaks TLS and use http:// to it"
    )]
    Tls(String),
    /// A key that no header can hold.
    #[error("the key has characters that no HTTP header can hold: give an API key of the server")]
    Key,
    /// Not a channel's name.
    #[error(transparent)]
    Channel(#[from] ChannelNameError),
    /// What happened to what has no name.
    #[error(transparent)]
    Name(#[from] EventNameError),
    /// The data cannot be written as JSON.
    #[error("the event's data cannot be written as JSON: {0}")]
    Data(String),
    /// The server does not take the event, and never will. Nothing was published.
    #[error("the server refused the event (HTTP {status}): {reason}: {fix}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The protocol's code for the same thing, if it has one.
        code: Option<Code>,
        /// What is wrong.
        reason: String,
        /// What to do.
        fix: String,
    },
    /// It is not known whether the event is published. If that matters, publish it again under the same message id.
    #[error("not known to be published after {after:?}: {reason}")]
    GaveUp {
        /// For how long that was tried: [`EmitOptions::give_up`](crate::EmitOptions::give_up).
        after: Duration,
        /// What happened the last time.
        reason: String,
    },
    /// The runtime on which the emitter was made has ended. It is not known whether the event is published.
    #[error("the emitter has ended with its runtime: make another one")]
    Ended,
}
