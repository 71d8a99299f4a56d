//! Subscription keys: for backends that let others read.

use std::time::Duration;

use anyhow::Context;
use futures_util::StreamExt;
use serde_json::{Value, json};
use tiercast_codec::{Code, Since};
use tiercast_signaling_server::{
    Config, Server,
    source::amqp::{AmqpConfig, dynamic::DynamicConfig},
};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message as WsMessage;

use crate::{API_KEY, client, config, http_client, json_sessions, message, readers::Sse, start};

const DEADLINE: Duration = Duration::from_secs(20);

/// A server on which nobody may read without a key.
async fn closed() -> anyhow::Result<Server> {
    start(Config { keys_required: true, ..config() }).await
}

async fn ask(server: &Server, wish: Value) -> anyhow::Result<http_client::Response> {
    let bearer = format!("Bearer {API_KEY}");
    let headers = [("authorization", &*bearer)];
    http_client::request(server.addr(), "POST", "/v1/keys", &headers, wish.to_string().as_bytes()).await
}

async fn key(server: &Server, wish: Value) -> anyhow::Result<String> {
    let answer = ask(server, wish).await?;
    anyhow::ensure!(answer.status == 201, "{answer:?}");
    Ok(answer.json()?["key"].as_str().context("a key")?.to_owned())
}

#[tokio::test]
async fn a_key_opens_its_channel_and_what_it_matches_and_nothing_else() -> anyhow::Result<()> {
    let server = closed().await?;
    let key = key(&server, json!({"channel": "events", "match": ["a.#"], "lifetime_s": 60})).await?;
    for path in ["/v1/sse/events", "/v1/poll/events?wait=0", "/v1/history/events"] {
        let refused = http_client::get(server.addr(), path, &[]).await?;
        assert_eq!((refused.status, refused.json()?["code"].clone()), (401, json!(3509)), "{path}");
    }
    let publisher = server.publisher("events")?;
    for (routing_key, body) in [("a.b", "yes"), ("b", "no"), ("a", "yes, too")] {
        let message = tiercast_codec::Message { routing_key: routing_key.to_owned(), ..message(body) };
        publisher.publish(message).await?;
    }
    let bearer = format!("Bearer {key}");
    let shown = [("authorization", &*bearer)];
    let page = http_client::get(server.addr(), "/v1/history/events", &shown).await?.json()?;
    let bodies = page["events"].as_array().context("events")?.iter().map(|event| event["body"].clone());
    assert_eq!(bodies.collect::<Vec<_>>(), [json!("yes"), json!("yes, too")]);
    let path = format!("/v1/sse/events?since=earliest&match=a&key={key}");
    let mut sse = Sse::open(server.addr(), &path, "").await?;
    sse.event().await?;
    assert_eq!(sse.bodies(1).await?, ["yes, too"]);
    let other = http_client::get(server.addr(), &format!("/v1/poll/others?key={key}&wait=0"), &[]).await?;
    assert_eq!(other.json()?["code"], json!(3505));
    let changed = http_client::get(server.addr(), &format!("/v1/poll/events?key=x{key}"), &[]).await?;
    assert_eq!((changed.status, changed.json()?["code"].clone()), (401, json!(3509)));
    // Peers get whole frames, and are not for keys that show a part.
    let mut peer = client::Client::connect_by_key(server.addr(), &key).await?;
    let refused = peer.subscribe("events", Since::Now).await?.expect_err("it is");
    assert_eq!(refused.code, Code::NOT_ALLOWED);
    server.shutdown().await;
    Ok(())
}

#[tokio::test]
async fn a_key_that_fits_into_no_head_is_not_made() -> anyhow::Result<()> {
    let server = closed().await?;
    let wish = |bytes| json!({"channel": "events", "lifetime_s": 60, "subject": "x".repeat(bytes)});
    let refused = ask(&server, wish(7_000)).await?;
    assert_eq!((refused.status, refused.json()?["code"].clone()), (400, json!(3506)), "{refused:?}");
    let long = key(&server, wish(5_900)).await?;
    assert!((7_900..=8_192).contains(&long.len()), "{}", long.len());
    let page = http_client::get(server.addr(), &format!("/v1/history/events?key={long}"), &[]).await?;
    assert_eq!(page.status, 200, "{page:?}");
    server.shutdown().await;
    Ok(())
}

#[tokio::test]
async fn regression_a_wish_is_read_only_for_those_who_may_have_it_and_only_so_far() -> anyhow::Result<()> {
    let server = closed().await?;
    let much = "x".repeat(100_000);
    let request = |key: &'static str| {
        let bearer = format!("Bearer {key}");
        let (addr, much) = (server.addr(), much.clone());
        async move {
            http_client::request(addr, "POST", "/v1/keys", &[("authorization", &*bearer)], much.as_bytes())
                .await
        }
    };
    let refused = request(API_KEY).await?;
    assert_eq!((refused.status, refused.json()?["fix"].is_string()), (413, true), "{refused:?}");
    assert_eq!(request("wrong").await?.status, 401);
    server.shutdown().await;
    Ok(())
}

#[tokio::test]
async fn a_key_dies_on_time_also_for_those_who_are_connected() -> anyhow::Result<()> {
    let server = closed().await?;
    let key = key(&server, json!({"channel": "events", "lifetime_s": 2, "subject": "a page"})).await?;
    let mut sse = Sse::open(server.addr(), &format!("/v1/sse/events?key={key}"), "").await?;
    sse.event().await?;
    let path = format!("/v1/ws?key={key}");
    let mut plain = json_sessions::Client::connect_at(server.addr(), &path).await?;
    plain.answer(json!({"type": "subscribe", "channel": "events"})).await?;
    let mut idle = json_sessions::Client::connect_at(server.addr(), &path).await?;
    idle.answer(json!({"type": "hello", "protocol": 1})).await?;
    let mut peer = client::Client::connect_by_key(server.addr(), &key).await?;
    assert!(peer.subscribe("events", Since::Now).await?.is_ok());
    let path_of_poll = format!("/v1/poll/events?match=never&key={key}");
    let addr = server.addr();
    let poll = tokio::spawn(async move { http_client::get(addr, &path_of_poll, &[]).await });
    server.publisher("events")?.publish(message("in time")).await?;
    assert_eq!(sse.bodies(1).await?, ["in time"]);
    assert_eq!(plain.bodies(1).await?, ["in time"]);
    let end = sse.event().await?;
    assert_eq!((&*end.name, &end.data["code"]), ("end", &json!(3511)));
    for session in [&mut plain, &mut idle] {
        assert_eq!(session.hear().await?, json!({ "closed": "3511" }));
    }
    assert_eq!(timeout(DEADLINE, peer.closed()).await??.0, Code::EXPIRED);
    let late = http_client::get(server.addr(), &format!("/v1/poll/events?key={key}"), &[]).await?;
    for answer in [poll.await??, late] {
        assert_eq!((answer.status, answer.json()?["code"].clone()), (401, json!(3511)), "{answer:?}");
    }
    let mut late = json_sessions::Client::connect_at(server.addr(), &path).await?;
    assert_eq!(late.hear().await?, json!({ "closed": "3511" }));
    server.shutdown().await;
    Ok(())
}

#[tokio::test]
async fn regression_one_who_opens_a_websocket_in_vain_is_told_by_its_close_code() -> anyhow::Result<()> {
    let server = closed().await?;
    for (path, code) in [("/v1/ws", "3509"), ("/v1/ws?key=wrong", "3509"), ("/v1/sw", "3506")] {
        let mut plain = json_sessions::Client::connect_at(server.addr(), path).await?;
        assert_eq!(plain.hear().await?, json!({ "closed": code }), "{path}");
    }
    let mut peer = client::open(server.addr(), "tiercast.v1").await?;
    let close = timeout(DEADLINE, peer.next()).await?.context("the end")??;
    let WsMessage::Close(Some(frame)) = close else { anyhow::bail!("{close:?}") };
    assert_eq!((u16::from(frame.code), frame.reason.contains("key is needed")), (3509, true), "{frame:?}");
    // What is no handshake is answered as ever.
    for (path, status) in [("/v1/ws", 401), ("/v1/sw", 404)] {
        assert_eq!(http_client::get(server.addr(), path, &[]).await?.status, status, "{path}");
    }
    server.shutdown().await;
    Ok(())
}

#[tokio::test]
async fn a_backend_is_told_what_is_wrong_with_its_wish() -> anyhow::Result<()> {
    let server = start(config()).await?;
    for (wish, word) in [
        (json!({"channel": "events", "lifetime_s": 0}), "1 to 86400"),
        (json!({"channel": "events", "lifetime_s": 86_401}), "1 to 86400"),
        (json!({"channel": "a b", "lifetime_s": 60}), "a b"),
        (json!({"channel": "events", "lifetime_s": 60, "match": ["a*"]}), "a*"),
        (json!({"channel": "events", "lifetime": 60}), "lifetime"),
    ] {
        let answer = ask(&server, wish.clone()).await?;
        assert_eq!(answer.status, 400, "{wish}: {answer:?}");
        assert!(answer.body.contains(word), "{wish}: {answer:?}");
    }
    let nobody = http_client::request(server.addr(), "POST", "/v1/keys", &[], b"{}").await?;
    assert_eq!(nobody.status, 401);
    let key = key(&server, json!({"channel": "events", "lifetime_s": 60})).await?;
    let other = start(config()).await?;
    let answer = http_client::get(other.addr(), &format!("/v1/poll/events?wait=0&key={key}"), &[]).await?;
    assert_eq!(answer.status, 401, "another server with another signing key");
    server.shutdown().await;
    other.shutdown().await;
    Ok(())
}

#[tokio::test]
async fn a_key_for_an_exchange_opens_that_one_only() -> anyhow::Result<()> {
    let exchanges = vec!["open/*".parse()?];
    let dynamic = DynamicConfig { exchanges, bind_ms: 200, ..DynamicConfig::default() };
    // Nobody listens there: whoever may ask is told to come back.
    let amqp = AmqpConfig { dynamic, ..AmqpConfig::new("amqp://127.0.0.1:1".parse()?, Vec::new()) };
    let server = start(Config { keys_required: true, amqp: Some(amqp), ..config() }).await?;
    let key = key(&server, json!({"exchange": "open/a", "match": ["a.#"], "lifetime_s": 60})).await?;
    for (path, code) in [
        ("/v1/poll?exchange=open/a&match=a.b", 3004),
        ("/v1/poll?exchange=open/b&match=a.b", 3509),
        ("/v1/poll/events?", 3509),
    ] {
        let answer = http_client::get(server.addr(), &format!("{path}&key={key}"), &[]).await?.json()?;
        assert_eq!(answer["code"], json!(code), "{path}: {answer}");
    }
    for wish in [
        json!({"lifetime_s": 60}),
        json!({"channel": "events", "exchange": "open/a", "lifetime_s": 60}),
        json!({"exchange": "", "lifetime_s": 60}),
    ] {
        let answer = ask(&server, wish).await?;
        assert_eq!((answer.status, answer.json()?["code"].clone()), (400, json!(3506)), "{answer:?}");
    }
    let answer = ask(&server, json!({"exchange": "shut", "lifetime_s": 60})).await?;
    assert_eq!((answer.status, answer.json()?["code"].clone()), (403, json!(3509)), "{answer:?}");
    server.shutdown().await;
    Ok(())
}
