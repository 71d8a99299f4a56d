//! What can end a session with the broker. Every one of these is retried.

use std::{sync::Arc, time::Duration};

use super::permission::{CONSUMING, Denial};

/// Why a connection or a channel's session ended. Its text becomes the reason of `SourceUpdate::Lost`.
#[derive(Debug, thiserror::Error)]
pub(super) enum AmqpError {
    /// The broker is frozen or, for a stream, has no quorum. The request may still take effect.
    #[error(
        "{what}: no answer from the broker {broker} within {} ms: is it frozen, or a stream without quorum?",
        limit.as_millis()
    )]
    Timeout { what: &'static str, broker: Arc<str>, limit: Duration },
    /// The broker refused, or the connection broke.
    #[error("{what}: {source}")]
    Broker { what: &'static str, source: lapin::Error },
    /// Configured, but not on the broker. Nothing of this exchange is bound.
    #[error("exchange `{0}` does not exist on the broker: create it, or correct `bindings`")]
    NoExchange(String),
    /// The user may not do it.
    #[error("{denial}: an administrator of the broker can give it by `{grant}`")]
    Denied { denial: Denial, grant: Arc<str> },
    /// Somebody has written down a number that is later than any other: none can follow.
    #[error("the numbering of exchange `{0}` on the broker is not ours: delete the exchange")]
    Endless(String),
    /// A queue of our name that we did not make. It is left as it is.
    #[error(
        "queue `{queue}` on the broker carries no epoch of ours ({text}): delete it, or rename the channel"
    )]
    Foreign { queue: String, text: String },
    /// An exchange of our name that we did not make. It is left as it is.
    #[error("exchange `{exchange}` on the broker is not ours ({text}): delete it, or rename the channel")]
    ForeignExchange { exchange: String, text: String },
    /// It lost its end, was made again with the same arguments, or another server found that out.
    #[error("the stream does not go on where it was: a new numbering begins")]
    Renumbered,
    /// What came was before what had come: the stream has lost its end under the consumer. Looked into by the next session.
    #[error("the stream's offsets go back")]
    WentBack,
    /// Messages were lost that the hub was too slow for. Said of a classic queue only.
    #[error(
        "the queue on the broker was full: the server did not keep up, more than {bytes_max} bytes waited \
         (amqp.queue_bytes), and some were lost"
    )]
    QueueFull { bytes_max: usize },
    /// The broker is short of memory or disk. Events go on coming; where a stream says nothing its end is not known.
    #[error(
        "the broker takes no marks, so a stream's end is not known: is it short of memory or disk (an alarm)?"
    )]
    Blocked,
    /// Deleted while it was consumed, or between two looks at it.
    #[error("the queue was deleted on the broker")]
    Deleted,
    /// A stream delivered a message without an offset: it is not a stream.
    #[error("a message came without a stream offset")]
    NoOffset,
    /// The connection that the session ran on was given up, or the one for marks cannot be made.
    #[error("{0}")]
    Disconnected(Arc<str>),
    /// The hub takes nothing more: the server is going down. Not retried.
    #[error("the hub has stopped")]
    SinkClosed,
}

impl AmqpError {
    /// Whether only a new connection can help although this one lives: all its AMQP channels are used up, which
    /// happens when the broker stops answering requests to close them.
    pub(super) fn needs_new_connection(&self) -> bool {
        matches!(self, Self::Broker { source, .. } if matches!(source.kind(), lapin::ErrorKind::ChannelsLimitReached))
    }

    /// Whether another node of the cluster might do better. Not where all nodes say the same, as of permissions, of what
    /// does not exist, and of what was made otherwise; but one that has no running replica of a stream refuses consumers
    /// by the code of the latter.
    pub(super) fn may_be_the_nodes(&self) -> bool {
        match self {
            Self::Timeout { .. }
            | Self::Deleted
            | Self::Disconnected(_)
            | Self::Broker { what: CONSUMING, .. } => true,
            Self::Broker { source, .. } => {
                !matches!(reply_code(source), Some(ACCESS_REFUSED | PRECONDITION_FAILED))
            }
            _ => false,
        }
    }

    /// Whether it is the connection that broke.
    pub(super) fn is_of_the_connection(&self) -> bool {
        use lapin::ErrorKind::{IOError, InvalidConnectionState, MissingHeartbeatError};
        let is_of_it =
            |kind: &_| matches!(kind, IOError(_) | InvalidConnectionState(_) | MissingHeartbeatError);
        matches!(self, Self::Broker { source, .. } if is_of_it(source.kind()))
    }
}

/// The code of the broker's refusal to let somebody in or do something.
pub(super) const ACCESS_REFUSED: u16 = 403;

/// The code of the broker's refusal of what is there already, and otherwise.
pub(super) const PRECONDITION_FAILED: u16 = 406;

/// The broker's reply code in an error, such as 404 or 406, if it was the broker's.
pub(super) fn reply_code(error: &lapin::Error) -> Option<u16> {
    match error.kind() {
        lapin::ErrorKind::ProtocolError(error) => Some(error.get_id()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use lapin::protocol::{AMQPError, AMQPErrorKind, AMQPSoftError};

    use super::*;

    fn broker(what: &'static str, kind: AMQPSoftError) -> AmqpError {
        let error = AMQPError::new(AMQPErrorKind::Soft(kind), "why".into());
        AmqpError::Broker { what, source: lapin::ErrorKind::ProtocolError(error).into() }
    }

    #[test]
    fn what_every_node_would_say_is_not_held_against_the_one_that_says_it() {
        use AMQPSoftError::{ACCESSREFUSED, NOTFOUND, PRECONDITIONFAILED};
        for error in [
            broker("binding", PRECONDITIONFAILED),
            broker("binding", ACCESSREFUSED),
            AmqpError::NoExchange("ci".to_owned()),
            AmqpError::Renumbered,
            AmqpError::QueueFull { bytes_max: 1 },
        ] {
            assert!(!error.may_be_the_nodes(), "{error}");
        }
        for error in [
            broker(CONSUMING, PRECONDITIONFAILED),
            broker("declaring the queue", NOTFOUND),
            AmqpError::Timeout { what: "binding", broker: "one".into(), limit: Duration::ZERO },
            AmqpError::Deleted,
        ] {
            assert!(error.may_be_the_nodes(), "{error}");
        }
    }
}
