//! The control messages that wait for one session or link.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::Held;

/// What a waiting message weighs beside its bytes.
const MESSAGE_OVERHEAD_BYTES: usize = 64;

/// A bounded queue of encoded control messages. Whoever lets it fill up does not read at all, and is closed: control
/// messages, unlike frames, cannot be fetched again from a log. Signals keep their place among them and have a bound of
/// their own, because others send them: they must not fill up what one is closed for.
#[derive(Debug)]
pub(crate) struct Outbox {
    messages: VecDeque<(Kind, Bytes)>,
    control: Share,
    signals: Share,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Control,
    Signal,
}

/// The bytes of one kind.
#[derive(Debug, Default)]
struct Share {
    bytes: usize,
    bytes_max: usize,
}

/// The outbox is full.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl Outbox {
    /// An empty outbox for so many bytes, and no signals apart from them.
    pub(crate) fn new(bytes_max: usize) -> Self {
        let control = Share { bytes: 0, bytes_max };
        Self { messages: VecDeque::new(), control, signals: Share::default() }
    }

    /// The same, with room for so many bytes of signals.
    pub(crate) fn with_signals(self, bytes_max: usize) -> Self {
        Self { signals: Share { bytes: 0, bytes_max }, ..self }
    }

    pub(crate) fn push(&mut self, message: Bytes) -> Result<(), Full> {
        self.control.add(&message)?;
        self.messages.push_back((Kind::Control, message));
        Ok(())
    }

    pub(crate) fn push_signal(&mut self, message: Bytes) -> Result<(), Full> {
        self.signals.add(&message)?;
        self.messages.push_back((Kind::Signal, message));
        Ok(())
    }

    pub(crate) fn pop(&mut self) -> Option<Bytes> {
        let (kind, message) = self.messages.pop_front()?;
        match kind {
            Kind::Control => self.control.remove(&message),
            Kind::Signal => self.signals.remove(&message),
        }
        Some(message)
    }

    /// What waits: control messages, and signals.
    pub(crate) fn held(&self) -> [Held; 2] {
        [("outbox", &self.control), ("signals", &self.signals)].map(|(what, share)| Held {
            what,
            bytes: share.bytes,
            bytes_max: share.bytes_max,
        })
    }

    pub(crate) fn clear(&mut self) {
        self.messages.clear();
        (self.control.bytes, self.signals.bytes) = (0, 0);
    }
}

impl Share {
    fn add(&mut self, message: &Bytes) -> Result<(), Full> {
        let bytes = self.bytes + weight(message);
        if bytes > self.bytes_max {
            return Err(Full);
        }
        self.bytes = bytes;
        Ok(())
    }

    fn remove(&mut self, message: &Bytes) {
        self.bytes -= weight(message);
    }
}

fn weight(message: &Bytes) -> usize {
    message.len() + MESSAGE_OVERHEAD_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outbox_takes_so_many_bytes_and_more_when_some_were_read() {
        let message = || Bytes::from_static(&[7; 36]);
        let mut outbox = Outbox::new(300);
        assert_eq!([(); 4].map(|()| outbox.push(message())), [Ok(()), Ok(()), Ok(()), Err(Full)]);
        assert_eq!(outbox.pop(), Some(message()));
        assert_eq!(outbox.push(message()), Ok(()));
        assert_eq!(outbox.push(Bytes::new()), Err(Full), "small messages weigh something, too");
        outbox.clear();
        assert_eq!(outbox.pop(), None);
        assert_eq!(outbox.push(message()), Ok(()));
    }

    #[test]
    fn signals_have_a_bound_of_their_own_and_keep_their_place() {
        let message = |letter: u8| Bytes::from(vec![letter; 36]);
        let mut outbox = Outbox::new(200).with_signals(100);
        assert_eq!(outbox.push(message(b'a')), Ok(()));
        assert_eq!([b'b', b'c'].map(|letter| outbox.push_signal(message(letter))), [Ok(()), Err(Full)]);
        assert_eq!([b'd', b'e'].map(|letter| outbox.push(message(letter))), [Ok(()), Err(Full)]);
        let order: Vec<_> = std::iter::from_fn(|| outbox.pop()).map(|bytes| bytes[0]).collect();
        assert_eq!(order, b"abd");
        assert_eq!((outbox.push_signal(message(b'f')), outbox.push(message(b'g'))), (Ok(()), Ok(())));
    }
}
