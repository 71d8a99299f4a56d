//! The sessions as the driver sees them: who can take something now. One that cannot delays nobody.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use tiercast_codec::SessionId;

use super::command::{Closing, Outlet, Slot};

/// The open sessions.
#[derive(Debug, Default)]
pub(super) struct Outlets {
    by_session: BTreeMap<SessionId, Outlet>,
    /// Sessions for which the hub has something and whose queue may have room. Each is here at most once.
    ready: VecDeque<SessionId>,
}

impl Outlets {
    pub(super) fn add(&mut self, session: SessionId, outlet: Outlet) {
        self.by_session.insert(session, outlet);
    }

    pub(super) fn remove(&mut self, session: SessionId) {
        self.by_session.remove(&session);
    }

    /// The hub has something for the session, or its queue has room again.
    pub(super) fn ready(&mut self, session: SessionId) {
        if let Some(outlet) = self.by_session.get_mut(&session)
            && !std::mem::replace(&mut outlet.is_ready, true)
        {
            self.ready.push_back(session);
        }
    }

    pub(super) fn close(&mut self, session: SessionId, closing: Closing) {
        if let Some(outlet) = self.by_session.remove(&session) {
            outlet.close(closing);
        }
    }

    pub(super) fn close_all(&mut self, closing: &Closing) {
        for (_, outlet) in std::mem::take(&mut self.by_session) {
            outlet.close(closing.clone());
        }
    }

    /// Moves messages into the queues of the ready sessions until each is full or has all there is.
    pub(super) fn pump(&mut self, mut poll_transmit: impl FnMut(SessionId) -> Option<Bytes>) {
        while let Some(session) = self.ready.pop_front() {
            let Some(outlet) = self.by_session.get_mut(&session) else { continue };
            outlet.is_ready = false;
            while let Slot::Free(permit) = outlet.slot() {
                match poll_transmit(session) {
                    Some(bytes) => permit.send(bytes),
                    None => break,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tiercast_codec::Code;

    use super::*;

    const SLOW: SessionId = SessionId(1);
    const FAST: SessionId = SessionId(2);

    #[test]
    fn a_full_session_waits_and_the_others_are_fed() {
        let mut outlets = Outlets::default();
        let (slow, mut slow_end) = Outlet::new(2);
        let (fast, mut fast_end) = Outlet::new(8);
        outlets.add(SLOW, slow);
        outlets.add(FAST, fast);
        let mut left = BTreeMap::from([(SLOW, 5), (FAST, 5)]);
        let mut poll = |session: SessionId| {
            let left = left.get_mut(&session)?;
            *left = usize::checked_sub(*left, 1)?;
            Some(Bytes::from_static(b"x"))
        };
        outlets.ready(SLOW);
        outlets.ready(FAST);
        outlets.pump(&mut poll);
        assert_eq!((slow_end.messages.queue.len(), fast_end.messages.queue.len()), (2, 5));
        assert!(!slow_end.messages.has_room_again(), "it is full still");
        assert!(slow_end.messages.queue.try_recv().is_ok());
        assert!(slow_end.messages.has_room_again(), "half is free");
        assert!(!slow_end.messages.has_room_again(), "said once");
        outlets.ready(SLOW);
        outlets.pump(&mut poll);
        assert_eq!(slow_end.messages.queue.len(), 2);
        while fast_end.messages.queue.try_recv().is_ok() {}
        assert!(!fast_end.messages.has_room_again(), "it was never full");
    }

    #[test]
    fn what_is_queued_goes_before_the_close() {
        let mut outlets = Outlets::default();
        let (outlet, mut end) = Outlet::new(2);
        outlets.add(FAST, outlet);
        let mut messages = vec![Bytes::from_static(b"last words")];
        outlets.ready(FAST);
        outlets.pump(|_| messages.pop());
        let closing = Closing { code: Code::SILENT, reason: "bye".to_owned() };
        outlets.close(FAST, closing.clone());
        assert_eq!(end.messages.queue.try_recv().as_deref(), Ok(&b"last words"[..]));
        assert!(end.messages.queue.try_recv().is_err());
        assert_eq!(end.closing.try_recv(), Ok(closing));
    }
}
