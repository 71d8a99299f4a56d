//! What must hold for any event and any bytes, with fixed seeds.

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::{collection, option, prelude::*, test_runner::RngSeed};
use tiercast_codec::{
    BEFORE_FIRST, ChannelName, DecodeError, Ed25519, EncodeError, Event, Frame, Head, HeaderValue, Item,
    LinkMessage, Message, NUMBER_MAX, Pattern, PatternSet, Position, Sealer, Signature, Signer, SigningKey,
    Since, ToHub, ToPeer, Verifier, WireMessage, chunks,
    limits::{
        CONTROL_BYTES_MAX, EVENT_BYTES_MAX, FRAME_EVENTS_MAX, FRAME_INFLATED_BYTES_MAX, HEADER_DEPTH_MAX,
        LINK_MESSAGE_BYTES_MAX,
    },
};

const MAX: i64 = NUMBER_MAX as i64;

/// The same cases on every run, so that a failure can be seen again.
fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        rng_seed: RngSeed::Fixed(0x7469_6572),
        failure_persistence: None,
        ..Default::default()
    }
}

fn key() -> SigningKey {
    SigningKey::from_seed(&[7; 32])
}

fn channel() -> ChannelName {
    "builds".parse().unwrap()
}

/// A frame of exactly these events.
fn sealed(events: &[Event]) -> Frame {
    let after = events.first().map_or(BEFORE_FIRST, |event| event.offset - 1);
    let last = events.last().map_or(0, |event| event.offset);
    Sealer::default().seal(&channel(), Position::new(1, after), last, 5, events, &key()).unwrap()
}

fn header_value() -> impl Strategy<Value = HeaderValue> {
    let scalar = prop_oneof![
        Just(HeaderValue::Null),
        any::<bool>().prop_map(HeaderValue::Bool),
        any::<i64>().prop_map(HeaderValue::Int),
        // Not a number equals nothing, not even itself; the vectors hold one.
        any::<f64>().prop_filter("a number", |float| !float.is_nan()).prop_map(HeaderValue::Float),
        any::<String>().prop_map(HeaderValue::Text),
        collection::vec(any::<u8>(), 0..40).prop_map(|bytes| HeaderValue::Bytes(bytes.into())),
    ];
    scalar.prop_recursive(5, 24, 4, |inner| {
        prop_oneof![
            collection::vec(inner.clone(), 0..4).prop_map(HeaderValue::List),
            collection::btree_map(any::<String>(), inner, 0..4).prop_map(HeaderValue::Map),
        ]
    })
}

fn message() -> impl Strategy<Value = Message> {
    let body = prop_oneof![
        collection::vec(any::<u8>(), 0..300),
        (any::<u8>(), 0..5_000usize).prop_map(|(byte, times)| vec![byte; times]),
    ];
    let headers = collection::btree_map("[a-z]{0,6}", header_value(), 0..4);
    let texts = (any::<String>(), any::<String>(), option::of(any::<String>()), option::of(any::<String>()));
    (texts, option::of(any::<u64>()), headers, body).prop_map(
        |((routing_key, exchange, content_type, message_id), timestamp, headers, body)| Message {
            routing_key,
            exchange,
            content_type,
            message_id,
            timestamp,
            headers,
            body: body.into(),
        },
    )
}

/// A range, ascending events in it, and where it ends.
fn batch() -> impl Strategy<Value = (Position, i64, Vec<Event>)> {
    let messages = collection::vec((1..1_000i64, message()), 0..6);
    (0..=NUMBER_MAX, prop_oneof![Just(BEFORE_FIRST), 0..MAX / 2], messages, 1..1_000i64).prop_map(
        |(epoch, after, messages, tail)| {
            let mut offset = after;
            let place = |(step, message)| {
                offset += step;
                Event { offset, message }
            };
            let events: Vec<_> = messages.into_iter().map(place).collect();
            (Position::new(epoch, after), offset + tail, events)
        },
    )
}

/// Bytes, the start of which often looks like something.
fn bytes_like_ours() -> impl Strategy<Value = Vec<u8>> {
    let starts: Vec<Vec<u8>> = vec![
        vec![],
        vec![0x01, 0x01, 0x00, 0x00],
        vec![0x01, 0x01, 0x01, 0x00],
        vec![0x02, 0x01, 0x00, 0x00],
        vec![0x03, 0x01, 0x01, 0x00],
        b"\x82\xa4type\xa4ping\xa7time_us".to_vec(),
        b"\x83\xa4type\xa3gap".to_vec(),
        b"\x84\xa4type\xa4join\xa5token".to_vec(),
    ];
    (prop::sample::select(starts), collection::vec(any::<u8>(), 0..300))
        .prop_map(|(start, rest)| [start, rest].concat())
}

proptest! {
    #![proptest_config(config(200))]

    #[test]
    fn events_come_out_of_a_frame_as_they_went_in((before, last, events) in batch(), time_us in 0..=NUMBER_MAX) {
        let frame = Sealer::default().seal(&channel(), before, last, time_us, &events, &key()).unwrap();
        let items = Item::all(frame.bytes().clone()).unwrap();
        let [Item::Frame(taken)] = items.as_slice() else { panic!("one frame") };
        prop_assert_eq!(taken, &frame);
        prop_assert_eq!(taken.position_before(), before);
        prop_assert_eq!(taken.position(), Position::new(before.epoch, last));
        prop_assert_eq!(taken.header().time_us, time_us);
        prop_assert_eq!(taken.header().event_count as usize, events.len());
        prop_assert!(taken.verify(&channel(), &key().public_key(), &Ed25519));
        prop_assert_eq!(taken.events().unwrap(), events);
    }

    #[test]
    fn a_message_never_takes_more_bytes_than_it_is_counted_for(message in message()) {
        let counted = message.bytes();
        let frame = sealed(&[Event { offset: 3, message }]);
        // The array around the event is beside it.
        prop_assert!(frame.header().inflated_bytes as usize <= counted + 1);
    }

    #[test]
    fn a_sealer_that_has_sealed_before_seals_the_same((_, _, first) in batch(), (_, _, second) in batch()) {
        let mut used = Sealer::default();
        for events in [&first, &second] {
            let (before, last) = (Position::new(1, BEFORE_FIRST), MAX);
            let fresh = Sealer::default().seal(&channel(), before, last, 5, events, &key()).unwrap();
            prop_assert_eq!(used.seal(&channel(), before, last, 5, events, &key()).unwrap(), fresh);
        }
    }

    #[test]
    fn frames_and_heads_in_one_message_come_apart(batches in collection::vec(option::of(batch()), 1..5)) {
        let items: Vec<_> = batches
            .into_iter()
            .map(|batch| match batch {
                Some((before, last, events)) => {
                    Item::Frame(Sealer::default().seal(&channel(), before, last, 5, &events, &key()).unwrap())
                }
                None => Item::Head(Head::sign(&channel(), Position::new(3, 4), 5, &key())),
            })
            .collect();
        let bytes = |item: &Item| match item {
            Item::Frame(frame) => frame.bytes().to_vec(),
            Item::Head(head) => head.bytes().to_vec(),
            other => panic!("not a frame or head: {other:?}"),
        };
        let message: Vec<u8> = items.iter().flat_map(bytes).collect();
        prop_assert_eq!(Item::all(message.into()).unwrap(), items);
    }

    #[test]
    fn chunks_fit_and_reassemble(frame in collection::vec(any::<u8>(), 1..4_000), times in 1..20usize) {
        let frame = Bytes::from(frame.repeat(times));
        let mut whole = Vec::new();
        let mut ended = false;
        for chunk in chunks(&frame) {
            prop_assert!(!ended && chunk.len() <= LINK_MESSAGE_BYTES_MAX);
            let mut items = Item::all(chunk).unwrap();
            let Some(Item::Chunk { is_last, part }) = items.pop() else { panic!("a chunk") };
            prop_assert!(items.is_empty());
            ended = is_last;
            whole.extend(part);
        }
        prop_assert!(ended);
        prop_assert_eq!(whole, frame);
    }

    #[test]
    fn positions_survive_as_text_and_as_message(epoch in 0..=NUMBER_MAX, offset in BEFORE_FIRST..=MAX) {
        let position = Position::new(epoch, offset);
        prop_assert_eq!(position.to_string().parse::<Position>(), Ok(position));
        prop_assert_eq!(position.to_string().parse::<Since>(), Ok(Since::Position(position)));
        let message = LinkMessage::At(tiercast_codec::At { position });
        prop_assert_eq!(LinkMessage::decode(&message.encode()), Ok(message));
    }

    #[test]
    fn any_numbers_are_a_position_only_in_range(epoch in any::<u64>(), offset in any::<i64>()) {
        let text = format!("{epoch}-{offset}");
        prop_assert_eq!(text.parse::<Position>().is_ok(), Position::new(epoch, offset).in_range());
    }

    #[test]
    fn any_text_that_is_a_position_is_its_own_text(text in "[-+0-9]{1,4}-?[-+0-9]{0,3}") {
        if let Ok(position) = text.parse::<Position>() {
            prop_assert_eq!(position.to_string(), text);
        }
    }
}

proptest! {
    #![proptest_config(config(4_000))]

    #[test]
    fn any_bytes_are_read_or_refused_without_panic(bytes in bytes_like_ours()) {
        let _ = ToHub::decode(&bytes);
        let _ = ToPeer::decode(&bytes);
        let _ = LinkMessage::decode(&bytes);
        if let Ok(items) = Item::all(bytes.into()) {
            for item in items {
                if let Item::Frame(frame) = item {
                    let _ = frame.events();
                }
            }
        }
    }

    #[test]
    fn any_payload_is_read_or_refused_without_panic(
        payload in collection::vec(any::<u8>(), 0..120),
        deflated in any::<bool>(),
        count in 0..4u32,
        stated in 0..200u32,
    ) {
        let stated = if deflated { stated } else { payload.len() as u32 };
        let events = claiming(deflated, count, stated, &payload).events();
        if let Ok(events) = events {
            prop_assert_eq!(events.len(), count as usize);
        }
    }

    #[test]
    fn events_with_a_changed_byte_are_read_or_refused_without_panic(
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut payload = rich_payload();
        let at = at.index(payload.len());
        payload[at] = byte;
        let _ = claiming(false, 2, payload.len() as u32, &payload).events();
    }
}

proptest! {
    #![proptest_config(config(300))]

    #[test]
    fn a_changed_frame_never_verifies(
        (before, last, events) in batch(),
        flips in collection::vec((any::<prop::sample::Index>(), 1..=255u8), 1..4),
    ) {
        let frame = Sealer::default().seal(&channel(), before, last, 5, &events, &key()).unwrap();
        let mut bytes = frame.bytes().to_vec();
        for (at, bits) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= bits;
        }
        let differs = bytes != *frame.bytes();
        for item in Item::all(bytes.into()).unwrap_or_default() {
            if let Item::Frame(changed) = item {
                let _ = changed.events();
                prop_assert_eq!(changed.verify(&channel(), &key().public_key(), &Ed25519), !differs);
            }
        }
    }

    #[test]
    fn inflation_gives_the_stated_length_or_an_error(body_bytes in 0..20_000usize, stated in 0..40_000u32) {
        let message = Message { body: vec![b'x'; body_bytes].into(), ..Message::default() };
        let frame = sealed(&[Event { offset: 3, message }]);
        let header = frame.header();
        let payload = &frame.bytes()[52..frame.bytes().len() - 64];
        let claimed = claiming(header.deflated, 1, stated, payload).events();
        if stated == header.inflated_bytes {
            prop_assert_eq!(claimed.unwrap().len(), 1);
        } else {
            prop_assert_eq!(claimed, Err(DecodeError::BadPayload));
        }
    }
}

/// What `Pattern::matches` says, by trying everything.
fn matches_slowly(pattern: &[&str], key: &[&str]) -> bool {
    match (pattern, key) {
        (["#", behind @ ..], _) => {
            matches_slowly(behind, key) || matches!(key, [_, rest @ ..] if matches_slowly(pattern, rest))
        }
        ([wanted, behind @ ..], [word, rest @ ..]) => {
            (*wanted == "*" || wanted == word) && matches_slowly(behind, rest)
        }
        (pattern, key) => pattern.is_empty() && key.is_empty(),
    }
}

fn words_of(text: &str) -> Vec<&str> {
    if text.is_empty() { Vec::new() } else { text.split('.').collect() }
}

fn dotted(words: &'static [&'static str]) -> impl Strategy<Value = String> {
    collection::vec(prop::sample::select(words), 0..7).prop_map(|words| words.join("."))
}

fn pattern_text() -> impl Strategy<Value = String> {
    dotted(&["a", "b", "", "*", "#"])
}

fn routing_key() -> impl Strategy<Value = String> {
    dotted(&["a", "b", "", "ab"])
}

proptest! {
    #![proptest_config(config(4_000))]

    #[test]
    fn a_pattern_matches_what_trying_everything_finds(text in pattern_text(), key in routing_key()) {
        let pattern: Pattern = text.parse().unwrap();
        prop_assert_eq!(pattern.matches(&key), matches_slowly(&words_of(&text), &words_of(&key)));
    }

    #[test]
    fn a_set_of_patterns_matches_what_one_of_those_left_in_it_matches(
        texts in collection::btree_set(pattern_text(), 1..8),
        removed in 0..8usize,
        key in routing_key(),
    ) {
        let patterns: Vec<Pattern> = texts.iter().map(|text| text.parse().unwrap()).collect();
        let mut set = PatternSet::new(patterns.clone());
        let (gone, left) = patterns.split_at(removed.min(patterns.len()));
        for pattern in gone {
            prop_assert!(set.remove(pattern));
        }
        prop_assert_eq!(set.matches(&key), left.iter().any(|pattern| pattern.matches(&key)));
        prop_assert_eq!((set.len(), set.is_empty()), (left.len(), left.is_empty()));
    }
}

#[test]
fn every_truncation_of_a_message_is_refused() {
    let message = Message { routing_key: "build.done".into(), body: "{}".into(), ..Message::default() };
    let frame = sealed(&[Event { offset: 3, message }]).bytes().clone();
    let head = Head::sign(&channel(), Position::new(1, 3), 5, &key()).bytes().clone();
    let both = Bytes::from([frame.as_ref(), head.as_ref()].concat());
    let frame_bytes = frame.len();
    for whole in [frame, head, both.clone()] {
        for length in 0..whole.len() {
            let taken = Item::all(whole.slice(..length));
            if whole == both && length == frame_bytes {
                assert_eq!(taken.unwrap().len(), 1);
            } else {
                let expected = if length == 0 { "empty" } else { "truncated" };
                assert_eq!(taken.unwrap_err().name(), expected, "{length} of {}", whole.len());
            }
        }
    }
}

#[test]
fn every_truncation_of_a_control_message_is_refused() {
    let message = ToPeer::Gap(tiercast_codec::Gap {
        channel: channel(),
        from: Position::new(1, 2),
        to: Position::new(3, BEFORE_FIRST),
        reason: tiercast_codec::GapReason::Epoch,
    });
    let bytes = message.encode();
    for length in 0..bytes.len() {
        assert_eq!(ToPeer::decode(&bytes[..length]).unwrap_err().name(), "bad_message");
    }
    assert_eq!(ToPeer::decode(&bytes), Ok(message));
}

#[test]
fn every_truncation_of_a_payload_is_refused() {
    let payload = rich_payload();
    for length in 0..payload.len() {
        let events = claiming(false, 2, length as u32, &payload[..length]).events();
        assert_eq!(events.unwrap_err().name(), "bad_events", "{length} bytes");
    }
    assert_eq!(claiming(false, 2, payload.len() as u32, &payload).events().unwrap().len(), 2);
}

#[test]
fn headers_are_read_down_to_the_deepest_nesting_and_not_beyond() {
    let nested_list = |depth| (0..depth).fold(HeaderValue::Null, |inner, _| HeaderValue::List(vec![inner]));
    let nested_map = |depth| {
        (0..depth)
            .fold(HeaderValue::Null, |inner, _| HeaderValue::Map(BTreeMap::from([(String::new(), inner)])))
    };
    for (depth, is_read) in [(0, true), (1, true), (HEADER_DEPTH_MAX, true), (HEADER_DEPTH_MAX + 1, false)] {
        for value in [nested_list(depth), nested_map(depth)] {
            let headers = [("deep".to_owned(), value), ("flat".to_owned(), HeaderValue::Null)].into();
            let message = Message { headers, ..Message::default() };
            assert_eq!(message.header_depth(), depth);
            assert_eq!(sealed(&[Event { offset: 3, message }]).events().is_ok(), is_read, "{depth}");
        }
    }
}

#[test]
fn the_largest_event_fits_into_a_frame() {
    let empty = Message { routing_key: "k".repeat(255), ..Message::default() };
    let body = noise(EVENT_BYTES_MAX - empty.bytes());
    let message = Message { body, ..empty };
    assert_eq!(message.bytes(), EVENT_BYTES_MAX);
    let events = [Event { offset: 3, message }];
    assert_eq!(sealed(&events).events().unwrap(), events);
}

#[test]
fn what_does_not_fit_into_a_frame_is_not_sealed() {
    let seal = |events: &[Event]| {
        let last = events.len() as i64;
        Sealer::default().seal(&channel(), Position::new(1, BEFORE_FIRST), last, 5, events, &key())
    };
    let many = |count: usize| -> Vec<_> {
        (0..count).map(|i| Event { offset: i as i64, message: Message::default() }).collect()
    };
    let most = seal(&many(FRAME_EVENTS_MAX)).unwrap();
    assert_eq!(most.events().unwrap().len(), FRAME_EVENTS_MAX);
    let (value, max) = (FRAME_EVENTS_MAX as u64 + 1, FRAME_EVENTS_MAX as u64);
    assert_eq!(
        seal(&many(FRAME_EVENTS_MAX + 1)),
        Err(EncodeError::TooLarge { field: "event count", value, max })
    );

    let large = |body_bytes: usize| {
        let message = Message { body: vec![0; body_bytes].into(), ..Message::default() };
        [Event { offset: 0, message }]
    };
    let around = sealed(&large(100_000)).header().inflated_bytes as usize - 100_000;
    let largest = FRAME_INFLATED_BYTES_MAX - around;
    assert_eq!(seal(&large(largest)).unwrap().events().unwrap(), large(largest));
    assert!(matches!(seal(&large(largest + 1)), Err(EncodeError::TooLarge { field: "inflated length", .. })));
}

#[test]
fn ranges_that_the_format_cannot_say_are_not_sealed() {
    let seal = |before: Position, last: i64, time_us: u64, offsets: &[i64]| {
        let events: Vec<_> =
            offsets.iter().map(|offset| Event { offset: *offset, message: Message::default() }).collect();
        Sealer::default().seal(&channel(), before, last, time_us, &events, &key())
    };
    let at = |offset| Position::new(1, offset);
    assert!(seal(at(5), 9, 5, &[6, 9]).is_ok());
    for (before, last, time_us, offsets) in [
        (at(5), 5, 5, &[][..]),
        (at(5), 4, 5, &[]),
        (at(-2), 4, 5, &[]),
        (at(5), MAX + 1, 5, &[]),
        (Position::new(NUMBER_MAX + 1, 5), 9, 5, &[]),
        (at(5), 9, NUMBER_MAX + 1, &[]),
        (at(5), 9, 5, &[5]),
        (at(5), 9, 5, &[10]),
        (at(5), 9, 5, &[7, 7]),
        (at(5), 9, 5, &[8, 7]),
    ] {
        assert_eq!(
            seal(before, last, time_us, offsets),
            Err(EncodeError::BadRange),
            "{before} {last} {offsets:?}"
        );
    }
}

#[test]
fn a_payload_that_does_not_shrink_is_stored() {
    let body = noise(10_000);
    let frame = sealed(&[Event { offset: 3, message: Message { body: body.clone(), ..Message::default() } }]);
    assert!(!frame.header().deflated);
    assert_eq!(frame.header().inflated_bytes, frame.header().payload_bytes);
    let twice = Message { body: [&body[..], &body[..]].concat().into(), ..Message::default() };
    assert!(sealed(&[Event { offset: 3, message: twice }]).header().deflated);
}

#[test]
fn the_verifier_sees_the_context_the_channel_and_the_signed_bytes() {
    struct Expecting(Vec<u8>);
    impl Verifier for Expecting {
        fn verify(&self, key: &[u8; 32], message: &[u8], signature: &Signature) -> bool {
            key == &[9; 32] && message == self.0 && *signature != [0; 64]
        }
    }
    let frame = sealed(&[]);
    let signed = &frame.bytes()[..frame.bytes().len() - 64];
    let verifier = Expecting([b"tiercast/1 frame\nbuilds\n", signed].concat());
    assert!(frame.verify(&channel(), &[9; 32], &verifier));
    let head = Head::sign(&channel(), Position::new(1, 3), 5, &key());
    let verifier = Expecting([b"tiercast/1 head\nbuilds\n", &head.bytes()[..32]].concat());
    assert!(head.verify(&channel(), &[9; 32], &verifier));
}

#[test]
fn the_largest_control_message_is_read_and_a_larger_one_is_not() {
    let hello = |client_bytes: usize| {
        let hello =
            tiercast_codec::Hello { id: 1, protocol: 1, client: "x".repeat(client_bytes), resume: None };
        ToHub::Hello(hello).encode()
    };
    let around = hello(40_000).len() - 40_000;
    let largest = hello(CONTROL_BYTES_MAX - around);
    assert_eq!(largest.len(), CONTROL_BYTES_MAX);
    assert!(ToHub::decode(&largest).is_ok());
    assert_eq!(Item::all(largest.clone()), Ok(vec![Item::Control(largest)]));
    let too_large = hello(CONTROL_BYTES_MAX - around + 1);
    assert_eq!(ToHub::decode(&too_large).unwrap_err().name(), "too_large");
    assert_eq!(Item::all(too_large).unwrap_err().name(), "too_large");
}

#[test]
fn an_unknown_message_is_named_with_its_request() {
    let bytes = b"\x82\xa4type\xa5dance\xa2id\x09";
    let expected = DecodeError::UnknownMessage { kind: "dance".into(), id: Some(9) };
    assert_eq!(ToHub::decode(bytes), Err(expected));
}

/// A frame that claims what it likes; its signature is nobody's.
fn claiming(deflated: bool, event_count: u32, inflated_bytes: u32, payload: &[u8]) -> Frame {
    let mut bytes = vec![0x01, 0x01, u8::from(deflated), 0x00];
    bytes.extend(channel().id().0.to_be_bytes());
    bytes.extend(1u64.to_be_bytes());
    bytes.extend(BEFORE_FIRST.to_be_bytes());
    bytes.extend(MAX.to_be_bytes());
    bytes.extend(5u64.to_be_bytes());
    bytes.extend(event_count.to_be_bytes());
    bytes.extend(inflated_bytes.to_be_bytes());
    bytes.extend((payload.len() as u32).to_be_bytes());
    bytes.extend(payload);
    bytes.extend([0; 64]);
    Frame::take(&mut bytes.into()).unwrap()
}

/// Two events with a little of everything, not compressed.
fn rich_payload() -> Vec<u8> {
    let event =
        b"\x02\xa1k\xa1e\xa1c\xa1m\x05\x83\xa1a\x92\x01\xff\xa1b\x81\xa0\xcb\x40\x00\x00\x00\x00\x00\x00\x00\
        \xa1c\xc4\x02\xff\xfe\xc4\x03{ }";
    let second = b"\x98\x07\xa0\xa0\xc0\xc0\xc0\x80\xc4\x00";
    [b"\x92\x98", &event[..], second].concat()
}

/// Bytes that do not compress, the same on every run.
fn noise(length: usize) -> Bytes {
    let mut state = 1u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..length).map(|_| next()).collect()
}
