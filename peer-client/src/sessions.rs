//! The connections to the servers, one after the other: which server is next, and when.

use std::time::Duration;

use tokio::{sync::mpsc, task::JoinSet};

use crate::{
    server_url::{ServerUrl, ServerUrls},
    servers::Servers,
    session::{self, Ended, SessionEvent},
};

/// The connections to the servers, one at a time.
pub(crate) struct Sessions {
    servers: Servers,
    events: mpsc::Sender<SessionEvent>,
    /// Ends a session's task together with this.
    tasks: JoinSet<()>,
    /// Attempts since one succeeded.
    attempts: u32,
    retry_after: Duration,
}

/// The next attempt.
pub(crate) struct Attempt {
    pub(crate) number: u32,
    pub(crate) delay: Duration,
    pub(crate) server: ServerUrl,
}

impl Sessions {
    /// Connects; what happens is told to `events`.
    pub(crate) fn start(urls: ServerUrls, events: mpsc::Sender<SessionEvent>) -> Self {
        let (servers, tasks) = (Servers::new(urls), JoinSet::new());
        let mut sessions = Self { servers, events, tasks, attempts: 0, retry_after: Duration::ZERO };
        sessions.attempt(Duration::ZERO);
        sessions
    }

    /// The server that has answered.
    pub(crate) fn succeeded(&mut self) -> Option<ServerUrl> {
        self.attempts = 0;
        self.servers.current().cloned()
    }

    /// The server that there is a connection to does not want this peer back earlier.
    pub(crate) fn retry_after(&mut self, delay: Duration) {
        self.retry_after = delay;
    }

    /// A connection has ended: gives the next attempt, which comes by itself. `None`: no server wants this peer back.
    pub(crate) fn go_on(&mut self, ended: &Ended) -> Option<Attempt> {
        let retry_after = std::mem::take(&mut self.retry_after);
        if ended.may_retry {
            self.servers.failed(ended.lasted, retry_after);
        } else {
            self.servers.forbidden();
        }
        let delay = self.servers.turn()?;
        self.attempt(delay)
    }

    fn attempt(&mut self, delay: Duration) -> Option<Attempt> {
        let server = self.servers.current()?.clone();
        self.attempts += 1;
        // The task before has said its last word.
        while self.tasks.try_join_next().is_some() {}
        self.tasks.spawn(session::run(server.clone(), delay, self.events.clone()));
        Some(Attempt { number: self.attempts, delay, server })
    }

    /// Waits until the last connection has ended.
    pub(crate) async fn ended(&mut self) {
        while self.tasks.join_next().await.is_some() {}
    }
}
