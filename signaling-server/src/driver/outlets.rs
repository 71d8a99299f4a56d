//! Sessions and readers as the driver sees them: who can take something now. One that cannot delays nobody.

use std::collections::{BTreeMap, VecDeque};

use tiercast_mesh::hub::Refusal;

use super::command::{Outlet, Slot};

/// Those that are open, by their numbers, and what each is given.
#[derive(Debug)]
pub(super) struct Outlets<Id, T> {
    by_id: BTreeMap<Id, Outlet<T>>,
    /// Those for which the hub has something and whose queue may have room. Each is here at most once.
    ready: VecDeque<Id>,
}

impl<Id, T> Default for Outlets<Id, T> {
    fn default() -> Self {
        Self { by_id: BTreeMap::new(), ready: VecDeque::new() }
    }
}

impl<Id: Copy + Ord, T> Outlets<Id, T> {
    pub(super) fn add(&mut self, id: Id, outlet: Outlet<T>) {
        self.by_id.insert(id, outlet);
    }

    pub(super) fn remove(&mut self, id: Id) {
        self.by_id.remove(&id);
    }

    /// The hub has something for it, or its queue has room again.
    pub(super) fn ready(&mut self, id: Id) {
        if let Some(outlet) = self.by_id.get_mut(&id)
            && !std::mem::replace(&mut outlet.is_ready, true)
        {
            self.ready.push_back(id);
        }
    }

    pub(super) fn close(&mut self, id: Id, closing: Refusal) {
        if let Some(outlet) = self.by_id.remove(&id) {
            outlet.close(closing);
        }
    }

    /// The one that came first.
    pub(super) fn first(&self) -> Option<Id> {
        self.by_id.keys().next().copied()
    }

    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(super) fn close_all(&mut self, closing: &Refusal) {
        for (_, outlet) in std::mem::take(&mut self.by_id) {
            outlet.close(closing.clone());
        }
    }

    /// Moves what there is into the queues of those that are ready, until each is full or has all.
    pub(super) fn pump(&mut self, mut poll: impl FnMut(Id) -> Option<T>) {
        while let Some(id) = self.ready.pop_front() {
            let Some(outlet) = self.by_id.get_mut(&id) else { continue };
            outlet.is_ready = false;
            while let Slot::Free(permit) = outlet.slot() {
                match poll(id) {
                    Some(item) => permit.send(item),
                    None => break,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tiercast_codec::{Code, SessionId};

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
        let closing = Refusal::new(Code::SILENT, "bye");
        outlets.close(FAST, closing.clone());
        assert_eq!(end.messages.queue.try_recv().as_deref(), Ok(&b"last words"[..]));
        assert!(end.messages.queue.try_recv().is_err());
        assert_eq!(end.closing.try_recv(), Ok(closing));
    }
}
