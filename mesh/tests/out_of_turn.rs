//! What the hub does with what a peer says out of turn: the table in `docs/protocol.md`, "Session", row by row.

use std::num::NonZeroU32;

use bytes::Bytes;
use tiercast_codec::{
    ChannelName, Code, Fed, Feed, Hello, LinkId, PROTOCOL_VERSION, Position, Report, SessionId, Signal,
    SignalMessage, Since, Subscribe, ToHub, ToPeer, Unsubscribe, WireMessage,
};
use tiercast_mesh::{
    Hub, SourceUpdate, Time,
    hub::{HubConfig, Input, Output, Rights, Whereabouts},
};
use tiercast_sim::{FakeSigner, channel};

const SESSION: SessionId = SessionId(1);

/// What became of something that was said.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    /// The session was closed.
    Closed(Code),
    /// An `error` with this request's id, and whether it says when to come again.
    Error(Option<u64>, Code, bool),
    Nothing,
}
use Answer::{Closed, Error, Nothing};

/// A session with a hub that has one channel, open or not yet.
struct Talk {
    hub: Hub,
}

impl Talk {
    fn begin(source_is_open: bool) -> Self {
        let config = HubConfig { subscriptions_max: 1, ..HubConfig::default() };
        let mut hub = Hub::new(config, Box::new(FakeSigner(9)), [1; 32]);
        for name in [channel(), "second".parse().unwrap()] {
            hub.add_channel(Time(0), &name).unwrap();
            if source_is_open {
                let opened = SourceUpdate::Opened(Position::new(7, -1));
                hub.handle(Time(0), Input::Source(&name, opened)).unwrap();
            }
        }
        hub.handle(Time(0), Input::SessionOpened(SESSION, Whereabouts::default(), Rights::default()))
            .unwrap();
        Self { hub }
    }

    /// The same, after `hello` and `subscribe`.
    fn subscribed() -> Self {
        let mut talk = Self::begin(true);
        assert_eq!(talk.says(hello(PROTOCOL_VERSION)), Nothing);
        assert_eq!(talk.says(subscribe(channel())), Nothing);
        talk
    }

    fn says(&mut self, message: ToHub) -> Answer {
        self.sends(message.encode())
    }

    fn sends(&mut self, bytes: Bytes) -> Answer {
        self.hub.handle(Time(0), Input::SessionData(SESSION, bytes)).unwrap();
        while let Some(output) = self.hub.poll_output() {
            if let Output::Close { code, .. } = output {
                return Closed(code);
            }
        }
        let said = std::iter::from_fn(|| self.hub.poll_transmit(SESSION));
        let errors = said.filter_map(|bytes| match ToPeer::decode(&bytes) {
            Ok(ToPeer::Error(error)) => Some(Error(error.id, error.code, error.retry_after_ms.is_some())),
            _ => None,
        });
        errors.last().unwrap_or(Nothing)
    }
}

fn hello(protocol: u32) -> ToHub {
    ToHub::Hello(Hello { id: 1, protocol, client: "test".into(), resume: None })
}

fn subscribe(channel: ChannelName) -> ToHub {
    let window_bytes = NonZeroU32::MAX;
    ToHub::Subscribe(Subscribe {
        id: 2,
        channel,
        since: Since::Now,
        window_bytes,
        relay: None,
        links: Vec::new(),
    })
}

#[test]
fn the_first_message_is_hello_and_there_is_one_only() {
    assert_eq!(Talk::begin(true).says(subscribe(channel())), Closed(Code::UNEXPECTED));
    assert_eq!(Talk::subscribed().says(hello(PROTOCOL_VERSION)), Closed(Code::UNEXPECTED));
    assert_eq!(Talk::begin(true).says(hello(PROTOCOL_VERSION + 1)), Closed(Code::UNSUPPORTED_VERSION));
}

#[test]
fn what_is_not_a_control_message_is_malformed() {
    let items: [&'static [u8]; 5] = [b"", b"\x01\x01", b"\x02\x01", b"\x03\x01\x01\x00x", b"\xc1"];
    for bytes in items {
        assert_eq!(Talk::subscribed().sends(Bytes::from_static(bytes)), Closed(Code::MALFORMED), "{bytes:?}");
    }
}

#[test]
fn requests_that_cannot_be_met_are_answered_and_the_session_goes_on() {
    let mut early = Talk::begin(false);
    assert_eq!(early.says(hello(PROTOCOL_VERSION)), Nothing);
    assert_eq!(early.says(subscribe(channel())), Error(Some(2), Code::NOT_READY, true));

    let mut talk = Talk::subscribed();
    let unknown = subscribe("nowhere".parse().unwrap());
    assert_eq!(talk.says(unknown), Error(Some(2), Code::UNKNOWN_CHANNEL, false));
    assert_eq!(talk.says(subscribe(channel())), Error(Some(2), Code::BAD_REQUEST, false), "a second time");
    let second = subscribe("second".parse().unwrap());
    assert_eq!(talk.says(second), Error(Some(2), Code::BAD_REQUEST, false), "one more than a session has");

    let other: ChannelName = "second".parse().unwrap();
    let unsubscribe = Unsubscribe { id: 5, channel: other.clone() };
    assert_eq!(talk.says(ToHub::Unsubscribe(unsubscribe)), Error(Some(5), Code::NOT_SUBSCRIBED, false));
    let position = Position::new(7, -1);
    let feed = Feed { channel: other, position, window_bytes: NonZeroU32::MAX, link: None, code: Code::LOST };
    assert_eq!(talk.says(ToHub::Feed(feed)), Error(None, Code::NOT_SUBSCRIBED, false));
    let greeting = Bytes::from_static(b"\x82\xa4type\xa5greet\xa2id\x06");
    assert_eq!(talk.sends(greeting), Error(Some(6), Code::UNKNOWN_MESSAGE, false));
    assert_eq!(talk.says(ToHub::Unsubscribe(Unsubscribe { id: 7, channel: channel() })), Nothing);
}

#[test]
fn what_is_said_of_a_link_that_is_not_there_is_ignored() {
    let mut talk = Talk::subscribed();
    let (link, code) = (LinkId(99), Code::MALFORMED);
    assert_eq!(talk.says(ToHub::Report(Report { link, code })), Nothing);
    assert_eq!(talk.says(ToHub::Fed(Fed { channel: channel(), link })), Nothing);
    let signal = Signal::Offer { sdp: "v=0".into() };
    assert_eq!(talk.says(ToHub::Signal(SignalMessage { link, signal })), Nothing);
    assert_eq!(talk.hub.channel_stats(&channel()).unwrap().accusations, 0);
}

#[test]
fn regression_one_who_says_hello_after_a_ping_is_answered() {
    let mut talk = Talk::begin(true);
    let heartbeat = Time(0) + HubConfig::default().heartbeat;
    talk.hub.handle(heartbeat, Input::Timeout).unwrap();
    while talk.hub.poll_output().is_some() {}
    assert!(talk.hub.poll_transmit(SESSION).is_some(), "a ping");
    assert!(talk.hub.poll_transmit(SESSION).is_none());
    talk.hub.handle(heartbeat, Input::SessionData(SESSION, hello(PROTOCOL_VERSION).encode())).unwrap();
    assert_eq!(talk.hub.poll_output(), Some(Output::Transmit(SESSION)));
}
