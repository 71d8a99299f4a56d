//! An emitter and a real server, with somebody between them who loses answers.

mod middleman;

use std::time::Duration;

use futures_util::future::join_all;
use middleman::{Middleman, Mischief};
use serde_json::json;
use tiercast_emit::{Code, EmitError, EmitOptions, Emitter, NewEvent};
use tiercast_signaling_server::testing::{TestServer, assert_events, capture};

const CHANNEL: &str = "tickets";

/// A server, somebody before it, and one who emits.
async fn stage(
    mischief: impl IntoIterator<Item = Mischief>,
    options: EmitOptions,
) -> (TestServer, Middleman, Emitter) {
    let server = TestServer::start([CHANNEL]).await;
    let middleman = Middleman::start(&server, mischief).await;
    let emitter = Emitter::with_options(&middleman.url(), CHANNEL, server.key(), options).unwrap();
    (server, middleman, emitter)
}

#[tokio::test]
async fn everything_about_an_event_arrives() {
    let (server, _middleman, emitter) = stage([], EmitOptions::default()).await;
    let event = NewEvent {
        routing_key: "ticket.1.attached".to_owned(),
        message_id: Some("attachment-7".to_owned()),
        content_type: Some("image/x-icon".to_owned()),
        timestamp: Some(1_790_000_000),
        headers: [("try".to_owned(), json!(2))].into_iter().collect(),
        body: vec![0, 255].into(),
    };
    let (position, events) = capture(&server, CHANNEL, emitter.publish(event.clone())).await;
    let [got] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!(position.as_ref().map(|position| position.offset), Ok(got.offset));
    let message = &got.message;
    assert_eq!(message.routing_key, event.routing_key);
    assert_eq!((&message.message_id, &message.content_type), (&event.message_id, &event.content_type));
    assert_eq!((message.timestamp, &message.body), (event.timestamp, &event.body));
    assert_eq!(json!(message.headers), json!({"try": 2}));
    let again = capture(&server, CHANNEL, emitter.publish(event)).await;
    assert_eq!(again, (position, Vec::new()), "the same id is published once");
}

#[tokio::test]
async fn what_is_not_known_to_be_published_is_sent_again_and_published_once() {
    let mischief = [
        Mischief::LoseAnswer,
        Mischief::Say("503 Service Unavailable"),
        Mischief::Say("200 OK"),
        Mischief::Silence,
    ];
    let options = EmitOptions { answer: Duration::from_millis(500), ..EmitOptions::default() };
    let (server, middleman, emitter) = stage(mischief, options).await;
    let emit = join_all((0..10).map(|id| emitter.emit("ticket", id, "updated", id)));
    let (positions, events) = capture(&server, CHANNEL, emit).await;
    assert!(middleman.is_content(), "all mischief was done");
    assert_events(&events, (0..10).map(|id| (format!("ticket.{id}.updated"), id)));
    let positions: Vec<_> = positions.into_iter().map(|position| position.unwrap().offset).collect();
    assert_eq!(positions, events.iter().map(|event| event.offset).collect::<Vec<_>>());
}

#[tokio::test]
async fn many_at_once_are_few_requests_and_keep_their_order() {
    let (server, middleman, emitter) = stage([], EmitOptions::default()).await;
    let emit = join_all((0..1_000).map(|id| emitter.emit("ticket", id, "updated", id)));
    let (positions, events) = capture(&server, CHANNEL, emit).await;
    assert!(positions.iter().all(Result::is_ok));
    assert_events(&events, (0..1_000).map(|id| (format!("ticket.{id}.updated"), id)));
    let batches = middleman.batches();
    assert_eq!(batches.iter().sum::<usize>(), 1_000);
    assert!(batches.len() <= 4 && batches.iter().all(|events| *events <= 500), "{batches:?}");
}

#[tokio::test]
async fn a_batch_ends_when_it_has_its_bytes() {
    let options = EmitOptions { batch_bytes: 1_500, ..EmitOptions::default() };
    let (server, middleman, emitter) = stage([], options).await;
    let body = "x".repeat(900);
    let emit = join_all((0..30).map(|id| emitter.emit("ticket", id, "updated", &body)));
    let (_, events) = capture(&server, CHANNEL, emit).await;
    assert_eq!(events.len(), 30);
    let batches = middleman.batches();
    assert!(batches.iter().all(|events| *events <= 2) && batches.contains(&2), "{batches:?}");
}

#[tokio::test]
async fn an_event_that_is_refused_hinders_no_other() {
    let (server, _middleman, emitter) = stage([], EmitOptions::default()).await;
    let event = |nth: usize| {
        let bad = [7, 8, 19].contains(&nth);
        let routing_key = if bad { "x".repeat(256) } else { format!("key.{nth}") };
        NewEvent { routing_key, body: nth.to_string().into(), ..NewEvent::default() }
    };
    let emit = join_all((0..20).map(|nth| emitter.publish(event(nth))));
    let (answers, events) = capture(&server, CHANNEL, emit).await;
    let good = (0..20).filter(|nth| ![7, 8, 19].contains(nth));
    assert_events(&events, good.map(|nth| (format!("key.{nth}"), nth)));
    for (nth, answer) in answers.into_iter().enumerate() {
        match answer {
            Ok(_) => assert!(![7, 8, 19].contains(&nth)),
            Err(EmitError::Refused { status, code, reason, fix }) => {
                assert!([7, 8, 19].contains(&nth));
                assert_eq!((status, code), (400, Some(Code::BAD_REQUEST)));
                assert!(reason.contains("256 bytes") && fix.contains("255"), "{reason}: {fix}");
            }
            Err(other) => panic!("{nth}: {other}"),
        }
    }
}

#[tokio::test]
async fn what_no_event_can_change_is_told_at_once() {
    let server = TestServer::start([CHANNEL]).await;
    for (channel, key, expected) in [(CHANNEL, "wrong", 401), ("others", server.key(), 404)] {
        let emitter = Emitter::new(&server.url(), channel, key).unwrap();
        for answer in join_all((0..5).map(|id| emitter.emit("ticket", id, "updated", id))).await {
            let Err(EmitError::Refused { status, .. }) = answer else { panic!("{answer:?}") };
            assert_eq!(status, expected);
        }
    }
}

#[tokio::test]
async fn a_connection_that_the_server_has_closed_meanwhile_costs_no_time() {
    let (server, middleman, emitter) = stage([Mischief::CloseAfter], EmitOptions::default()).await;
    let (_, events) = capture(&server, CHANNEL, async {
        emitter.emit("ticket", 1, "updated", 1).await.unwrap();
        middleman.closed().await;
        emitter.emit("ticket", 2, "updated", 2).await.unwrap();
    })
    .await;
    assert_events(&events, [("ticket.1.updated", 1), ("ticket.2.updated", 2)]);
    assert_eq!(middleman.batches(), [1, 1]);
}

#[tokio::test]
async fn what_cannot_be_published_is_given_up_in_time() {
    let options = EmitOptions { give_up: Duration::from_millis(300), ..EmitOptions::default() };
    let emitter = Emitter::with_options("http://127.0.0.1:1", CHANNEL, "key", options).unwrap();
    let answers = join_all((0..3).map(|id| emitter.emit("ticket", id, "updated", id))).await;
    for answer in answers {
        let Err(EmitError::GaveUp { after, reason }) = answer else { panic!("{answer:?}") };
        assert_eq!(after, Duration::from_millis(300));
        assert!(reason.contains("127.0.0.1:1 cannot be connected to"), "{reason}");
    }
}

#[tokio::test]
async fn what_has_no_name_is_not_sent() {
    let (server, middleman, emitter) = stage([], EmitOptions::default()).await;
    let answer = emitter.emit("ticket", 1.5, "updated", ()).await;
    assert!(matches!(answer, Err(EmitError::Name(_))), "{answer:?}");
    assert_eq!(middleman.batches(), [0; 0]);
    server.stop().await;
}
