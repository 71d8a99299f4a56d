//! The Tiercast signaling server.

pub mod epoch;
pub mod reconnect;
pub mod source;
