//! When to stop: what people and service managers say to a program.

use std::io;

use tokio::signal::{
    ctrl_c,
    unix::{SignalKind, signal},
};

/// Waits until the program is told to end: by ctrl-c, or by SIGTERM.
///
/// # Errors
///
/// If signals cannot be waited for.
pub async fn told_to_stop() -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        pressed = ctrl_c() => pressed,
    }
}
