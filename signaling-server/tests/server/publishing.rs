//! Publishing over HTTP: who may, what arrives, and what is refused.

use std::collections::BTreeMap;

use anyhow::ensure;
use tiercast_codec::{HeaderValue, Message, Since};

use crate::{
    API_KEY,
    client::Client,
    config,
    http_client::{Response, request},
    start,
};

/// Path, headers, body, expected status, and a word of the expected cure.
type Refusal<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [u8], u16, &'a str);

const BEARER: &str = "Bearer correct-horse-battery";

async fn publish(
    addr: std::net::SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> anyhow::Result<Response> {
    request(addr, "POST", path, headers, body).await
}

#[tokio::test]
async fn an_event_arrives_byte_for_byte_with_everything_said_about_it() -> anyhow::Result<()> {
    let server = start(config()).await?;
    let mut client = Client::subscribed(server.addr(), Since::Now).await?;
    let body: Vec<u8> = (0..=255).cycle().take(10_000).collect();
    let headers = [
        ("authorization", BEARER),
        ("content-type", "application/x-test; charset=utf-8"),
        ("tiercast-message-id", "id-7"),
        ("tiercast-timestamp", "1790000000"),
        ("tiercast-header-branch", "main"),
    ];
    let answer = publish(server.addr(), "/v1/publish/events?routing_key=a.b%20c", &headers, &body).await?;
    ensure!(answer.status == 200, "{answer:?}");
    let event = client.events(1).await?.remove(0);
    let position = client.position.map(|position| position.to_string());
    ensure!(answer.json()?["position"].as_str() == position.as_deref());
    let expected = Message {
        routing_key: "a.b c".to_owned(),
        exchange: String::new(),
        content_type: Some("application/x-test; charset=utf-8".to_owned()),
        message_id: Some("id-7".to_owned()),
        timestamp: Some(1_790_000_000),
        headers: BTreeMap::from([("branch".to_owned(), HeaderValue::Text("main".to_owned()))]),
        body: body.into(),
    };
    ensure!(event.message == expected, "{event:?}");
    Ok(())
}

#[tokio::test]
async fn an_empty_event_has_the_channels_name_as_routing_key() -> anyhow::Result<()> {
    let server = start(config()).await?;
    let mut client = Client::subscribed(server.addr(), Since::Now).await?;
    let answer = publish(server.addr(), "/v1/publish/events", &[("authorization", BEARER)], b"").await?;
    ensure!(answer.status == 200, "{answer:?}");
    let event = client.events(1).await?.remove(0);
    ensure!(event.message == Message { routing_key: "events".to_owned(), ..Message::default() });
    Ok(())
}

#[tokio::test]
async fn each_refusal_says_what_to_do() -> anyhow::Result<()> {
    let mut config = config();
    config.limits.publish_bytes = 1_000;
    let server = start(config).await?;
    let authorized = [("authorization", BEARER)];
    let long_key = format!("/v1/publish/events?routing_key={}", "k".repeat(256));
    let too_large = vec![0; 1_001];
    let cases: [Refusal<'_>; 10] = [
        ("/v1/publish/events", &[], b"x", 401, "Authorization: Bearer"),
        ("/v1/publish/events", &[("authorization", "Bearer wrong-key-entirely")], b"x", 401, "api_keys"),
        ("/v1/publish/events", &[("authorization", "Basic abc")], b"x", 401, "Bearer"),
        ("/v1/publish/nothing", &authorized, b"x", 404, "/v1/channels"),
        ("/v1/publish/no%20name", &authorized, b"x", 404, "/v1/channels"),
        ("/v1/publish/events", &authorized, &too_large, 413, "limits.publish_bytes"),
        ("/v1/publish/events?routingkey=x", &authorized, b"x", 400, "routing_key"),
        (&long_key, &authorized, b"x", 400, "255"),
        ("/v1/publish/events", &[authorized[0], ("tiercast-timestamp", "noon")], b"x", 400, "seconds"),
        (
            "/v1/publish/events",
            &[authorized[0], ("tiercast-message-id", "\u{e9}"), ("tiercast-message-id", "b")],
            b"x",
            400,
            "once",
        ),
    ];
    for (path, headers, body, status, word) in cases {
        let answer = publish(server.addr(), path, headers, body).await?;
        ensure!(answer.status == status, "{path}: {answer:?}");
        let json = answer.json()?;
        ensure!(json["error"].as_str().is_some_and(|error| !error.is_empty()), "{json}");
        ensure!(json["fix"].as_str().is_some_and(|fix| fix.contains(word)), "{json}");
        ensure!(!answer.body.contains(API_KEY));
    }
    ensure!(server.handle().snapshot().await?.channels[0].stats.events == 0, "nothing was published");
    Ok(())
}

#[tokio::test]
async fn without_a_key_nobody_may_publish() -> anyhow::Result<()> {
    let mut config = config();
    config.api_keys.clear();
    let server = start(config).await?;
    for headers in [&[][..], &[("authorization", "Bearer ")], &[("authorization", BEARER)]] {
        let answer = publish(server.addr(), "/v1/publish/events", headers, b"x").await?;
        ensure!(answer.status == 403 && answer.body.contains("api_keys"), "{answer:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_channel_of_a_broker_is_not_published_to_here() -> anyhow::Result<()> {
    use tiercast_signaling_server::source::amqp::{AmqpChannelConfig, AmqpConfig, BindingConfig};
    let mut config = config();
    let binding = BindingConfig::new("exchange", ["#"])?;
    // Nobody listens there: the source retries for as long as the server runs.
    let channel = AmqpChannelConfig::new("builds".parse()?, vec![binding]);
    config.amqp = Some(AmqpConfig::new("amqp://127.0.0.1:1/%2f".parse()?, vec![channel]));
    let server = start(config).await?;
    let answer = publish(server.addr(), "/v1/publish/builds", &[("authorization", BEARER)], b"x").await?;
    ensure!(answer.status == 404 && answer.body.contains("broker"), "{answer:?}");
    let ready = crate::http_client::get(server.addr(), "/readyz", &[]).await?;
    ensure!(ready.status == 503 && ready.body.contains("builds"), "{ready:?}");
    let mut client = Client::connect(server.addr()).await?;
    let refused = client.subscribe("builds", Since::Now).await?.err();
    ensure!(
        refused.is_some_and(
            |error| error.code == tiercast_codec::Code::NOT_READY && error.retry_after_ms.is_some()
        )
    );
    server.shutdown().await;
    Ok(())
}

/// Publishes a batch.
async fn batch(addr: std::net::SocketAddr, body: &str) -> anyhow::Result<Response> {
    publish(addr, "/v1/publish/events/batch", &[("authorization", BEARER)], body.as_bytes()).await
}

#[tokio::test]
async fn a_batch_is_published_in_its_order_with_everything_said_about_its_events() -> anyhow::Result<()> {
    let server = start(config()).await?;
    let mut client = Client::subscribed(server.addr(), Since::Now).await?;
    let body = r#"[
        {"routing_key": "a.b", "json": {"z": 1,  "a": 1.50}, "message_id": "m", "timestamp": 7, "headers": {"n": -1, "s": "x"}},
        {"text": "\u00e9"},
        {"base64": "AP8=", "content_type": "x/y"},
        {"json": null},
        {}
    ]"#;
    let answer = batch(server.addr(), body).await?;
    ensure!(answer.status == 200, "{answer:?}");
    let events = client.events(5).await?;
    let epoch = client.position.map(|position| position.epoch).unwrap_or_default();
    let expected =
        (0..5).map(|offset| serde_json::json!({"position": format!("{epoch}-{offset}"), "duplicate": false}));
    ensure!(answer.json()? == serde_json::json!({"events": expected.collect::<Vec<_>>()}), "{answer:?}");
    let of_type = |content_type: &str, body: &[u8]| Message {
        routing_key: "events".to_owned(),
        content_type: Some(content_type.to_owned()),
        body: body.to_vec().into(),
        ..Message::default()
    };
    let first = Message {
        routing_key: "a.b".to_owned(),
        message_id: Some("m".to_owned()),
        timestamp: Some(7),
        headers: BTreeMap::from([
            ("n".to_owned(), HeaderValue::Int(-1)),
            ("s".to_owned(), HeaderValue::Text("x".to_owned())),
        ]),
        ..of_type("application/json", br#"{"z": 1,  "a": 1.50}"#)
    };
    let rest = [
        of_type("text/plain; charset=utf-8", "\u{e9}".as_bytes()),
        of_type("x/y", &[0, 0xff]),
        of_type("application/json", b"null"),
        Message { routing_key: "events".to_owned(), ..Message::default() },
    ];
    for (event, expected) in events.iter().zip(std::iter::once(&first).chain(&rest)) {
        ensure!(event.message == *expected, "{event:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_batch_of_which_one_event_is_refused_is_not_published_at_all() -> anyhow::Result<()> {
    let mut config = config();
    config.limits.publish_bytes = 100;
    config.limits.publish_batch_bytes = 2_000;
    config.limits.publish_batch_events = 3;
    let server = start(config).await?;
    let long = "k".repeat(256);
    let with = |item: &str| format!(r#"[{{"text": "fine"}}, {item}]"#);
    let deep = format!("{}0{}", "[".repeat(20), "]".repeat(20));
    let cases = [
        ("{}".to_owned(), 400, "JSON array"),
        (with(r#"{"body": "x"}"#), 400, "one of json, text, base64"),
        (with(r#"{"text": 3}"#), 400, "JSON array"),
        (with(r#"{"text": "x", "json": null}"#), 400, "one of json, text and base64"),
        (with(r#"{"base64": "?"}"#), 400, "standard alphabet"),
        (with(&format!(r#"{{"routing_key": "{long}"}}"#)), 400, "255"),
        (with(&format!(r#"{{"headers": {{"a": {deep}}}}}"#)), 400, "less deeply"),
        (with(&format!(r#"{{"text": "{}"}}"#, "x".repeat(101))), 413, "limits.publish_bytes"),
        (with("{}, {}, {}"), 413, "limits.publish_batch_events"),
        (with(&format!(r#"{{"text": "{}"}}"#, "x".repeat(2_000))), 413, "limits.publish_batch_bytes"),
    ];
    for (body, status, word) in &cases {
        let answer = batch(server.addr(), body).await?;
        ensure!(answer.status == *status, "{body}: {answer:?}");
        ensure!(answer.json()?["fix"].as_str().is_some_and(|fix| fix.contains(word)), "{body}: {answer:?}");
    }
    ensure!(publish(server.addr(), "/v1/publish/events/batch", &[], b"[]").await?.status == 401);
    ensure!(server.handle().snapshot().await?.channels[0].stats.events == 0, "nothing was published");
    let page = crate::http_client::get(server.addr(), "/metrics", &[]).await?.body;
    let refused = format!("tiercast_publish_refused_total {}", cases.len() + 1);
    ensure!(page.lines().any(|line| line == refused), "{page}");
    ensure!(batch(server.addr(), "[]").await?.json()? == serde_json::json!({"events": []}));
    Ok(())
}

#[tokio::test]
async fn regression_an_empty_message_id_is_refused() -> anyhow::Result<()> {
    let server = start(config()).await?;
    let headers = [("authorization", BEARER), ("tiercast-message-id", "")];
    let one = publish(server.addr(), "/v1/publish/events", &headers, b"1").await?;
    let all = batch(server.addr(), r#"[{"message_id": "a"}, {"message_id": ""}]"#).await?;
    for answer in [one, all] {
        ensure!(answer.status == 400 && answer.body.contains("the message id is empty"), "{answer:?}");
    }
    ensure!(server.handle().snapshot().await?.channels[0].stats.events == 0, "all or nothing");
    Ok(())
}

#[tokio::test]
async fn a_message_id_within_the_window_is_answered_with_the_position_of_the_first() -> anyhow::Result<()> {
    let mut config = config();
    config.limits.duplicates.events = 3;
    let server = start(config).await?;
    let mut client = Client::subscribed(server.addr(), Since::Now).await?;
    let mut answers = Vec::new();
    for (id, body) in [("a", "1"), ("a", "2"), ("b", "3"), ("a", "4"), ("c", "5"), ("d", "6"), ("a", "7")] {
        let headers = [("authorization", BEARER), ("tiercast-message-id", id)];
        let answer = publish(server.addr(), "/v1/publish/events", &headers, body.as_bytes()).await?.json()?;
        answers.push((answer["position"].as_str().map(str::to_owned), answer["duplicate"] == true));
    }
    let events = client.events(5).await?;
    let bodies: Vec<_> = events.iter().map(|event| event.message.body.as_ref()).collect();
    ensure!(bodies == [b"1", b"3", b"5", b"6", b"7"], "{events:?}");
    let epoch = client.position.map(|position| position.epoch).unwrap_or_default();
    let expected = [(0, false), (0, true), (1, false), (0, true), (2, false), (3, false), (4, false)];
    let expected = expected.map(|(offset, known)| (Some(format!("{epoch}-{offset}")), known));
    ensure!(answers == expected, "{answers:?}");
    let again = batch(server.addr(), r#"[{"message_id": "d"}, {"message_id": "e"}, {"message_id": "e"}]"#)
        .await?
        .json()?;
    let duplicates: Vec<_> =
        again["events"].as_array().into_iter().flatten().map(|event| &event["duplicate"]).collect();
    ensure!(duplicates == [true, false, true], "{again}");
    Ok(())
}
