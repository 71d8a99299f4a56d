//! When to stop: what people and service managers say to a program.

use std::{future::Future, io};

use tokio::signal::unix::{SignalKind, signal};

/// Listens from now on whether the program is told to end, by ctrl-c or by SIGTERM; what it gives waits for that. To be
/// called before the program says that it is there: until then a signal ends it on the spot.
///
/// # Errors
///
/// If signals cannot be waited for.
pub fn told_to_stop() -> io::Result<impl Future<Output = ()>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
