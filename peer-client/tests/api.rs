//! An application that knows this library alone can name everything that it is given.

use std::collections::BTreeMap;

use tiercast_peer_client::{
    BEFORE_FIRST, Bytes, ChannelName, ChannelNameError, Client, ClientError, ClientOptions, Code, Controls,
    Epoch, Event, GapReason, HeaderValue, IceServer, Message, News, Notification, Offset, Pattern,
    PatternError, PeerId, PeerStats, Position, PositionError, ServerUrl, ServerUrlError, ServerUrls, Signal,
    Since, SinceError, Standing, SubscribeOptions, Subscription,
    link::{CandidatePolicy, LinkCloseReason, LinkEvent, LinkId, LinkSettings, Role, TrySendError},
};

/// What a program keeps of a channel.
#[derive(Debug, Default, PartialEq)]
struct Kept {
    bodies: Vec<(Epoch, Offset, Bytes)>,
    headers: BTreeMap<String, HeaderValue>,
    gaps: Vec<(Position, Position, GapReason)>,
    refused: Option<(Option<Code>, String)>,
}

impl Kept {
    fn take(&mut self, notification: Notification) {
        match notification {
            Notification::Event { epoch, event: Event { offset, message }, .. } => {
                let Message { body, headers, .. } = message;
                self.bodies.push((epoch, offset, body));
                self.headers.extend(headers);
            }
            Notification::Gap { from, to, reason } => self.gaps.push((from, to, reason)),
            Notification::Refused { code, reason } => self.refused = Some((code, reason)),
            // There will be more of them.
            _ => {}
        }
    }
}

#[test]
fn regression_everything_that_an_application_is_given_has_a_name_here() {
    let mut kept = Kept::default();
    let headers = BTreeMap::from([("attempt".to_owned(), HeaderValue::Int(3))]);
    let message = Message { routing_key: "a.b".into(), headers, body: "{}".into(), ..Message::default() };
    kept.take(Notification::Event { epoch: 7, sealed_us: 1, event: Event { offset: 0, message } });
    let (from, to) = (Position::new(7, 0), Position::new(8, BEFORE_FIRST));
    kept.take(Notification::Gap { from, to, reason: GapReason::Epoch });
    kept.take(Notification::Refused { code: Some(Code::UNKNOWN_CHANNEL), reason: "gone".into() });
    let expected = Kept {
        bodies: vec![(7, 0, Bytes::from_static(b"{}"))],
        headers: BTreeMap::from([("attempt".to_owned(), HeaderValue::Int(3))]),
        gaps: vec![(from, to, GapReason::Epoch)],
        refused: Some((Some(Code::UNKNOWN_CHANNEL), "gone".to_owned())),
    };
    assert_eq!(kept, expected);
}

#[test]
fn regression_every_mistake_of_an_application_has_a_name_here() {
    let channel: Result<ChannelName, ChannelNameError> = "a/b".parse();
    let pattern: Result<Pattern, PatternError> = "a#".parse();
    let position: Result<Position, PositionError> = "7".parse();
    let since: Result<Since, SinceError> = "yesterday".parse();
    let url: Result<ServerUrl, ServerUrlError> = "nonsense".parse();
    assert!(position.is_err() && since.is_err());
    let errors: [Option<ClientError>; 3] =
        [channel.err().map(Into::into), pattern.err().map(Into::into), url.err().map(Into::into)];
    assert!(errors.iter().all(Option::is_some), "{errors:?}");
}

#[tokio::test]
async fn regression_a_peer_can_be_watched_by_types_named_here() -> Result<(), ClientError> {
    let ice_servers = vec![IceServer { urls: vec!["stun:h:1".into()], username: None, credential: None }];
    let links =
        LinkSettings { ice_servers, candidates: CandidatePolicy::RelayOnly, ..LinkSettings::default() };
    let options = ClientOptions { relay: false, links, ..ClientOptions::default() };
    // Nobody listens there: what is to be seen is that of a peer that tries.
    let nobody: Vec<ServerUrl> = vec!["127.0.0.1:1".parse()?, "127.0.0.1:2".parse()?];
    let client = Client::connect(ServerUrls::try_from(nobody)?, options);
    let mut news = client.news();
    let wanted = SubscribeOptions { since: Since::Earliest, patterns: vec!["a.#".parse()?] };
    let subscription: Subscription = client.subscribe("builds", wanted).await?;
    assert_eq!(subscription.channel(), &"builds".parse::<ChannelName>()?);
    let controls: Controls = subscription.controls().clone();
    assert!(controls.bind("b".parse()?) && controls.unbind(&"a.#".parse()?));
    assert_eq!((controls.position(), subscription.position()), (None, None));
    let heard = news.recv().await;
    assert!(matches!(&heard, Ok(News::Disconnected { .. })), "{heard:?}");
    let standing: Standing = client.standing().borrow().clone();
    assert_eq!((standing.peer, standing.parent), (None::<PeerId>, None));
    assert_eq!(standing.stats, PeerStats::default());
    client.close().await;
    Ok(())
}

#[tokio::test]
async fn regression_what_a_peer_does_at_once_can_be_heard() -> Result<(), ClientError> {
    let (client, mut news) = Client::connect_with_news("127.0.0.1:1".parse()?, ClientOptions::default());
    let tried = client.standing().wait_for(|standing| standing.trouble.is_some()).await.is_ok();
    assert!(tried && matches!(news.recv().await, Ok(News::Disconnected { .. })));
    client.close().await;
    Ok(())
}

#[test]
fn regression_what_a_link_says_can_be_written_down() {
    let link: LinkId = 7;
    let reason = LinkCloseReason::BadSignal("sdp".to_owned());
    let event = LinkEvent::Signal { link, signal: Signal::Answer { sdp: "v=0".to_owned() } };
    assert_eq!(event.link(), LinkEvent::Closed { link, reason }.link());
    assert_ne!(Role::Offerer, Role::Answerer);
    assert_eq!(TrySendError::Full.to_string(), "no room");
}
