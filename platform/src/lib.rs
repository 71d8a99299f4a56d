//! What lies between the sans-IO core and the machine: where the time comes from, how long to wait before trying
//! again, what the process costs, and how its log looks. The server and the peer both use it, and know nothing else
//! of each other.

mod clock;
mod process;
mod reconnect;
mod terminal;

pub use clock::Clock;
pub use process::{cpu_seconds, resident_bytes};
pub use reconnect::Reconnect;
pub use terminal::stderr_has_colours;
