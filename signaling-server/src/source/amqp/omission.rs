//! A delivery that says that a message was left out, and why: made where the message is taken out of the connection
//! (`screen.rs`), understood where the channel's events are handed over.

use lapin::message::Delivery;
use tiercast_codec::Offset;

use super::{
    encoding::{Deliver, Fault},
    message::OFFSET_HEADER,
};

/// Why a message cannot be an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// The AMQP library could not read it.
    Unreadable,
    /// Its body is larger than `max_event_bytes`.
    TooLarge,
}

/// A message that was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Omission {
    pub(super) reason: Reason,
    /// What is wrong with it and where it came from.
    pub(super) what: String,
}

/// Exchanges that stand for the reasons. No exchange has such a name: RabbitMQ takes line breaks out of names.
const UNREADABLE: &str = "\nunreadable";
const TOO_LARGE: &str = "\ntoo large";

/// Longest short string.
const SHORT_MAX: usize = 255;

/// The flag of the only property that an omission may have: the headers.
const HEADERS_FLAG: u16 = 1 << 13;

impl Omission {
    pub(super) fn unreadable(deliver: &Deliver<'_>, fault: Fault) -> Self {
        let what = match fault {
            Fault::NotText(part) => format!("its {part} is not UTF-8"),
            Fault::TooDeep => "its headers are nested too deep".to_owned(),
            Fault::Malformed => "its properties are malformed".to_owned(),
        };
        Self { reason: Reason::Unreadable, what: what + &origin(deliver) }
    }

    pub(super) fn too_large(deliver: &Deliver<'_>, body_bytes: u64, bytes_max: usize) -> Self {
        let what = format!("its body has {body_bytes} bytes, and amqp.max_event_bytes is {bytes_max}");
        Self { reason: Reason::TooLarge, what: what + &origin(deliver) }
    }

    /// What a delivery says was left out; `None` if it is a message.
    pub(super) fn read(delivery: &Delivery) -> Option<Self> {
        let reason = match delivery.exchange.as_str() {
            UNREADABLE => Reason::Unreadable,
            TOO_LARGE => Reason::TooLarge,
            _ => return None,
        };
        Some(Self { reason, what: delivery.routing_key.to_string() })
    }

    /// The method's payload that delivers this in the place of a message.
    pub(super) fn method(&self, replaced: &Deliver<'_>) -> Vec<u8> {
        let exchange = match self.reason {
            Reason::Unreadable => UNREADABLE,
            Reason::TooLarge => TOO_LARGE,
        };
        let mut payload = Deliver::METHOD.to_vec();
        put_short(&mut payload, replaced.consumer_tag);
        payload.extend(replaced.delivery_tag.to_be_bytes());
        payload.push(replaced.flags);
        put_short(&mut payload, exchange.as_bytes());
        let end = self.what.floor_char_boundary(SHORT_MAX);
        put_short(&mut payload, &self.what.as_bytes()[..end]);
        payload
    }
}

/// The header's payload of a message without a body, which has an offset or nothing at all.
pub(super) fn header(offset: Option<Offset>) -> Vec<u8> {
    let mut payload = [0, 60, 0, 0].to_vec();
    payload.extend(0_u64.to_be_bytes());
    let Some(offset) = offset else {
        payload.extend([0, 0]);
        return payload;
    };
    let mut field = Vec::new();
    put_short(&mut field, OFFSET_HEADER.as_bytes());
    field.push(b'l');
    field.extend(offset.to_be_bytes());
    payload.extend(HEADERS_FLAG.to_be_bytes());
    payload.extend((field.len() as u32).to_be_bytes());
    payload.extend(field);
    payload
}

fn origin(deliver: &Deliver<'_>) -> String {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    // With what ends a line or moves a cursor written out: it goes into the log.
    format!(" (exchange {:?}, routing key {:?})", text(deliver.exchange), text(deliver.routing_key))
}

/// Adds a short string, which is at most [`SHORT_MAX`] bytes long.
fn put_short(into: &mut Vec<u8>, bytes: &[u8]) {
    into.push(bytes.len() as u8);
    into.extend_from_slice(bytes);
}
