//! The one table of close and error codes.
//!
//! 3000-3499: reconnect, no earlier than told. 3500-3999: do not, something must change first.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A close or error code. Codes from a newer build are kept as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Code(pub u16);

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $constant:ident = $number:literal, $name:literal;)+) => {
        impl Code {
            $($(#[doc = $doc])+ pub const $constant: Code = Code($number);)+

            /// Every code of this build, in order.
            pub const ALL: &[Code] = &[$(Code::$constant),+];

            /// The code's name, as in the documentation.
            pub fn name(self) -> &'static str {
                match self.0 {
                    $($number => $name,)+
                    _ => "unknown",
                }
            }
        }
    };
}

codes! {
    /// The server is shutting down or restarting.
    SHUTDOWN = 3000, "shutdown";
    /// Nothing was heard for too long.
    SILENT = 3001, "silent";
    /// The session does not read its control messages.
    SLOW = 3002, "slow";
    /// The server has all that it takes: sessions or, of a broker, dynamic channels and bindings.
    FULL = 3003, "full";
    /// The channel's source has not said yet where the channel is.
    NOT_READY = 3004, "not_ready";
    /// Departing on purpose.
    DEPARTED = 3100, "departed";
    /// The other end of a link is gone.
    LOST = 3101, "lost";
    /// A link could not be set up.
    LINK_FAILED = 3102, "link_failed";
    /// The parent no longer has what the child needs next.
    UNAVAILABLE = 3103, "unavailable";
    /// The application does not take its events fast enough to go on relaying.
    LAGGING = 3104, "lagging";
    /// The hub changed the tree.
    REPLACED = 3105, "replaced";
    /// An end of a link signaled more than the hub forwards, or the other end does not read its signals.
    SIGNAL_LIMIT = 3106, "signal_limit";
    /// The other end is a parent that stays behind the channel.
    STALE = 3107, "stale";
    /// A frame, head or message that cannot be decoded.
    MALFORMED = 3500, "malformed";
    /// A signature that is not the server's.
    BAD_SIGNATURE = 3501, "bad_signature";
    /// A protocol version that this server does not speak.
    UNSUPPORTED_VERSION = 3502, "unsupported_version";
    /// A message that is not allowed now or not from this side.
    UNEXPECTED = 3503, "unexpected";
    /// A link token that was not expected here.
    BAD_TOKEN = 3504, "bad_token";
    /// No such channel.
    UNKNOWN_CHANNEL = 3505, "unknown_channel";
    /// A request with values out of bounds.
    BAD_REQUEST = 3506, "bad_request";
    /// A message of an unknown type; it was ignored.
    UNKNOWN_MESSAGE = 3507, "unknown_message";
    /// Not subscribed to this channel.
    NOT_SUBSCRIBED = 3508, "not_subscribed";
    /// The configuration, or the broker, does not allow it.
    NOT_ALLOWED = 3509, "not_allowed";
    /// The broker has no such exchange.
    UNKNOWN_EXCHANGE = 3510, "unknown_exchange";
}

impl Code {
    /// Whether one who was closed with this code should come back by itself.
    pub fn may_reconnect(self) -> bool {
        !(3500..4000).contains(&self.0)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0, self.name())
    }
}
