//! A record: what a publisher published at once, behind two checksums. All of it counts, or nothing.
//!
//! | bytes | field |
//! |---:|---|
//! | 4 | length of the payload |
//! | 4 | number of events |
//! | 8 | epoch |
//! | 8 | offset of the first event; the others follow it one by one |
//! | 8 | time of publishing, microseconds since the Unix epoch |
//! | 4 | CRC-32C of the payload |
//! | 4 | CRC-32C of all that stands before it: a length that is whole can be believed |
//! | | payload: the messages, a list in msgpack |
//!
//! Numbers are big-endian.

use bytes::{Buf, BufMut};
use tiercast_codec::{Epoch, Event, Message, Offset};
use tiercast_mesh::Time;

pub(super) const HEADER_BYTES: usize = 40;

/// What stands before the payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    payload_bytes: u32,
    events: u32,
    pub(super) epoch: Epoch,
    pub(super) first: Offset,
    pub(super) time: Time,
    payload_crc: u32,
}

/// A record that was read and is whole.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) header: Header,
    payload: Vec<u8>,
}

/// Appends a record to `buffer`.
pub(super) fn encode(buffer: &mut Vec<u8>, epoch: Epoch, first: Offset, time: Time, messages: &[Message]) {
    let begin = buffer.len();
    buffer.resize(begin + HEADER_BYTES, 0);
    rmp_serde::encode::write(buffer, messages).expect("plain data always encodes");
    let payload = &buffer[begin + HEADER_BYTES..];
    let header = Header {
        payload_bytes: u32::try_from(payload.len()).expect("publishers are bound to less"),
        events: messages.len() as u32,
        epoch,
        first,
        time,
        payload_crc: crc32c::crc32c(payload),
    };
    buffer[begin..begin + HEADER_BYTES].copy_from_slice(&header.to_bytes());
}

impl Header {
    fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        let mut place = &mut bytes[..];
        place.put_u32(self.payload_bytes);
        place.put_u32(self.events);
        place.put_u64(self.epoch);
        place.put_i64(self.first);
        place.put_u64(self.time.0);
        place.put_u32(self.payload_crc);
        let crc = crc32c::crc32c(&bytes[..HEADER_BYTES - 4]);
        (&mut bytes[HEADER_BYTES - 4..]).put_u32(crc);
        bytes
    }

    /// A header that is as it was written.
    pub(super) fn parse(bytes: &[u8; HEADER_BYTES]) -> Option<Self> {
        let (mut fields, mut crc) = bytes.split_at(HEADER_BYTES - 4);
        if crc.get_u32() != crc32c::crc32c(fields) {
            return None;
        }
        Some(Self {
            payload_bytes: fields.get_u32(),
            events: fields.get_u32(),
            epoch: fields.get_u64(),
            first: fields.get_i64(),
            time: Time(fields.get_u64()),
            payload_crc: fields.get_u32(),
        })
    }

    /// The offset of the last event.
    pub(super) fn last(&self) -> Offset {
        self.first + Offset::from(self.events) - 1
    }

    pub(super) fn payload_bytes(&self) -> usize {
        self.payload_bytes as usize
    }

    /// The bytes of the whole record.
    pub(super) fn record_bytes(&self) -> u64 {
        HEADER_BYTES as u64 + u64::from(self.payload_bytes)
    }

    /// Whether this is the payload that was written behind the header.
    pub(super) fn fits(&self, payload: &[u8]) -> bool {
        payload.len() == self.payload_bytes() && crc32c::crc32c(payload) == self.payload_crc
    }

    /// The record, if this is its payload.
    pub(super) fn with(self, payload: Vec<u8>) -> Option<Record> {
        self.fits(&payload).then_some(Record { header: self, payload })
    }
}

impl Record {
    /// Its events; those that are no messages, which only a fault of ours can bring about, are missing.
    pub(super) fn events(&self) -> impl Iterator<Item = Event> + use<> {
        let messages: Vec<Message> = rmp_serde::from_slice(&self.payload).unwrap_or_default();
        let offsets = self.header.first..=self.header.last();
        offsets.zip(messages).map(|(offset, message)| Event { offset, message })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tiercast_codec::HeaderValue;

    use super::*;

    #[test]
    fn a_record_gives_back_what_was_published_byte_for_byte() {
        let everything = Message {
            routing_key: "a.b".into(),
            content_type: Some("x/y".into()),
            message_id: Some("id".into()),
            timestamp: Some(u64::MAX),
            headers: BTreeMap::from([
                ("bytes".into(), HeaderValue::Bytes(vec![0xff, 0].into())),
                ("list".into(), HeaderValue::List(vec![HeaderValue::Null, HeaderValue::Float(0.5)])),
            ]),
            body: (0..=255).collect::<Vec<u8>>().into(),
            ..Message::default()
        };
        let messages = [everything, Message::default()];
        let mut bytes = Vec::new();
        encode(&mut bytes, 7, 41, Time(9), &messages);
        let (head, payload) = bytes.split_first_chunk().unwrap();
        let header = Header::parse(head).unwrap();
        assert_eq!((header.epoch, header.first, header.last(), header.time), (7, 41, 42, Time(9)));
        assert_eq!(header.record_bytes(), bytes.len() as u64);
        let events: Vec<_> = header.with(payload.to_vec()).unwrap().events().collect();
        assert_eq!(events.iter().map(|event| event.offset).collect::<Vec<_>>(), [41, 42]);
        assert!(events.iter().map(|event| &event.message).eq(&messages));
    }
}
