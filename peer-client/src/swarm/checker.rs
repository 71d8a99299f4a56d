//! Checks a stream of numbered events: is one missing, repeated, out of order, or not what was published?

use std::{
    collections::BTreeSet,
    hash::{DefaultHasher, Hasher},
};

use tiercast_codec::{Event, HeaderValue};

/// Header of a numbered event: its number, counting up by one.
pub const NUMBER_HEADER: &str = "tiercast-number";
/// Header of a numbered event: when it was published, in microseconds since the Unix epoch.
pub const SENT_HEADER: &str = "tiercast-sent-us";

/// Header of a numbered event: its [`digest`].
pub const DIGEST_HEADER: &str = "tiercast-digest";

/// Tells an event from one that was changed on the way. The same for all who are built of the same source.
pub fn digest(number: u64, body: &[u8]) -> i64 {
    let mut hasher = DefaultHasher::new();
    hasher.write_u64(number);
    hasher.write(body);
    hasher.finish().cast_signed()
}

/// What one peer has got of the numbers.
#[derive(Debug, Clone, Default)]
pub(super) struct Checker {
    /// The next number that has not come, if any has.
    next: Option<u64>,
    /// Numbers below `next` that were skipped.
    skipped: BTreeSet<u64>,
    pub(super) delivered: u64,
    pub(super) duplicates: u64,
    pub(super) out_of_order: u64,
    pub(super) wrong: u64,
    #[cfg(feature = "faults")]
    skip: Option<u64>,
}

impl Checker {
    /// One that expects this number first; `None`: whatever comes first.
    pub(super) fn starting_at(first: Option<u64>) -> Self {
        Self { next: first, ..Self::default() }
    }

    /// One that does not count this number.
    #[cfg(feature = "faults")]
    pub(super) fn skipping(self, skip: Option<u64>) -> Self {
        Self { skip, ..self }
    }

    /// The next number that has not come; `None` before the first, if any may be the first.
    pub(super) fn next(&self) -> Option<u64> {
        self.next
    }

    /// Takes an event; returns when it was sent. An event without a number is only delivered.
    pub(super) fn take(&mut self, event: &Event) -> Option<u64> {
        let header = |name: &str| match event.message.headers.get(name) {
            Some(HeaderValue::Int(value)) => u64::try_from(*value).ok(),
            Some(HeaderValue::Text(text)) => text.parse().ok(),
            _ => None,
        };
        let Some(number) = header(NUMBER_HEADER) else {
            self.delivered += 1;
            return header(SENT_HEADER);
        };
        if let Some(HeaderValue::Int(expected)) = event.message.headers.get(DIGEST_HEADER)
            && digest(number, &event.message.body) != *expected
        {
            self.wrong += 1;
        }
        #[cfg(feature = "faults")]
        if self.skip == Some(number) {
            return None;
        }
        // The first number is where this peer starts.
        let next = self.next.unwrap_or(number);
        if number >= next {
            self.skipped.extend(next..number);
            self.next = Some(number + 1);
            self.delivered += 1;
        } else if self.skipped.remove(&number) {
            self.out_of_order += 1;
            self.delivered += 1;
        } else {
            self.duplicates += 1;
        }
        header(SENT_HEADER)
    }

    pub(super) fn missing(&self) -> u64 {
        self.skipped.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use tiercast_codec::Message;

    use super::*;

    fn check(numbers: &[u64]) -> (u64, u64, u64, u64) {
        let mut checker = Checker::default();
        for number in numbers {
            let mut message = Message::default();
            message.headers.insert(NUMBER_HEADER.into(), HeaderValue::Int(*number as i64));
            checker.take(&Event { offset: 0, message });
        }
        (checker.delivered, checker.missing(), checker.duplicates, checker.out_of_order)
    }

    #[test]
    fn each_fault_is_counted_as_what_it_is() {
        assert_eq!(check(&[5, 6, 7, 8]), (4, 0, 0, 0));
        assert_eq!(check(&[5, 6, 8]), (3, 1, 0, 0), "7 is missing");
        assert_eq!(check(&[5, 6, 6, 7, 5]), (3, 0, 2, 0), "5 and 6 came twice");
        assert_eq!(check(&[5, 7, 6, 8]), (4, 0, 0, 1), "6 came late");
        assert_eq!(check(&[5, 7, 6, 6]), (3, 0, 1, 1), "and twice");
        assert_eq!(check(&[]), (0, 0, 0, 0));
    }

    #[test]
    fn an_event_that_was_changed_is_wrong() {
        let wrong = |body: &'static [u8]| {
            let mut message = Message { body: body.into(), ..Message::default() };
            message.headers.insert(NUMBER_HEADER.into(), HeaderValue::Int(5));
            message.headers.insert(DIGEST_HEADER.into(), HeaderValue::Int(digest(5, b"as published")));
            let mut checker = Checker::default();
            checker.take(&Event { offset: 0, message });
            checker.wrong
        };
        assert_eq!((wrong(b"as published"), wrong(b"as Published")), (0, 1));
    }
}
