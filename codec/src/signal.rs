//! Signaling between two peers that the hub has paired: what WebRTC needs to connect them.

use serde::{Deserialize, Serialize};

/// One step of a WebRTC negotiation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Signal {
    /// The offerer's session description.
    Offer {
        /// SDP text.
        sdp: String,
    },
    /// The answerer's session description.
    Answer {
        /// SDP text.
        sdp: String,
    },
    /// One ICE candidate of the sender.
    Candidate {
        /// The candidate line, without `a=`.
        candidate: String,
        /// The media section it belongs to; "0", as there is only the data section.
        mid: String,
    },
}

/// A STUN or TURN server, as WebRTC names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IceServer {
    /// `stun:` or `turn:` addresses.
    pub urls: Vec<String>,
    /// TURN user name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// TURN password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
}
