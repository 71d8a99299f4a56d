//! Why somebody does not get a dynamic channel.

use tiercast_codec::Code;
use tiercast_mesh::hub::Refusal;

use super::super::{error::AmqpError, names::AmqpConfigError};

/// Why a client does not get what it asks for of an exchange.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DynamicError {
    /// No exchange has such a name.
    #[error("the exchange's name: {0}")]
    Name(AmqpConfigError),
    /// Nothing is asked for.
    #[error("name at least one pattern: `#` is everything")]
    NoPattern,
    /// More than one subscription may have.
    #[error("a subscription may have {0} patterns")]
    TooManyPatterns(usize),
    /// The broker would take too long to match it.
    #[error("pattern `{pattern}`: a pattern may have {max} `#`")]
    TooManyHashes {
        /// The pattern.
        pattern: String,
        /// How many it may have.
        max: usize,
    },
    /// Not among `amqp.dynamic.exchanges`.
    #[error("exchange `{0}` is not open to subscriptions on this server")]
    NotAllowed(String),
    /// The broker does not let the server bind this.
    #[error("the broker does not let this server bind that to exchange `{0}`")]
    Denied(String),
    /// The channel's number, or its stream's name, is in use for something else.
    #[error("exchange `{0}` cannot have a channel beside those that there are")]
    Taken(String),
    /// The broker has none of this name.
    #[error("exchange `{0}` does not exist on the broker")]
    UnknownExchange(String),
    /// As many as the server takes.
    #[error("the server has all {max} {what} that it takes: come back later")]
    Full {
        /// What there are so many of.
        what: &'static str,
        /// How many it takes.
        max: usize,
    },
    /// The broker has not done it in time.
    #[error("exchange `{0}` is not bound yet: come back in a moment")]
    NotReady(String),
    /// The server has stopped, or is about to.
    #[error("the server is shutting down")]
    Stopped,
}

impl DynamicError {
    /// The code that a client is told.
    pub fn code(&self) -> Code {
        match self {
            Self::Name(_) | Self::NoPattern | Self::TooManyPatterns(_) | Self::TooManyHashes { .. } => {
                Code::BAD_REQUEST
            }
            Self::NotAllowed(_) | Self::Denied(_) | Self::Taken(_) => Code::NOT_ALLOWED,
            Self::UnknownExchange(_) => Code::UNKNOWN_EXCHANGE,
            Self::Full { .. } => Code::FULL,
            Self::NotReady(_) => Code::NOT_READY,
            Self::Stopped => Code::SHUTDOWN,
        }
    }

    /// What clients are told of an error for which waiting is no remedy.
    pub(super) fn of(error: &AmqpError, exchange: &str) -> Option<Self> {
        match error {
            AmqpError::NoExchange(_) => Some(Self::UnknownExchange(exchange.to_owned())),
            AmqpError::Denied { .. } => Some(Self::Denied(exchange.to_owned())),
            AmqpError::Foreign { .. } | AmqpError::ForeignExchange { .. } => {
                Some(Self::Taken(exchange.to_owned()))
            }
            _ => None,
        }
    }
}

impl From<DynamicError> for Refusal {
    fn from(error: DynamicError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}
