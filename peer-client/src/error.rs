//! What can go wrong in calls of the library.

use tiercast_codec::{ChannelName, ChannelNameError, PatternError};

use crate::server_url::ServerUrlError;

/// What can go wrong in calls.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// Not a server's address.
    #[error(transparent)]
    Url(#[from] ServerUrlError),
    /// Not a channel name.
    #[error(transparent)]
    ChannelName(#[from] ChannelNameError),
    /// Not a topic pattern.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// There is a subscription already; drop it first.
    #[error("already subscribed to `{0}`")]
    AlreadySubscribed(ChannelName),
    /// The server forbade this peer to come back, or the peer was closed.
    #[error("the peer is closed")]
    Closed,
}
