//! Reads the encoding of AMQP 0-9-1 as far as it takes to know whether the AMQP library can read a delivery.
//!
//! What is checked is what the library's parser asks for, no more and, but for the depth of headers, no less; a test
//! compares the two.

use tiercast_codec::{Offset, limits::HEADER_DEPTH_MAX};

use super::message::OFFSET_HEADER;

/// What makes a delivery unreadable: which part, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// This text is not UTF-8.
    NotText(&'static str),
    /// Headers are nested deeper than [`HEADER_DEPTH_MAX`]. No frame could carry them, and at about a thousand levels
    /// the library's parser exhausts its stack, which ends the process.
    TooDeep,
    /// It breaks off, or holds a type that nobody knows.
    Malformed,
}

/// The arguments of `basic.deliver`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Deliver<'a> {
    pub(super) consumer_tag: &'a [u8],
    pub(super) delivery_tag: u64,
    pub(super) flags: u8,
    pub(super) exchange: &'a [u8],
    pub(super) routing_key: &'a [u8],
}

impl<'a> Deliver<'a> {
    /// Class and method of `basic.deliver`.
    pub(super) const METHOD: [u8; 4] = [0, 60, 0, 60];

    /// Reads the payload of a method frame; `None` if it is malformed.
    pub(super) fn read(payload: &'a [u8]) -> Option<Self> {
        let mut bytes = Reader(payload.strip_prefix(&Self::METHOD)?);
        let deliver = Self {
            consumer_tag: bytes.short()?,
            delivery_tag: bytes.u64()?,
            flags: bytes.u8()?,
            exchange: bytes.short()?,
            routing_key: bytes.short()?,
        };
        bytes.0.is_empty().then_some(deliver)
    }

    pub(super) fn fault(&self) -> Option<Fault> {
        let texts = [
            ("consumer tag", self.consumer_tag),
            ("exchange", self.exchange),
            ("routing key", self.routing_key),
        ];
        texts.into_iter().find(|(_, text)| !is_text(text)).map(|(name, _)| Fault::NotText(name))
    }
}

/// What a content header says of the body, and what is wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) body_bytes: u64,
    /// The stream's offset of the message, if it was found.
    pub(super) offset: Option<Offset>,
    pub(super) fault: Option<Fault>,
}

impl Header {
    /// Reads the payload of a header frame; `None` if not even the body's size can be told.
    pub(super) fn read(payload: &[u8]) -> Option<Self> {
        let mut bytes = Reader(payload);
        let _class_and_weight = bytes.take(4)?;
        let body_bytes = bytes.u64()?;
        let mut properties = Properties::default();
        if properties.read(bytes).is_none() {
            properties.note(Fault::Malformed);
        }
        Some(Self { body_bytes, offset: properties.offset, fault: properties.fault })
    }
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Text,
    Table,
    Octet,
    Timestamp,
}

/// The properties in the order of their flags, from the highest bit down.
const PROPERTIES: [(&str, Kind); 14] = [
    ("content type", Kind::Text),
    ("content encoding", Kind::Text),
    ("headers", Kind::Table),
    ("delivery mode", Kind::Octet),
    ("priority", Kind::Octet),
    ("correlation id", Kind::Text),
    ("reply-to", Kind::Text),
    ("expiration", Kind::Text),
    ("message id", Kind::Text),
    ("timestamp", Kind::Timestamp),
    ("type", Kind::Text),
    ("user id", Kind::Text),
    ("app id", Kind::Text),
    ("cluster id", Kind::Text),
];

/// What has been learnt of a message's properties. Reading goes on behind a fault for as long as the lengths are known,
/// since the offset may come later. `None` of its functions means malformed.
#[derive(Default)]
struct Properties {
    offset: Option<Offset>,
    fault: Option<Fault>,
}

impl Properties {
    fn note(&mut self, fault: Fault) {
        self.fault.get_or_insert(fault);
    }

    fn read(&mut self, mut bytes: Reader<'_>) -> Option<()> {
        let flags = bytes.u16()?;
        for (place, (name, kind)) in PROPERTIES.into_iter().enumerate() {
            if flags & (1 << (15 - place)) == 0 {
                continue;
            }
            match kind {
                Kind::Text => self.text(name, bytes.short()?),
                Kind::Table => self.table(bytes.long()?, 0)?,
                Kind::Octet => drop(bytes.take(1)?),
                Kind::Timestamp => drop(bytes.take(8)?),
            }
        }
        bytes.0.is_empty().then_some(())
    }

    fn text(&mut self, name: &'static str, text: &[u8]) {
        if !is_text(text) {
            self.note(Fault::NotText(name));
        }
    }

    fn table(&mut self, fields: &[u8], depth: usize) -> Option<()> {
        let mut fields = Reader(fields);
        while !fields.0.is_empty() {
            let key = fields.short()?;
            self.text("key of a header", key);
            let kind = fields.u8()?;
            if depth == 0 && key == OFFSET_HEADER.as_bytes() && kind == b'l' {
                let number = Reader(fields.0).u64()?;
                self.offset = Offset::try_from(number).ok();
            }
            self.value(kind, &mut fields, depth)?;
        }
        Some(())
    }

    fn list(&mut self, values: &[u8], depth: usize) -> Option<()> {
        let mut values = Reader(values);
        while !values.0.is_empty() {
            let kind = values.u8()?;
            self.value(kind, &mut values, depth)?;
        }
        Some(())
    }

    fn value(&mut self, kind: u8, bytes: &mut Reader<'_>, depth: usize) -> Option<()> {
        match kind {
            b'V' => {}
            b't' | b'b' | b'B' => drop(bytes.take(1)?),
            b's' | b'U' | b'u' => drop(bytes.take(2)?),
            b'I' | b'i' | b'f' => drop(bytes.take(4)?),
            b'D' => drop(bytes.take(5)?),
            b'l' | b'L' | b'd' | b'T' => drop(bytes.take(8)?),
            b'S' | b'x' => drop(bytes.long()?),
            b'A' | b'F' => {
                let inner = bytes.long()?;
                match kind {
                    _ if depth == HEADER_DEPTH_MAX => self.note(Fault::TooDeep),
                    b'A' => self.list(inner, depth + 1)?,
                    _ => self.table(inner, depth + 1)?,
                }
            }
            _ => return None,
        }
        Some(())
    }
}

fn is_text(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok()
}

/// Bytes that are taken from the front. `None` where they break off.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_be_bytes)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// A short string: its bytes behind their number in one byte.
    fn short(&mut self) -> Option<&'a [u8]> {
        let length = self.u8()?;
        self.take(length.into())
    }

    /// A long string or a table: its bytes behind their number in four bytes.
    fn long(&mut self) -> Option<&'a [u8]> {
        let length = self.array().map(u32::from_be_bytes)?;
        self.take(length as usize)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use lapin::protocol::{basic::parse_properties, parse_class};
    use proptest::{collection::vec, prelude::*};

    use super::*;

    /// A short string.
    pub(in crate::source::amqp) fn short(bytes: &[u8]) -> Vec<u8> {
        [&[bytes.len() as u8], bytes].concat()
    }

    /// A long string, list or table.
    pub(in crate::source::amqp) fn long(bytes: &[u8]) -> Vec<u8> {
        [&(bytes.len() as u32).to_be_bytes(), bytes].concat()
    }

    fn field(key: &[u8], kind: u8, value: &[u8]) -> Vec<u8> {
        [&short(key), &[kind][..], value].concat()
    }

    /// The payload of a header with a content type and headers.
    pub(in crate::source::amqp) fn header(body_bytes: u64, content_type: &[u8], fields: &[u8]) -> Vec<u8> {
        let flags: u16 = 1 << 15 | 1 << 13;
        let size = body_bytes.to_be_bytes();
        [&[0, 60, 0, 0][..], &size, &flags.to_be_bytes(), &short(content_type), &long(fields)].concat()
    }

    /// The payload of a delivery.
    pub(in crate::source::amqp) fn deliver(tag: u64, exchange: &[u8], routing_key: &[u8]) -> Vec<u8> {
        [
            &Deliver::METHOD[..],
            &short(b"ctag"),
            &tag.to_be_bytes(),
            &[0],
            &short(exchange),
            &short(routing_key),
        ]
        .concat()
    }

    /// The header in which a stream says the offset.
    pub(in crate::source::amqp) fn offset(offset: i64) -> Vec<u8> {
        field(OFFSET_HEADER.as_bytes(), b'l', &offset.to_be_bytes())
    }

    fn nested(depth: usize) -> Vec<u8> {
        (0..depth).fold(Vec::new(), |inner, _| field(b"k", b'F', &long(&inner)))
    }

    /// Every property, and headers of every type.
    fn everything() -> Vec<u8> {
        let list = [&b"t\x01VS"[..], &long(b"text"), b"F", &long(&field(b"k", b'b', &[3]))].concat();
        let mut fields = Vec::new();
        for (kind, bytes) in b"tbBsUuIifDlLdTV".iter().zip([1, 1, 1, 2, 2, 2, 4, 4, 4, 5, 8, 8, 8, 8, 0]) {
            fields.extend(field(&[*kind], *kind, &[1; 8][..bytes]));
        }
        fields.extend(field(b"S", b'S', &long(b"text \xff")));
        fields.extend(field(b"x", b'x', &long(b"\xff")));
        fields.extend(field(b"A", b'A', &long(&list)));
        fields.extend(field(b"F", b'F', &long(&nested(2))));
        let mut payload = vec![0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0xff, 0xfc];
        for (name, kind) in PROPERTIES {
            payload.extend(match kind {
                Kind::Text => short(name.as_bytes()),
                Kind::Table => long(&fields),
                Kind::Octet => vec![1],
                Kind::Timestamp => vec![1; 8],
            });
        }
        payload
    }

    fn library_reads_header(payload: &[u8]) -> bool {
        matches!(parse_properties(&payload[12..]), Ok(([], _)))
    }

    fn fault(payload: &[u8]) -> Option<Fault> {
        Header::read(payload).expect("a header").fault
    }

    #[test]
    fn a_message_with_everything_is_readable() {
        assert_eq!(fault(&everything()), None);
        assert!(library_reads_header(&everything()));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 20_000, ..ProptestConfig::default() })]

        #[test]
        fn what_is_called_readable_is_what_the_library_can_read(
            changes in vec((12_usize..everything().len(), any::<u8>()), 0..4),
            cut in prop_oneof![4 => Just(0_usize), 1 => 0_usize..200],
        ) {
            let mut payload = everything();
            for (place, byte) in changes {
                payload[place] = byte;
            }
            payload.truncate(payload.len() - cut);
            prop_assert_eq!(fault(&payload).is_none(), library_reads_header(&payload));
        }

        #[test]
        fn what_is_called_a_delivery_is_what_the_library_takes_for_one(
            changes in vec((4_usize..30, any::<u8>()), 0..3),
            cut in prop_oneof![4 => Just(0_usize), 1 => 0_usize..26],
        ) {
            let mut payload = deliver(7, b"exchange", b"a.b");
            for (place, byte) in changes {
                payload[place] = byte;
            }
            payload.truncate(payload.len() - cut);
            let is_readable = Deliver::read(&payload).is_some_and(|deliver| deliver.fault().is_none());
            prop_assert_eq!(is_readable, matches!(parse_class(&payload[..]), Ok(([], _))));
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let poison = b"\xff/x";
        assert_eq!(fault(&header(1, poison, b"")), Some(Fault::NotText("content type")));
        let key = field(poison, b't', &[1]);
        assert_eq!(fault(&header(1, b"", &key)), Some(Fault::NotText("key of a header")));
        assert_eq!(fault(&header(1, b"", &field(b"k", b'?', &[]))), Some(Fault::Malformed));
        assert_eq!(fault(&header(1, b"", &nested(HEADER_DEPTH_MAX + 1))), Some(Fault::TooDeep));
        assert_eq!(fault(&header(1, b"", &nested(HEADER_DEPTH_MAX + 2))), Some(Fault::TooDeep));
        assert_eq!(fault(&header(1, b"", &nested(HEADER_DEPTH_MAX))), None);
        let payload = deliver(7, b"exchange", poison);
        let deliver = Deliver::read(&payload).expect("a delivery");
        assert_eq!((deliver.delivery_tag, deliver.fault()), (7, Some(Fault::NotText("routing key"))));
    }

    #[test]
    fn headers_as_deep_as_a_frame_allows_end_no_process() {
        // Each level takes seven bytes, and no frame is longer than this.
        assert_eq!(fault(&header(1, b"", &nested(131_072 / 7))), Some(Fault::TooDeep));
    }

    #[test]
    fn the_offset_is_found_behind_what_is_wrong() {
        let fields = [field(b"\xff", b't', &[1]), nested(HEADER_DEPTH_MAX + 1), offset(42)].concat();
        let header = Header::read(&header(5, b"\xff", &fields)).expect("a header");
        assert_eq!((header.offset, header.body_bytes), (Some(42), 5));
        assert_eq!(header.fault, Some(Fault::NotText("content type")));
    }
}
