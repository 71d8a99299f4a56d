//! What the driver is told, and its end of a session or reader.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tiercast_codec::{ChannelName, Message, PatternSet, Position, SessionId};
use tiercast_mesh::hub::{Opening, Portion, ReaderId, Reading, Refusal, Rights, TreeNode, Whereabouts};
use tokio::sync::{mpsc, oneshot};

use super::snapshot::Snapshot;
use crate::source::embedded::{PublishError, Published};

/// An input of the driver.
#[derive(Debug)]
pub(crate) enum Command {
    Opened(SessionId, (Whereabouts, Rights), Outlet<Bytes>),
    Data(SessionId, Bytes),
    /// A connection is gone without a goodbye.
    Closed(SessionId),
    /// A peer has left for good.
    Departed(SessionId),
    /// A session whose queue was full has room again.
    Writable(SessionId),
    Publish {
        channel: ChannelName,
        messages: Vec<Message>,
        reply: oneshot::Sender<Result<Vec<Published>, PublishError>>,
    },
    /// Somebody wants to read.
    Read {
        reader: ReaderId,
        reading: Reading,
        outlet: Outlet<Portion>,
        reply: oneshot::Sender<Result<Opening, Refusal>>,
    },
    /// A reader wants something else from now on; answered with where it is.
    ChangeReader(ReaderId, Change, oneshot::Sender<Option<Position>>),
    /// A reader whose queue was full has room again.
    ReaderWritable(ReaderId),
    ReaderClosed(ReaderId),
    Snapshot(oneshot::Sender<Snapshot>),
    Topology(ChannelName, oneshot::Sender<Option<Vec<TreeNode>>>),
    /// Let sessions and readers go one after the other, within this time, and nobody in.
    Drain(Duration),
    /// Close every session, and refuse what comes after.
    Shutdown,
}

/// What a reader wants from now on.
#[derive(Debug)]
pub(crate) enum Change {
    Filter(Arc<PatternSet>),
    Pause(bool),
}

/// The driver's end of a session.
#[derive(Debug)]
pub(crate) struct Outlet<T> {
    /// Bounded by `limits.writer_queue_messages`; when it is full the session's cursor waits in the hub.
    pub(super) queue: mpsc::Sender<T>,
    closing: oneshot::Sender<Refusal>,
    /// Set by the driver when the queue is full, cleared by the session when it says that there is room.
    is_blocked: Arc<AtomicBool>,
    pub(super) is_ready: bool,
}

/// The session's end.
#[derive(Debug)]
pub(crate) struct Inlet<T> {
    pub(crate) messages: Messages<T>,
    /// Sent before the last of the messages can be taken.
    pub(crate) closing: oneshot::Receiver<Refusal>,
}

/// What the session has to write. Ends when the driver has closed the session.
#[derive(Debug)]
pub(crate) struct Messages<T> {
    pub(crate) queue: mpsc::Receiver<T>,
    is_blocked: Arc<AtomicBool>,
}

/// A place in the queue, if there is one.
pub(super) enum Slot<'a, T> {
    Free(mpsc::Permit<'a, T>),
    /// The session will say when there is one.
    Full,
    /// The session has ended, and says so elsewhere.
    Gone,
}

impl<T> Outlet<T> {
    /// Both ends of a session's queue.
    pub(crate) fn new(queue_messages: usize) -> (Self, Inlet<T>) {
        let (queue, messages) = mpsc::channel(queue_messages);
        let (close, closing) = oneshot::channel();
        let is_blocked = Arc::new(AtomicBool::new(false));
        let outlet = Self { queue, closing: close, is_blocked: is_blocked.clone(), is_ready: false };
        (outlet, Inlet { messages: Messages { queue: messages, is_blocked }, closing })
    }

    pub(super) fn slot(&self) -> Slot<'_, T> {
        if let Ok(permit) = self.queue.try_reserve() {
            return Slot::Free(permit);
        }
        // The session may have made room between the two: only what is full after the flag is set is sure
        // to be noticed.
        self.is_blocked.store(true, Ordering::SeqCst);
        match self.queue.try_reserve() {
            Ok(permit) => Slot::Free(permit),
            Err(mpsc::error::TrySendError::Full(())) => Slot::Full,
            Err(mpsc::error::TrySendError::Closed(())) => Slot::Gone,
        }
    }

    /// Ends the session once it has written what is queued.
    pub(super) fn close(self, closing: Refusal) {
        // An error means that the session has ended by itself.
        let _ = self.closing.send(closing);
    }
}

impl<T> Messages<T> {
    /// Whether the driver waits for room and there is some. Says so once.
    pub(crate) fn has_room_again(&self) -> bool {
        self.queue.len() <= self.queue.max_capacity() / 2 && self.is_blocked.swap(false, Ordering::SeqCst)
    }
}
