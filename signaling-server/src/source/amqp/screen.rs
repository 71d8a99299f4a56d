//! Stands between the broker and the AMQP library, and takes out what the library must not get.
//!
//! A text that is not UTF-8 makes the library's parser end the connection, and headers that are nested deep end the
//! process; the broker takes such messages from any publisher, and would deliver them again after each reconnect. A
//! body that is too large for an event is taken out here as well, so that what waits in the library is bounded.
//! What comes in its place says so ([`Omission`]) and has the delivery's tag and offset.

use std::{collections::BTreeMap, sync::Arc};

use bytes::{Buf, BufMut, BytesMut};

use super::{
    buffered::Buffered,
    encoding::{Deliver, Header},
    omission::{self, Omission},
};

/// Largest frame, with its envelope: what is proposed to the broker, and RabbitMQ's own default.
pub(super) const FRAME_BYTES_MAX: u32 = 131_072;

const METHOD: u8 = 1;
const HEADER: u8 = 2;
const BODY: u8 = 3;
const HEARTBEAT: u8 = 8;

/// Type, AMQP channel and size of the payload come before it, and the last byte behind it.
const HEAD_BYTES: usize = 7;
const FRAME_END: u8 = 0xce;

/// How a server begins that does not speak our version of AMQP: with the eight bytes of the one that it does.
const PROTOCOL: u8 = b'A';
const PROTOCOL_BYTES: usize = 8;

/// What the first byte of a TLS alert is.
const TLS_ALERT: u8 = 21;

/// What came is no AMQP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotAmqp {
    /// A refusal in TLS.
    #[error("the answer was TLS")]
    Tls,
    /// Whatever else.
    #[error("the answer was not AMQP")]
    Other,
}

/// Where a message stands whose parts have not all come.
#[derive(Debug)]
enum Part {
    /// The method of its delivery has come, and waits for the header, since both are judged together.
    Method(Frame),
    /// It is left out, and so many bytes of its body are still to come.
    LeftOut(u64),
}

#[derive(Debug)]
struct Frame {
    kind: u8,
    channel: u16,
    payload: BytesMut,
}

/// The state of one connection.
#[derive(Debug)]
pub(super) struct Screen {
    body_bytes_max: usize,
    buffered: Arc<Buffered>,
    /// What has come of a frame that is not whole, at most [`FRAME_BYTES_MAX`].
    input: BytesMut,
    unfinished: BTreeMap<u16, Part>,
}

impl Screen {
    pub(super) fn new(body_bytes_max: usize, buffered: Arc<Buffered>) -> Self {
        Self { body_bytes_max, buffered, input: BytesMut::new(), unfinished: BTreeMap::new() }
    }

    /// Takes what came from the broker; adds what the library may get to `output`.
    pub(super) fn pass(&mut self, bytes: &[u8], output: &mut BytesMut) -> Result<(), NotAmqp> {
        self.input.extend_from_slice(bytes);
        while let Some(frame) = self.next_frame(output)? {
            self.on_frame(frame, output)?;
        }
        Ok(())
    }

    fn next_frame(&mut self, output: &mut BytesMut) -> Result<Option<Frame>, NotAmqp> {
        match self.input.first() {
            None => return Ok(None),
            Some(&PROTOCOL) if self.input.len() < PROTOCOL_BYTES => return Ok(None),
            Some(&PROTOCOL) => {
                output.put(self.input.split_to(PROTOCOL_BYTES));
                return self.next_frame(output);
            }
            Some(&(METHOD | HEADER | BODY | HEARTBEAT)) => {}
            Some(&TLS_ALERT) => return Err(NotAmqp::Tls),
            Some(_) => return Err(NotAmqp::Other),
        }
        let Some(mut head) = self.input.get(..HEAD_BYTES) else { return Ok(None) };
        let (kind, channel, size) = (head.get_u8(), head.get_u16(), head.get_u32());
        if size > FRAME_BYTES_MAX {
            return Err(NotAmqp::Other);
        }
        let size = size as usize;
        if self.input.len() < HEAD_BYTES + size + 1 {
            return Ok(None);
        }
        self.input.advance(HEAD_BYTES);
        let payload = self.input.split_to(size);
        match self.input.get_u8() {
            FRAME_END => Ok(Some(Frame { kind, channel, payload })),
            _ => Err(NotAmqp::Other),
        }
    }

    fn on_frame(&mut self, frame: Frame, output: &mut BytesMut) -> Result<(), NotAmqp> {
        // Any other frame than the next one means that the broker has broken the message off.
        let unfinished = self.unfinished.remove(&frame.channel);
        match (frame.kind, unfinished) {
            (METHOD, _) if frame.payload.starts_with(&Deliver::METHOD) => {
                self.unfinished.insert(frame.channel, Part::Method(frame));
            }
            (HEADER, Some(Part::Method(method))) => self.judge(method, frame, output)?,
            (BODY, Some(Part::LeftOut(left))) => {
                self.leave_out(frame.channel, left, frame.payload.len() as u64)
            }
            _ => frame.put(output),
        }
        Ok(())
    }

    fn judge(&mut self, method: Frame, header: Frame, output: &mut BytesMut) -> Result<(), NotAmqp> {
        let deliver = Deliver::read(&method.payload).ok_or(NotAmqp::Other)?;
        let content = Header::read(&header.payload).ok_or(NotAmqp::Other)?;
        let omission = match deliver.fault().or(content.fault) {
            Some(fault) => Omission::unreadable(&deliver, fault),
            None if content.body_bytes > self.body_bytes_max as u64 => {
                Omission::too_large(&deliver, content.body_bytes, self.body_bytes_max)
            }
            None => {
                self.buffered.came(method.channel, content.body_bytes);
                method.put(output);
                header.put(output);
                return Ok(());
            }
        };
        put_frame(METHOD, method.channel, &omission.method(&deliver), output);
        put_frame(HEADER, method.channel, &omission::header(content.offset), output);
        self.leave_out(method.channel, content.body_bytes, 0);
        Ok(())
    }

    fn leave_out(&mut self, channel: u16, left: u64, came: u64) {
        let left = left.saturating_sub(came);
        if left > 0 {
            self.unfinished.insert(channel, Part::LeftOut(left));
        }
    }
}

impl Frame {
    fn put(&self, output: &mut BytesMut) {
        put_frame(self.kind, self.channel, &self.payload, output);
    }
}

fn put_frame(kind: u8, channel: u16, payload: &[u8], output: &mut BytesMut) {
    output.put_u8(kind);
    output.put_u16(channel);
    output.put_u32(payload.len() as u32);
    output.put_slice(payload);
    output.put_u8(FRAME_END);
}

#[cfg(test)]
mod tests {
    use lapin::protocol::{AMQPClass, basic, parse_class};
    use proptest::{collection::vec, prelude::*};

    use super::super::{
        encoding::tests::{deliver, header, offset},
        stats::AmqpStats,
    };
    use super::*;

    fn frame(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
        let mut bytes = BytesMut::new();
        put_frame(kind, channel, payload, &mut bytes);
        bytes.to_vec()
    }

    /// A delivery in its three frames.
    fn delivery(channel: u16, tag: u64, content_type: &[u8], body: &[u8]) -> Vec<u8> {
        let header = header(body.len() as u64, content_type, &offset(tag as i64));
        let body = if body.is_empty() { Vec::new() } else { frame(BODY, channel, body) };
        [frame(METHOD, channel, &deliver(tag, b"ci", b"a.b")), frame(HEADER, channel, &header), body].concat()
    }

    fn passed(screen: &mut Screen, parts: &[&[u8]]) -> Vec<u8> {
        let mut output = BytesMut::new();
        for part in parts {
            screen.pass(part, &mut output).expect("AMQP");
        }
        output.to_vec()
    }

    fn screen(body_bytes_max: usize) -> (Screen, Arc<Buffered>, Arc<AmqpStats>) {
        let stats = Arc::new(AmqpStats::default());
        let buffered = Arc::new(Buffered::new(stats.clone()));
        (Screen::new(body_bytes_max, buffered.clone()), buffered, stats)
    }

    /// What the library makes of the method that stands for a message that was left out.
    fn read_omission(frames: &[u8]) -> (u64, String, String) {
        let size = u32::from_be_bytes(frames[3..7].try_into().expect("four bytes")) as usize;
        match parse_class(&frames[HEAD_BYTES..HEAD_BYTES + size]) {
            Ok((_, AMQPClass::Basic(basic::AMQPMethod::Deliver(deliver)))) => {
                (deliver.delivery_tag, deliver.exchange.to_string(), deliver.routing_key.to_string())
            }
            other => panic!("no delivery: {other:?}"),
        }
    }

    #[test]
    fn what_is_readable_passes_as_it_came() {
        let bytes =
            [delivery(1, 1, b"text", b"body"), delivery(1, 2, b"", b""), frame(HEARTBEAT, 0, b"")].concat();
        assert_eq!(passed(&mut screen(4).0, &[&bytes]), bytes);
        // What a server says that speaks another version.
        assert_eq!(passed(&mut screen(4).0, &[b"AMQP", b"\x00\x00\x09\x01"]), b"AMQP\x00\x00\x09\x01");
    }

    #[test]
    fn a_message_that_cannot_be_read_is_replaced_with_its_tag_and_offset() {
        let bytes = delivery(3, 7, b"\xff", b"body");
        let output = passed(&mut screen(10).0, &[&bytes]);
        let (tag, exchange, what) = read_omission(&output);
        assert_eq!((tag, exchange.as_str()), (7, "\nunreadable"));
        assert_eq!(what, "its content type is not UTF-8 (exchange \"ci\", routing key \"a.b\")");
        let header = frame(HEADER, 3, &omission::header(Some(7)));
        assert!(output.ends_with(&header), "no body, and the offset: {output:?}");
    }

    #[test]
    fn a_body_that_is_too_large_is_left_out_while_others_pass() {
        let large = delivery(1, 1, b"", b"too large");
        let other = delivery(2, 1, b"", b"fits");
        // The other channel's message comes between the header and the body.
        let (before, body) = large.split_at(large.len() - frame(BODY, 1, b"too large").len());
        let behind = delivery(1, 2, b"", b"fits");
        let (mut screen, ..) = screen(8);
        let first = passed(&mut screen, &[before]);
        assert_eq!(read_omission(&first).1, "\ntoo large");
        assert_eq!(passed(&mut screen, &[&other]), other);
        assert_eq!(passed(&mut screen, &[body]), b"");
        assert_eq!(passed(&mut screen, &[&behind]), behind);
    }

    #[test]
    fn bodies_count_until_they_are_handed_over() {
        let (mut screen, buffered, stats) = screen(8);
        let counted = buffered.count(1);
        let bytes =
            [delivery(1, 1, b"", b"four"), delivery(1, 2, b"", b"too large"), delivery(2, 1, b"", b"x")];
        passed(&mut screen, &[&bytes.concat()]);
        assert_eq!(stats.buffered_bytes(), 4);
        counted.handed_over(1);
        assert_eq!(stats.buffered_bytes(), 3);
        drop(counted);
        assert_eq!(stats.buffered_bytes(), 0);
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_the_bytes_are_cut(cuts in vec(1_usize..40, 1..40)) {
            let bytes = [
                delivery(1, 1, b"text", b"body"),
                delivery(1, 2, b"\xff", b"body"),
                delivery(1, 3, b"", b"too large"),
                delivery(2, 1, b"text", b"body"),
            ]
            .concat();
            let whole = passed(&mut screen(8).0, &[&bytes]);
            let (mut parts, mut rest) = (Vec::new(), &bytes[..]);
            for cut in cuts {
                let (part, behind) = rest.split_at(cut.min(rest.len()));
                parts.push(part);
                rest = behind;
            }
            parts.push(rest);
            prop_assert_eq!(passed(&mut screen(8).0, &parts), whole);
        }
    }

    #[test]
    fn what_is_no_amqp_is_told_apart() {
        let refusal = |bytes: &[u8]| screen(8).0.pass(bytes, &mut BytesMut::new());
        assert_eq!(refusal(&[21, 3, 3, 0, 2, 2, 40]), Err(NotAmqp::Tls));
        assert_eq!(refusal(b"HTTP/1.1 400 Bad Request"), Err(NotAmqp::Other));
        assert_eq!(refusal(&[1, 0, 0, 0xff, 0, 0, 0]), Err(NotAmqp::Other));
        assert_eq!(refusal(&[8, 0, 0, 0, 0, 0, 0, 0]), Err(NotAmqp::Other));
    }
}
