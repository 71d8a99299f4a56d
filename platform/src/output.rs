//! What programs print, for as long as somebody reads it. A pipe whose reader has gone (`| head -1`) is no mistake, so
//! nothing here panics over it as `println!` does.

use std::{
    fmt::Display,
    io::{self, IsTerminal, Write},
    os::fd::AsFd,
};

use tokio::{io::Interest, net::unix::pipe};

/// Prints a line to stdout, at once. False if nobody reads it any more.
pub fn print_line(line: impl Display) -> io::Result<bool> {
    let mut stdout = io::stdout().lock();
    match writeln!(stdout, "{line}").and_then(|()| stdout.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error),
    }
}

/// Says a line on stderr, to whoever hears it.
pub fn say(line: impl Display) {
    // There is no other place to tell of it.
    let _ = writeln!(io::stderr(), "{line}");
}

/// Says how far something is, on stderr: on a terminal in the place of what was said before, else on a line of its
/// own. False if nobody hears it.
pub fn say_progress(line: impl Display) -> bool {
    let mut stderr = io::stderr();
    let said =
        if stderr.is_terminal() { write!(stderr, "\r\x1b[2K{line}") } else { writeln!(stderr, "{line}") };
    said.is_ok()
}

/// Ends the line of [`say_progress`].
pub fn end_progress() {
    if io::stderr().is_terminal() {
        say("");
    }
}

/// Waits until nobody reads stdout any more. What is no pipe has a reader for ever.
pub async fn stdout_unread() {
    if wait_for_error_of_stdout().await.is_err() {
        // What cannot be waited for, such as a file.
        std::future::pending().await
    }
}

async fn wait_for_error_of_stdout() -> io::Result<()> {
    let copy = io::stdout().as_fd().try_clone_to_owned()?;
    // Only watched: to write to it, it would have to be non-blocking, for whoever else has it as well.
    let pipe = pipe::Sender::from_owned_fd_unchecked(copy)?;
    pipe.ready(Interest::ERROR).await.map(|_| ())
}
