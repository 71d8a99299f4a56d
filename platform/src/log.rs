//! The log: lines on stderr, written by a thread of its own, so that one that is not read stops nothing.

use std::{
    env,
    ffi::OsString,
    fmt::Display,
    io::{self, IsTerminal, Write},
    sync::OnceLock,
};

use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

/// Lines that may wait to be written, unless somebody says otherwise.
pub const LOG_LINES_MAX: usize = 8_192;

static LOST: OnceLock<ErrorCounter> = OnceLock::new();

/// The log, until this is dropped; that waits a moment for the lines that are still to be written.
#[must_use]
#[derive(Debug)]
pub struct Log {
    writer: NonBlocking,
    _until_written: WorkerGuard,
}

impl Log {
    /// Says a line as it is, after what was logged before.
    pub fn say(&self, line: impl Display) {
        // It is said to nobody in particular: like other lines it may be lost.
        let _ = self.writer.clone().write_all(format!("{line}\n").as_bytes());
    }
}

/// Lets the log go to stderr, as far as `filter` lets it through. Where `lines_max` wait to be written already the next ones are
/// lost, and counted.
pub fn start_log(filter: EnvFilter, lines_max: usize) -> Log {
    let (writer, until_written) = NonBlockingBuilder::default()
        .buffered_lines_limit(lines_max)
        .lossy(true)
        .thread_name("log")
        .finish(io::stderr());
    let _ = LOST.set(writer.error_counter());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer.clone())
        .with_ansi(has_colours(io::stderr().is_terminal(), env::var_os("NO_COLOR")))
        // It would tell of it on stderr.
        .log_internal_errors(false)
        .init();
    Log { writer, _until_written: until_written }
}

/// Lines of this process's log that were lost, as nobody read it fast enough.
pub fn log_lines_lost() -> usize {
    LOST.get().map_or(0, ErrorCounter::dropped_lines)
}

/// Whether a log may have colours: on a terminal, unless `NO_COLOR` is set (no-color.org).
fn has_colours(is_terminal: bool, no_color: Option<OsString>) -> bool {
    is_terminal && no_color.is_none_or(|value| value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_for_terminals_that_want_them() {
        assert!(has_colours(true, None));
        assert!(has_colours(true, Some("".into())), "set to nothing is not set");
        assert!(!has_colours(true, Some("1".into())));
        assert!(!has_colours(false, None));
    }
}
