//! What whoever wants something of a server is told that has stopped.

use tiercast_codec::Code;
use tiercast_mesh::hub::Refusal;

/// The server has stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the server has stopped")]
pub struct Stopped;

impl From<Stopped> for Refusal {
    fn from(stopped: Stopped) -> Self {
        Self::new(Code::SHUTDOWN, stopped.to_string())
    }
}
