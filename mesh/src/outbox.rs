//! The control messages that wait for one session or link.

use std::collections::VecDeque;

use bytes::Bytes;

/// What a waiting message weighs beside its bytes.
const MESSAGE_OVERHEAD_BYTES: usize = 64;

/// A bounded queue of encoded control messages. Whoever lets it fill up does not read at all, and is closed: control
/// messages, unlike frames, cannot be fetched again from a log.
#[derive(Debug)]
pub(crate) struct Outbox {
    messages: VecDeque<Bytes>,
    bytes: usize,
    bytes_max: usize,
}

/// The outbox is full.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl Outbox {
    /// An empty outbox for so many bytes.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { messages: VecDeque::new(), bytes: 0, bytes_max }
    }

    pub(crate) fn push(&mut self, message: Bytes) -> Result<(), Full> {
        let bytes = self.bytes + weight(&message);
        if bytes > self.bytes_max {
            return Err(Full);
        }
        self.bytes = bytes;
        self.messages.push_back(message);
        Ok(())
    }

    pub(crate) fn pop(&mut self) -> Option<Bytes> {
        let message = self.messages.pop_front()?;
        self.bytes -= weight(&message);
        Some(message)
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::new(self.bytes_max);
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
}
