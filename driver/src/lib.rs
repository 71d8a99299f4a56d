//! What the drivers of the sans-IO core share: where the time comes from, how long to wait before trying
//! again, and what the process costs. The server and the peer both use it, and know nothing else of each other.

mod clock;
mod process;
mod reconnect;

pub use clock::Clock;
pub use process::{cpu_seconds, resident_bytes};
pub use reconnect::{CEILING, FIRST_CEILING, Reconnect, STABLE};
