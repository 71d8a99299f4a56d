//! What a piece of code has received, as it tells itself.

use std::fmt::Debug;

use tokio::{sync::watch, time::timeout};

use super::PATIENCE;

/// What a piece of code has received: that adds to it, and the test waits for it. Cheap to clone.
///
/// ```
/// use tiercast_signaling_server::testing::Received;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let received = Received::default();
/// let listener = received.clone();
/// tokio::spawn(async move { ["ticket.1.updated", "ticket.1.closed"].map(|key| listener.add(key)) });
/// let keys = received.until("the ticket is closed", |key| key.ends_with(".closed")).await;
/// assert_eq!(keys, ["ticket.1.updated", "ticket.1.closed"]);
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Received<T>(watch::Sender<Vec<T>>);

impl<T> Default for Received<T> {
    fn default() -> Self {
        Self(watch::Sender::new(Vec::new()))
    }
}

impl<T: Clone + Debug> Received<T> {
    /// Adds something.
    pub fn add(&self, received: T) {
        self.0.send_modify(|all| all.push(received));
    }

    /// What there is, in order.
    pub fn so_far(&self) -> Vec<T> {
        self.0.borrow().clone()
    }

    /// Waits until something is there of which `is_last` says so, and gives what there is up to it. `what` is for people.
    ///
    /// # Panics
    ///
    /// If it has not come within a minute; then with what has come.
    pub async fn until(&self, what: &str, is_last: impl Fn(&T) -> bool) -> Vec<T> {
        let mut all = self.0.subscribe();
        let wait = all.wait_for(|all| all.iter().any(&is_last));
        if timeout(PATIENCE, wait).await.is_err() {
            panic!("not received within {PATIENCE:?}: {what}, but {:#?}", self.so_far());
        }
        let mut all = self.so_far();
        all.truncate(all.iter().position(is_last).map_or(0, |at| at + 1));
        all
    }
}
