//! The sans-IO core of Tiercast.

mod batch;
pub mod hub;
mod log;
mod outbox;
pub mod peer;
mod source;
mod time;
mod timers;

pub use batch::BatchLimits;
pub use hub::Hub;
pub use log::{FrameLog, LogLimits, Read, covers};
pub use outbox::OUTBOX_MESSAGES_MAX;
pub use peer::Peer;
pub use source::SourceUpdate;
pub use time::Time;
