//! Sessions: the handshake, what is delivered, and who is closed with which code.

use std::time::Duration;

use anyhow::{Context, ensure};
use futures_util::SinkExt;
use tiercast_codec::{Code, GapReason, Hello, Position, Since, ToHub, ToPeer, Unsubscribe, WireMessage};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};
use tokio_tungstenite::tungstenite::{Error as WsError, Message as WsMessage};

use crate::{
    client::{Client, PATIENCE, Received, open},
    config, message, start,
};

#[tokio::test]
async fn a_session_is_welcomed_with_its_number_and_the_servers_key() -> anyhow::Result<()> {
    let server = start(config()).await?;
    let first = Client::connect(server.addr()).await?;
    let second = Client::connect(server.addr()).await?;
    ensure!(first.welcome.session.0 == 1 && second.welcome.session.0 == 2);
    ensure!(first.welcome.keys.iter().any(|key| key.0 == server.handle().public_key()));
    ensure!(first.welcome.heartbeat_ms == 10_000);
    Ok(())
}

#[tokio::test]
async fn a_subscriber_receives_signed_events_in_order() -> anyhow::Result<()> {
    let server = start(config()).await?;
    let mut client = Client::subscribed(server.addr(), Since::Now).await?;
    let publisher = server.publisher("events")?;
    for number in 0..100 {
        let position = publisher.publish(message(format!("event {number}"))).await?;
        ensure!(position.offset == number);
    }
    let events = client.events(100).await?;
    for (number, event) in events.iter().enumerate() {
        ensure!(event.offset == number as i64 && event.message == message(format!("event {number}")));
    }
    Ok(())
}

#[tokio::test]
async fn a_large_event_arrives_whole() -> anyhow::Result<()> {
    let server = start(config()).await?;
    let mut client = Client::subscribed(server.addr(), Since::Now).await?;
    let large = message(crate::noise(1, 3 << 20));
    server.publisher("events")?.publish(large.clone()).await?;
    server.publisher("events")?.publish(message("small")).await?;
    let events = client.events(2).await?;
    ensure!(events[0].message == large && events[1].message == message("small"));
    Ok(())
}

#[tokio::test]
async fn a_client_resumes_after_its_position_without_a_seam() -> anyhow::Result<()> {
    let server = start(config()).await?;
    let publisher = server.publisher("events")?;
    let mut positions = Vec::new();
    for number in 0..10 {
        positions.push(publisher.publish(message(format!("{number}"))).await?);
    }
    let mut client = Client::connect(server.addr()).await?;
    let subscribed = client.subscribe("events", Since::Position(positions[3])).await?;
    let subscribed = subscribed.map_err(|error| anyhow::anyhow!("{error:?}"))?;
    ensure!(subscribed.recovered && subscribed.position == positions[3]);
    publisher.publish(message("10")).await?;
    let offsets: Vec<_> = client.events(7).await?.iter().map(|event| event.offset).collect();
    ensure!(offsets == (4..=10).collect::<Vec<_>>(), "{offsets:?}");
    Ok(())
}

#[tokio::test]
async fn earliest_is_everything_that_is_kept() -> anyhow::Result<()> {
    let server = start(config()).await?;
    for number in 0..5 {
        server.publisher("events")?.publish(message(format!("{number}"))).await?;
    }
    let mut client = Client::subscribed(server.addr(), Since::Earliest).await?;
    ensure!(client.events(5).await?.len() == 5);
    Ok(())
}

#[tokio::test]
async fn a_position_of_an_earlier_numbering_is_a_gap() -> anyhow::Result<()> {
    let server = start(config()).await?;
    server.publisher("events")?.publish(message("first")).await?;
    let mut client = Client::connect(server.addr()).await?;
    let old = Position::new(7, 3);
    let subscribed = client.subscribe("events", Since::Position(old)).await?;
    ensure!(!subscribed.map_err(|error| anyhow::anyhow!("{error:?}"))?.recovered);
    match client.receive().await? {
        Received::Gap(gap) => ensure!(gap.from == old && gap.reason == GapReason::Epoch),
        other => anyhow::bail!("not a gap: {other:?}"),
    }
    ensure!(client.events(1).await?[0].message == message("first"));
    Ok(())
}

#[tokio::test]
async fn an_unknown_channel_is_refused_and_the_session_goes_on() -> anyhow::Result<()> {
    let server = start(config()).await?;
    let mut client = Client::connect(server.addr()).await?;
    let refused = client.subscribe("nothing-here", Since::Now).await?.err().context("not refused")?;
    ensure!(refused.code == Code::UNKNOWN_CHANNEL && refused.reason.contains("nothing-here"));
    ensure!(client.subscribe("events", Since::Now).await?.is_ok());
    Ok(())
}

#[tokio::test]
async fn after_unsubscribing_nothing_comes_any_more() -> anyhow::Result<()> {
    let server = start(config()).await?;
    let mut client = Client::subscribed(server.addr(), Since::Now).await?;
    client.send(ToHub::Unsubscribe(Unsubscribe { id: 3, channel: "events".parse()? })).await?;
    while !matches!(client.control().await?, ToPeer::Unsubscribed(_)) {}
    server.publisher("events")?.publish(message("unseen")).await?;
    client.send(ToHub::Ping(tiercast_codec::Ping { time_us: 5 })).await?;
    ensure!(matches!(client.control().await?, ToPeer::Pong(pong) if pong.time_us == 5));
    Ok(())
}

#[tokio::test]
async fn each_violation_has_its_code_and_the_others_notice_nothing() -> anyhow::Result<()> {
    let server = start(config()).await?;
    let mut witness = Client::subscribed(server.addr(), Since::Now).await?;
    let violations = [
        (WsMessage::Binary(vec![0xff; 10].into()), "bad message"),
        (WsMessage::Text("hello".into()), "text"),
        (WsMessage::Binary(vec![0; (64 << 10) + 1].into()), "65536 bytes"),
        (WsMessage::Binary(vec![0; 8 << 20].into()), "65536 bytes"),
    ];
    let count = violations.len() as i64;
    for (number, (violation, word)) in violations.into_iter().enumerate() {
        let mut client = Client::connect(server.addr()).await?;
        // The server may close while a large message is still under way.
        let _ = client.send_raw(violation).await;
        let (code, reason) = client.closed().await?;
        ensure!(code == Code::MALFORMED && reason.contains(word), "{code}: {reason}");
        let position = server.publisher("events")?.publish(message(format!("{number}"))).await?;
        ensure!(position.offset == number as i64);
    }
    ensure!(witness.events(count as usize).await?.len() as i64 == count);
    Ok(())
}

#[tokio::test]
async fn bytes_that_are_not_websocket_are_refused() -> anyhow::Result<()> {
    let server = start(config()).await?;
    let mut raw = open(server.addr(), "tiercast.v1").await?.into_inner();
    // A frame that is not masked, which clients must never send.
    raw.write_all(&[0x82, 0x01, 0x00]).await?;
    let mut answer = Vec::new();
    timeout(PATIENCE, raw.read_to_end(&mut answer)).await??;
    ensure!(answer.first() == Some(&0x88) && answer[2..4] == Code::MALFORMED.0.to_be_bytes(), "{answer:?}");
    Ok(())
}

#[tokio::test]
async fn another_protocol_version_and_a_missing_hello_have_their_codes() -> anyhow::Result<()> {
    let server = start(config()).await?;
    let hello = Hello { id: 1, protocol: 99, client: "from the future".to_owned(), resume: None };
    let subscribe = tiercast_codec::Subscribe {
        id: 1,
        channel: "events".parse()?,
        since: Since::Now,
        window_bytes: std::num::NonZeroU32::MAX,
        relay: None,
        links: Vec::new(),
    };
    for (first, expected) in
        [(ToHub::Hello(hello), Code::UNSUPPORTED_VERSION), (ToHub::Subscribe(subscribe), Code::UNEXPECTED)]
    {
        let mut socket = open(server.addr(), "tiercast.v1").await?;
        socket.send(WsMessage::Binary(first.encode())).await?;
        let last = futures_util::StreamExt::next(&mut socket).await.context("no answer")??;
        let WsMessage::Close(Some(frame)) = last else { anyhow::bail!("not closed: {last:?}") };
        ensure!(u16::from(frame.code) == expected.0, "{frame:?}");
    }
    Ok(())
}

#[tokio::test]
async fn the_subprotocol_must_be_offered_and_is_echoed() -> anyhow::Result<()> {
    let server = start(config()).await?;
    for wrong in ["chat", "tiercast.v1.xml", "tiercast.v2, chat"] {
        match open(server.addr(), wrong).await {
            Err(WsError::Http(response)) => {
                ensure!(response.status() == 400);
                let body = String::from_utf8(response.body().clone().unwrap_or_default())?;
                ensure!(body.contains("offer the subprotocol tiercast.v1"), "{body}");
            }
            other => anyhow::bail!("{wrong}: {other:?}"),
        }
    }
    // The client library checks the echo.
    for right in ["chat, tiercast.v1", "tiercast.v1.json"] {
        open(server.addr(), right).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_silent_session_is_closed_and_one_that_answers_is_not() -> anyhow::Result<()> {
    let mut config = config();
    config.hub.heartbeat = Duration::from_millis(100);
    let server = start(config).await?;
    let mut alive = Client::subscribed(server.addr(), Since::Now).await?;
    let mut silent = Client::connect(server.addr()).await?;
    silent.fall_silent();
    // Fifteen heartbeats by the server's own count: five times what it bears of the other.
    let (silence, life) = tokio::join!(silent.closed(), alive.answer_pings(15));
    let (code, reason) = silence?;
    ensure!(code == Code::SILENT && reason.contains("nothing was heard"), "{code}: {reason}");
    life?;
    server.publisher("events")?.publish(message("still here")).await?;
    ensure!(alive.events(1).await?[0].message == message("still here"));
    Ok(())
}

#[tokio::test]
async fn one_session_too_many_is_told_to_come_back() -> anyhow::Result<()> {
    let mut config = config();
    config.hub.sessions_max = 2;
    let server = start(config).await?;
    let first = Client::connect(server.addr()).await?;
    let _second = Client::connect(server.addr()).await?;
    let mut third = open(server.addr(), "tiercast.v1").await?;
    let last = futures_util::StreamExt::next(&mut third).await.context("no answer")??;
    let WsMessage::Close(Some(frame)) = last else { anyhow::bail!("not closed: {last:?}") };
    ensure!(u16::from(frame.code) == Code::FULL.0 && frame.reason.contains("2 sessions"), "{frame:?}");
    // The place of one who leaves without a word is free once the server has noticed.
    first.vanish().await?;
    Client::connect(server.addr()).await?;
    Ok(())
}
