//! What lies between the sans-IO core and the machine: where the time comes from, how long to wait before trying
//! again, what the process costs, and how it prints and logs. The server and the peer both use it, and know nothing else
//! of each other.

mod clock;
mod log;
mod output;
mod process;
mod reconnect;
mod stop;

pub use clock::Clock;
pub use log::{LOG_LINES_MAX, Log, log_lines_lost, start_log};
pub use output::{end_progress, print_line, say, say_progress, stdout_unread};
pub use process::{Usage, cpu_seconds, resident_bytes};
pub use reconnect::Reconnect;
pub use stop::told_to_stop;
